//! Where a request ends on its connection: how many of the bytes that come belong to it. Pure.

mod chunks;
#[cfg(test)]
mod tests;

pub use self::chunks::{BadChunk, Chunks};

/// What of the bytes still belongs to the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// All of them, to the end of the connection: an app's, or those of a tunnel.
    Open,
    Length(u64),
    Chunked(Chunks),
}

impl Framing {
    pub fn length(bytes: u64) -> Self {
        Self::Length(bytes)
    }

    pub fn chunked() -> Self {
        Self::Chunked(Chunks::default())
    }

    pub fn is_done(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_done(),
        }
    }

    /// Whether all that came of a chunked body is whole chunks.
    pub fn is_between_chunks(&self) -> bool {
        matches!(self, Self::Chunked(chunks) if chunks.is_between())
    }

    /// Whether a chunk has come in part.
    pub fn is_within_chunk(&self) -> bool {
        matches!(self, Self::Chunked(chunks) if !chunks.is_between())
    }

    /// How many bytes may be read at once, of `room`, without reading more than belongs to the message.
    /// Of chunks that is not known before they are read.
    pub fn room(&self, room: usize) -> usize {
        match self {
            Self::Open | Self::Chunked(_) => room,
            Self::Length(left) => room.min(usize::try_from(*left).unwrap_or(usize::MAX)),
        }
    }

    /// How many of these bytes belong to the message; what follows is the next one's.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        match self {
            Self::Open => Ok(bytes.len()),
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }
}
