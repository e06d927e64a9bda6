//! Text in a log line: nothing in it can end the line, hide, or reorder what a terminal shows.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::ser::Formatter;

/// Writes JSON as usual, and escapes the characters that are more than their looks.
pub(super) struct Harmless;

impl Formatter for Harmless {
    /// JSON's own escapes are done already: here come the stretches between them.
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_harmful) {
            let (plain, from) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut characters = from.chars();
            if let Some(harmful) = characters.next() {
                write!(out, "\\u{:04x}", u32::from(harmful))?;
            }
            rest = characters.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

/// Controls (C1 too: a terminal obeys U+009B), line separators, direction overrides and marks, invisibles.
///
/// All of them fit into four hex digits.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The text, or as much of it as takes `bytes_max` in the line, escapes counted, with a mark that it was cut.
pub(super) fn bounded(text: &str, bytes_max: usize) -> Cow<'_, str> {
    const MARK: char = '…';
    let mut written = 0;
    let mut cut = 0;
    for (at, character) in text.char_indices() {
        if written + MARK.len_utf8() <= bytes_max {
            cut = at;
        }
        written += written_bytes(character);
        if written > bytes_max {
            return text.get(..cut).map_or(Cow::Borrowed(""), |kept| format!("{kept}{MARK}").into());
        }
    }
    Cow::Borrowed(text)
}

fn written_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        _ if is_harmful(character) => 6,
        _ => character.len_utf8(),
    }
}
