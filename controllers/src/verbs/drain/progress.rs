//! A line on a terminal that says how far a drain is.

use std::io::{IsTerminal as _, Write as _, stderr};

const WIDTH: u64 = 30;

/// Shown on standard error, and only where somebody looks.
pub(super) struct Progress {
    shows: bool,
    most: u64,
}

impl Progress {
    pub(super) fn new(wanted: bool) -> Self {
        Self { shows: wanted && stderr().is_terminal(), most: 0 }
    }

    pub(super) fn show<'a>(&mut self, left: u64, silent: impl Iterator<Item = &'a str>) {
        self.most = self.most.max(left);
        if self.shows {
            let silent: Vec<_> = silent.collect();
            let _ = write!(stderr(), "\r\x1b[K{}", line(left, self.most, &silent));
        }
    }

    pub(super) fn end(&self) {
        if self.shows {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn line(left: u64, most: u64, silent: &[&str]) -> String {
    let done = (most - left.min(most)).saturating_mul(WIDTH).checked_div(most).unwrap_or(0);
    let bar: String = (0..WIDTH).map(|n| if n < done { '#' } else { '.' }).collect();
    let silent = if silent.is_empty() { String::new() } else { format!("; no answer from {}", silent.join(", ")) };
    format!("[{bar}] {left} of {most} are left{silent}")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_bar_grows_with_what_is_gone() {
        for (left, most, silent, wanted) in [
            (0, 0, &[][..], "[..............................] 0 of 0 are left"),
            (2_000, 2_000, &[], "[..............................] 2000 of 2000 are left"),
            (500, 2_000, &[], "[######################........] 500 of 2000 are left"),
            (0, 2_000, &["edge-2"], "[##############################] 0 of 2000 are left; no answer from edge-2"),
        ] {
            assert_eq!(line(left, most, silent), wanted);
        }
    }
}
