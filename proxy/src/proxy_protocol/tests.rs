//! Headers that are right, in any number of pieces, and all those that are not.

use proptest::prelude::*;

use super::*;

const V1: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

/// A version 2 header: command, family, what follows the fixed part.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
}

fn endpoints(client: &str, local: &str) -> Option<Endpoints> {
    Some(Endpoints { client: client.parse().unwrap(), local: local.parse().unwrap() })
}

fn four() -> Vec<u8> {
    [[192, 0, 2, 7], [198, 51, 100, 1], [0xdc, 0x04, 0x01, 0xbb]].concat()
}

fn six() -> Vec<u8> {
    let ip = |last| [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [ip(7).as_slice(), &ip(1), &[0xdc, 0x04, 0x01, 0xbb]].concat()
}

#[test]
fn whole_headers_say_who_the_client_is() {
    let of_four = endpoints("192.0.2.7:56324", "198.51.100.1:443");
    let of_six = endpoints("[2001:db8::7]:56324", "[2001:db8::1]:443");
    // A TLV of AWS (0xea) and one that nobody knows, which is empty.
    let tlvs = [0xea, 0, 4, 1, b'v', b'p', b'c', 0xee, 0, 0];
    let headers: [(Vec<u8>, Option<Endpoints>); 11] = [
        (V1.into(), of_four),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n".into(), of_six),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".into(), endpoints("0.0.0.0:0", "255.255.255.255:65535")),
        ("PROXY UNKNOWN\r\n".into(), None),
        ("PROXY UNKNOWN ffff::1 whatever 1 x\r\n".into(), None),
        (v2(0x21, 0x11, &four()), of_four),
        (v2(0x21, 0x21, &six()), of_six),
        (v2(0x21, 0x11, &[four().as_slice(), &tlvs].concat()), of_four),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &[1, 2, 3]), None),
        (v2(0x21, 0x00, &[9; 20]), None),
    ];
    for (header, endpoints) in headers {
        let whole = Parsed::Whole { bytes: header.len(), endpoints };
        assert_eq!(parse(&header), Ok(whole), "{}", header.escape_ascii());
        assert_eq!(parse(&[header.as_slice(), b"GET / HTTP/1.1\r\n"].concat()), Ok(whole));
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(Parsed::Partial), "{}", header[..end].escape_ascii());
        }
    }
}

#[test]
fn what_is_not_as_the_specification_has_it_is_refused() {
    let line = |rest: &str| format!("PROXY {rest}\r\n").into_bytes();
    let long = |bytes: usize| v2(0x21, 0x11, &[four(), vec![0; bytes - FIXED_BYTES - 12]].concat());
    let headers: [(Vec<u8>, Flaw); 26] = [
        ("GET / HTTP/1.1\r\n".into(), Flaw::Absent),
        (vec![0x16, 0x03, 0x01], Flaw::Absent),
        ("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n".into(), Flaw::Absent),
        ("\r\n\r\n\0\r\nQUIX".into(), Flaw::Absent),
        (line(""), Flaw::Line),
        (line("TCP4"), Flaw::Line),
        (line("TCP4 192.0.2.7 198.51.100.1 1"), Flaw::Line),
        (line("TCP4 192.0.2.7 198.51.100.1 1 2 3"), Flaw::Line),
        (line("TCP4  192.0.2.7 198.51.100.1 1 2"), Flaw::Line),
        (line("TCP4 192.0.2.07 198.51.100.1 1 2"), Flaw::Line),
        (line("TCP4 2001:db8::7 2001:db8::1 1 2"), Flaw::Line),
        (line("TCP6 192.0.2.7 198.51.100.1 1 2"), Flaw::Line),
        (line("TCP4 192.0.2.7 198.51.100.1 01 2"), Flaw::Line),
        (line("TCP4 192.0.2.7 198.51.100.1 +1 2"), Flaw::Line),
        (line("TCP4 192.0.2.7 198.51.100.1 1 65536"), Flaw::Line),
        (line("UDP4 192.0.2.7 198.51.100.1 1 2"), Flaw::Line),
        ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat(), Flaw::TooLong),
        (v2(0x11, 0x11, &four()), Flaw::Command),
        (v2(0x22, 0x11, &four()), Flaw::Command),
        (v2(0x21, 0x12, &four()), Flaw::Family),
        (v2(0x21, 0x31, &[0; 216]), Flaw::Family),
        (v2(0x21, 0x11, &four()[..11]), Flaw::Length),
        (v2(0x21, 0x21, &four()), Flaw::Length),
        (v2(0x21, 0x11, &[four().as_slice(), &[0xea, 0]].concat()), Flaw::Length),
        (v2(0x21, 0x11, &[four().as_slice(), &[0xea, 0, 2, 1]].concat()), Flaw::Length),
        (long(HEADER_BYTES_MAX + 1), Flaw::TooLong),
    ];
    for (header, flaw) in headers {
        assert_eq!(parse(&header), Err(flaw), "{}", header.escape_ascii());
    }
}

#[test]
fn a_header_of_the_largest_size_is_read_and_its_length_is_believed_at_once() {
    let value = HEADER_BYTES_MAX - FIXED_BYTES - four().len() - TLV_FIXED_BYTES;
    let tlv = [[0xee].as_slice(), &u16::try_from(value).unwrap().to_be_bytes(), &vec![0; value]].concat();
    let header = v2(0x21, 0x11, &[four(), tlv].concat());
    assert_eq!(header.len(), HEADER_BYTES_MAX);
    assert!(matches!(parse(&header), Ok(Parsed::Whole { bytes: HEADER_BYTES_MAX, .. })));
    // Sixteen bytes are enough to know that what is to come is too much.
    assert_eq!(parse(&[SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat()), Err(Flaw::TooLong));
}

/// Bytes that are a header in parts, so that the parser is led past its first steps.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let any = prop::collection::vec(any::<u8>(), 0..64);
    let command = prop::sample::select(vec![0x20u8, 0x21, 0x11]);
    let family = prop::sample::select(vec![0x00u8, 0x11, 0x12, 0x21, 0x31]);
    let binary = (command, family, any.clone()).prop_map(|(command, family, rest)| v2(command, family, &rest));
    prop_oneof![any, binary, "PROXY (TCP4|TCP6|UNKNOWN)[ 0-9a-f.:]{0,60}\r\n".prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn more_bytes_never_change_what_was_said(bytes in nearly(), more in prop::collection::vec(any::<u8>(), 0..32)) {
        let longer = [bytes.as_slice(), &more].concat();
        match parse(&bytes) {
            Ok(Parsed::Partial) => {}
            said => prop_assert_eq!(parse(&longer), said),
        }
    }

    #[test]
    fn no_header_is_longer_than_what_was_there(bytes in nearly()) {
        if let Ok(Parsed::Whole { bytes: length, .. }) = parse(&bytes) {
            prop_assert!(length <= bytes.len() && length <= HEADER_BYTES_MAX);
        }
    }
}
