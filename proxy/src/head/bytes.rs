//! Which bytes may stand where in a head.

const TOKEN: u8 = 1;
const TARGET: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        // RFC 9110 section 5.6.2.
        let token = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        // What RFC 3986 allows, and what browsers leave as it is in a path or a query. Not '#': a
        // fragment is never sent. Nothing above ASCII: whoever reads it may read it differently.
        let target = b.is_ascii_graphic() && !matches!(b, b'#' | b'<' | b'>' | b'"');
        classes[byte] = (if token { TOKEN } else { 0 }) | (if target { TARGET } else { 0 });
        byte += 1;
    }
    classes
};

fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|byte| CLASSES[usize::from(*byte)] & class != 0)
}

/// Whether these bytes can be (a part of) a token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    all(bytes, TOKEN)
}

/// Whether all bytes may stand in a request's target.
pub(super) fn is_target(bytes: &[u8]) -> bool {
    all(bytes, TARGET)
}

/// The length of the token at the start.
pub(super) fn token_bytes(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| CLASSES[usize::from(*byte)] & TOKEN == 0).unwrap_or(bytes.len())
}

/// Whether a field's value holds no control but tabs (RFC 9110 section 5.5). Without an early end, so
/// that many bytes are compared at once.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, byte| bad | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f))
}
