//! A good head in the form in which it goes on: target in origin form, without the fields that stay here.

use super::{fields, target};

/// `head` has been found good. Few heads need this, so it may allocate.
pub(super) fn rewrite(head: &[u8]) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(head.len() + 1);
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    request_line(lines.next().unwrap_or_default(), &mut rewritten);
    for line in lines {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let stays = fields::split(text).is_ok_and(|(name, value)| fields::is_unwanted(name, value));
        if !stays {
            rewritten.extend_from_slice(line);
        }
    }
    rewritten
}

fn request_line(line: &[u8], rewritten: &mut Vec<u8>) {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (method, whole, version) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let path = if whole.starts_with(b"/") { whole } else { target::split(whole).map(|(_, path)| path).unwrap_or_default() };
    rewritten.extend_from_slice(method);
    rewritten.push(b' ');
    if !path.starts_with(b"/") {
        rewritten.push(b'/');
    }
    rewritten.extend_from_slice(path);
    rewritten.push(b' ');
    rewritten.extend_from_slice(version);
}
