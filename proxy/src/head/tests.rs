//! What a head has to be, and that pingora agrees about every head that goes on.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8_192, fields_bytes: 32_768, fields: 100 };

fn look(head: &[u8]) -> Verdict {
    let whole = Scan::default().look(head, &LIMITS);
    let mut scan = Scan::default();
    let mut verdict = Verdict::More;
    for bytes in 1..=head.len() {
        verdict = scan.look(&head[..bytes], &LIMITS);
        if verdict != Verdict::More {
            break;
        }
    }
    // Of several mistakes, which is seen first may depend on how they come.
    let both_refuse = matches!((&whole, &verdict), (Verdict::Refused(_), Verdict::Refused(_)));
    assert!(both_refuse || whole == verdict, "at once {whole:?}, byte by byte {verdict:?}: {}", head.escape_ascii());
    whole
}

fn whole(head: &str) -> Head {
    match look(head.as_bytes()) {
        Verdict::Whole(head) => head,
        verdict => panic!("{verdict:?}: {head:?}"),
    }
}

fn goes_on_as(head: &str) -> String {
    let verdict = whole(head);
    assert!(verdict.needs_rewriting);
    String::from_utf8(verdict.rewritten(head.as_bytes())).unwrap()
}

#[test]
fn a_head_says_where_it_ends_and_what_follows() {
    let get = "GET /a?b=c HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(
        whole(get),
        Head { place: 0..get.len(), framing: Framing::length(0), expects_continue: false, needs_rewriting: false }
    );
    let post = "\r\nPOST / HTTP/1.1\r\nHOST: a.example\r\nContent-Length:\t12 \r\n\r\n";
    assert_eq!(
        whole(post),
        Head { place: 2..post.len(), framing: Framing::length(12), expects_continue: false, needs_rewriting: false }
    );
    let chunked = "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: Chunked\r\n\r\n";
    assert_eq!(whole(chunked).framing, Framing::chunked());
    assert_eq!(look(&get.as_bytes()[..get.len() - 1]), Verdict::More);
    let followed = format!("{get}GET /next HTTP/1.1\r\n");
    assert_eq!(whole(&followed).place, 0..get.len());
}

#[test]
fn a_head_for_a_proxy_goes_on_in_origin_form() {
    for (target, wanted) in [
        ("http://a.example/x?y", "/x?y"),
        ("HTTPS://A.example/x", "/x"),
        ("http://a.example", "/"),
        ("http://a.example?q", "/?q"),
    ] {
        let head = goes_on_as(&format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n"));
        assert_eq!(head, format!("GET {wanted} HTTP/1.1\r\nhost: a.example\r\n\r\n"));
    }
}

/// Row H18, and the expectations of H23.
#[test]
fn twins_of_trusted_names_and_odd_expectations_stay_here() {
    let head = goes_on_as(
        "GET / HTTP/1.1\r\nX_Forwarded_For: 6.6.6.6\r\nhost: a.example\r\nmy_own: 1\r\nTRANSFER_ENCODING: chunked\r\nexpect: y\r\n\r\n",
    );
    assert_eq!(head, "GET / HTTP/1.1\r\nhost: a.example\r\nmy_own: 1\r\n\r\n");
    let usual = "PUT / HTTP/1.1\r\nhost: a.example\r\nexpect: 100-Continue\r\n\r\n";
    assert!(!whole(usual).needs_rewriting);
}

/// What pingora makes of a head: how long it is, its target and its body.
fn read_by_pingora(head: &[u8]) -> Result<(usize, Vec<u8>), String> {
    use pingora_core::protocols::http::v1::server::HttpSession;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut session = HttpSession::new(Box::new(Cursor::new(head.to_vec())));
        match session.read_request().await {
            Ok(Some(_)) => Ok((session.get_headers_raw_bytes().len(), session.req_header().raw_path().to_vec())),
            Ok(None) => Err("nothing".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    })
}

/// Heads that look like heads, with parts that do not belong there.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "GET",
        "POST",
        "get",
        "CONNECT",
        " ",
        "  ",
        "\t",
        "/",
        "/a?b",
        "/%00/..",
        "*",
        "http://a.example/",
        "http://a.example:80",
        "//a.example",
        "/\\",
        "?",
        "/a?`{|}^[]\\",
        " HTTP/1.1",
        " HTTP/1.0",
        " HTTP/2.0",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\0",
        "host: a.example",
        "host: a.example:80",
        "Host:a.example",
        "host: a@b",
        "host:",
        "content-length: 5",
        "content-length: 5, 5",
        "Content-Length: +5",
        "transfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: \"chunked\"",
        "connection: close",
        "connection: host",
        "connection: keep-alive, Upgrade",
        "upgrade: websocket",
        "expect: 100-continue",
        "x_forwarded_for: a",
        "x: \u{ff}",
        "x: \u{7f}",
        " folded",
        "x : y",
        ": empty",
        "no colon",
        "cookie: a=b; c=d",
        "max-forwards: 0",
    ]);
    let piece = prop_oneof![9 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 1..3)];
    let soup = prop::collection::vec(piece.clone(), 1..12).prop_map(|pieces| pieces.concat());
    let fields = prop::collection::vec(piece, 0..6);
    let target = prop_oneof![Just("/".to_owned()), "/[!-~]{0,12}", "http://a.example(:80)?[/?]?[!-~]{0,6}", "[ -~]{1,8}"];
    let close = (target, fields).prop_map(|(target, fields)| {
        let mut head = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n").into_bytes();
        for field in fields {
            head.extend_from_slice(&field);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    });
    prop_oneof![1 => soup, 3 => close]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A head that goes on is read by pingora as we read it: nothing is refused behind our back, without
    /// a line in the log, and nobody sees the end of it elsewhere.
    #[test]
    fn pingora_reads_every_good_head_as_we_do(head in heads()) {
        if let Verdict::Whole(good) = look(&head) {
            let goes_on = if good.needs_rewriting { good.rewritten(&head) } else { head[good.place.clone()].to_vec() };
            let (bytes, target) = read_by_pingora(&goes_on).map_err(|e| TestCaseError::fail(format!("{e}: {}", head.escape_ascii())))?;
            prop_assert_eq!(bytes, goes_on.len());
            prop_assert!(target.starts_with(b"/"));
            let target_in_bytes = goes_on.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            prop_assert_eq!(target.as_slice(), target_in_bytes, "byte for byte");
            // And a second look at what goes on finds nothing to do.
            prop_assert_eq!(look(&goes_on), Verdict::Whole(Head { place: 0..goes_on.len(), needs_rewriting: false, ..good }));
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        look(&bytes);
    }
}
