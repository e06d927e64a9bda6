//! The chunked coding (RFC 9112 section 7.1), strict: pingora decodes the same bytes after us, and
//! takes an empty size for the last chunk.

use std::error::Error;
use std::fmt::{self, Display};

/// A size has at most as many hexadecimal digits: 2^60 bytes.
const SIZE_DIGITS_MAX: u8 = 15;
/// Extensions of all chunks of a message together. Nobody uses them.
const EXTENSION_BYTES_MAX: u16 = 8 * 1024;
/// The trailer section of a message. It is read and dropped.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// Why a body is not chunked as it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

impl Display for BadChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for BadChunk {}

/// How far a chunked body has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    state: State,
    extension_bytes: u16,
    trailer_bytes: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        bytes: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The start of a line of the trailer section, or of the empty line that ends it.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { bytes: 0, digits: 0 }
    }
}

impl Chunks {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the next byte begins a chunk.
    pub fn is_between(&self) -> bool {
        self.state == State::default()
    }

    /// How many of these bytes belong to the body, framing included.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            self.state = match self.state {
                State::Done => break,
                State::Data { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    at += here;
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    continue;
                }
                state => self.step(state, *byte)?,
            };
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, state: State, byte: u8) -> Result<State, BadChunk> {
        Ok(match (state, byte) {
            (State::Size { bytes, digits }, _) => return size(bytes, digits, byte),
            (State::Extension { size }, b'\r') => State::SizeEnd { size },
            (State::Extension { .. }, b' '..=b'~' | b'\t') => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(BadChunk("more bytes of chunk extensions than allowed"));
                }
                state
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::default(),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Done,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::TrailerStart, b'!'..=b'~') | (State::Trailer, b' '..=b'~' | b'\t' | 0x80..) => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > TRAILER_BYTES_MAX {
                    return Err(BadChunk("more bytes of trailers than allowed"));
                }
                State::Trailer
            }
            _ => return Err(BadChunk("a byte in the framing of a chunk that must not stand there")),
        })
    }
}

fn size(bytes: u64, digits: u8, byte: u8) -> Result<State, BadChunk> {
    match (char::from(byte).to_digit(16), byte) {
        (Some(_), _) if digits == SIZE_DIGITS_MAX => Err(BadChunk("a chunk larger than any")),
        (Some(digit), _) => Ok(State::Size { bytes: bytes << 4 | u64::from(digit), digits: digits + 1 }),
        (None, b'\r') if digits > 0 => Ok(State::SizeEnd { size: bytes }),
        (None, b';') if digits > 0 => Ok(State::Extension { size: bytes }),
        (None, _) => Err(BadChunk("a chunk without a size")),
    }
}
