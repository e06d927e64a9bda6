//! Where a body ends, however its bytes come.

use proptest::prelude::*;

use super::*;

fn taken(body: &[u8], piece: usize) -> Result<usize, BadChunk> {
    let mut framing = Framing::chunked();
    let mut sum = 0;
    for piece in body.chunks(piece) {
        let taken = framing.take(piece)?;
        sum += taken;
        if framing.is_done() {
            return Ok(sum);
        }
        assert_eq!(taken, piece.len(), "all of it belongs to a body that has not ended");
    }
    Ok(usize::MAX)
}

/// The end of the body, whether its bytes come at once or one by one; `None` if it is no chunked body.
fn end(body: &[u8]) -> Option<usize> {
    let whole = taken(body, body.len().max(1));
    assert_eq!(whole, taken(body, 1), "{}", body.escape_ascii());
    whole.ok()
}

const UNFINISHED: usize = usize::MAX;

#[test]
fn a_body_ends_behind_its_last_chunk_and_trailers() {
    for (body, rest) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "GET / HTTP/1.1\r\n"),
        ("3;a=b;c=\"d e\"\r\nabc\r\n000\r\n\r\n", "0"),
        ("aB\r\n", &*format!("{}\r\n0\r\n\r\n", "x".repeat(171))),
        ("0\r\nx-trailer: 1\r\nhost: evil\r\n\r\n", "rest"),
    ] {
        let all = format!("{body}{rest}");
        let wanted = if body == "aB\r\n" { all.len() } else { body.len() };
        assert_eq!(end(all.as_bytes()), Some(wanted), "{all:?}");
    }
    for unfinished in ["", "3", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "0\r\n", "0\r\nx: y\r\n"] {
        assert_eq!(end(unfinished.as_bytes()), Some(UNFINISHED), "{unfinished:?}");
    }
}

/// Rows S10, S11, S12, S13 and S14 of `proxy/BAD-INPUT.md`, byte by byte.
#[test]
fn what_two_readers_could_read_differently_is_no_chunk() {
    let long_extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(9_000));
    let many_extensions = format!("1;{}\r\nx\r\n", "y".repeat(1_000)).repeat(9);
    let long_trailer = format!("0\r\nx: {}\r\n\r\n", "y".repeat(9_000));
    for bad in [
        "0x3\r\nabc",
        "+3\r\n",
        "-1\r\n",
        " 3\r\n",
        "3 \r\n",
        "1_0\r\n",
        "12345678901234567\r\n",
        "3\nabc\n0\n\n",
        "\r\n",
        ";ext\r\n",
        " \r\n",
        "3;a\nb\r\nabc",
        "3;a\0\r\n",
        "3;a\rb\r\n",
        "3\r\nabcd",
        "3\r\nabc0\r\n",
        "3\r\nabc\n",
        "0\r\n folded: 1\r\n\r\n",
        "0\r\nx: a\nb\r\n\r\n",
        &*long_extension,
        &*many_extensions,
        &*long_trailer,
    ] {
        assert_eq!(end(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn a_length_ends_where_it_says() {
    let mut framing = Framing::length(5);
    assert_eq!(framing.room(64), 5);
    assert_eq!(framing.take(b"abc"), Ok(3));
    assert_eq!(framing.take(b"deGET /"), Ok(2));
    assert!(framing.is_done());
    assert_eq!(framing.take(b"GET /"), Ok(0));
    assert!(Framing::length(0).is_done());
}

proptest! {
    #[test]
    fn chunks_of_any_size_come_to_the_same_end(sizes in prop::collection::vec(1_usize..300, 0..6), piece in 1_usize..50) {
        let mut body = Vec::new();
        for size in sizes {
            body.extend_from_slice(format!("{size:x}\r\n{}\r\n", "z".repeat(size)).as_bytes());
        }
        body.extend_from_slice(b"0\r\n\r\n");
        let length = body.len();
        body.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        prop_assert_eq!(taken(&body, piece), Ok(length));
    }

    #[test]
    fn no_bytes_make_it_take_more_than_there_is(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut framing = Framing::chunked();
        if let Ok(taken) = framing.take(&bytes) {
            prop_assert!(taken <= bytes.len());
            prop_assert!(framing.is_done() || taken == bytes.len());
        }
    }
}
