//! Where one direction of a WebSocket stands: between frames, or inside one. Headers only.

#[cfg(test)]
mod tests;

/// Follows the frames of one direction (RFC 6455 section 5.2) without keeping any of their bytes.
///
/// What is not WebSocket is followed too, wrongly and harmlessly: it is only ever asked whether a
/// frame of ours would fit in here.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// Frames that are over.
    pub count: u64,
    /// A close frame is over: nothing of the protocol comes after it.
    pub closed: bool,
    /// Bytes of the header that are there; 0 between frames, and within a payload.
    head: u8,
    opcode: u8,
    /// Bytes of the header in all, once its second byte is there.
    head_bytes: u8,
    /// Of the payload: what is known of its length while in the header, what is missing of it afterwards.
    length: u64,
    in_payload: bool,
}

const OPCODE_CLOSE: u8 = 8;

impl Frames {
    /// Whether the next byte begins a frame.
    pub fn is_between(&self) -> bool {
        self.head == 0 && !self.in_payload
    }

    /// How many of the next bytes belong to the frame that has begun, as far as is known; 0 between frames.
    pub fn missing(&self) -> usize {
        match self.head {
            _ if self.in_payload => usize::try_from(self.length).unwrap_or(usize::MAX),
            0 => 0,
            1 => 1,
            head => usize::from(self.head_bytes - head),
        }
    }

    pub fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.in_payload {
                // Saturates: a length that does not fit is longer than what is there.
                let skipped = usize::try_from(self.length).unwrap_or(usize::MAX).min(bytes.len());
                self.length -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                if self.length == 0 {
                    self.end();
                }
                continue;
            }
            bytes = rest;
            self.head += 1;
            match self.head {
                1 => self.opcode = byte & 0x0f,
                2 => {
                    let (extended, length) = match byte & 0x7f {
                        126 => (2, 0),
                        127 => (8, 0),
                        length => (0, length),
                    };
                    let mask = if byte & 0x80 == 0 { 0 } else { 4 };
                    self.head_bytes = 2 + extended + mask;
                    self.length = length.into();
                    // The mask's bytes are counted like the others, but are no part of a length.
                    if extended == 0 {
                        self.opcode |= SHORT;
                    }
                }
                n if self.opcode & SHORT == 0 && n <= self.length_ends() => self.length = self.length << 8 | u64::from(byte),
                _ => {}
            }
            if self.head >= 2 && self.head == self.head_bytes {
                self.head = 0;
                self.in_payload = true;
                if self.length == 0 {
                    self.end();
                }
            }
        }
    }

    /// The last byte of an extended length: before the mask, if there is one.
    fn length_ends(&self) -> u8 {
        match self.head_bytes {
            4 | 8 => 4,
            _ => 10,
        }
    }

    fn end(&mut self) {
        self.in_payload = false;
        self.count += 1;
        self.closed |= self.opcode & 0x0f == OPCODE_CLOSE;
    }
}

/// Marks a header whose length is in its second byte; opcodes take four bits.
const SHORT: u8 = 0x80;

/// "Going away" (RFC 6455 section 7.4.1), from a server.
pub const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The same from a client, whose frames are masked (section 5.3): with zeros, since nothing is hidden here.
pub const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];
