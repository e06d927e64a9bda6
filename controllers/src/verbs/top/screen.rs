//! A terminal's other screen, written anew with every look, and given back at the end.

use std::io::{Write as _, stdout};

use crate::failure::Failure;

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Of a terminal that does not say how large it is.
const SIZE: (usize, usize) = (24, 80);

pub(super) struct Screen;

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        // Given back also where this was not written whole.
        let screen = Self;
        write(ENTER)?;
        Ok(screen)
    }

    pub(super) fn lines(&self) -> usize {
        size().0
    }

    /// Shows so much of the text as fits, in place of what was there.
    pub(super) fn show(&mut self, text: &str) -> Result<(), Failure> {
        write(&frame(text, size()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
    }
}

/// From the upper left corner, what is left of each line and of the screen emptied.
pub(super) fn frame(text: &str, (lines, columns): (usize, usize)) -> String {
    let shown = text.lines().take(lines.saturating_sub(1));
    let shown = shown.map(|line| line.chars().take(columns).chain("\x1b[K\n".chars()).collect::<String>());
    format!("\x1b[H{}\x1b[J", shown.collect::<String>())
}

/// Lines and columns; they may change at any time.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => SIZE,
    }
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::system("standard output", &error))
}
