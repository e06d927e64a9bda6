//! What the pages say, that they ask for nothing outside, and that nothing breaks out of its place.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::*;

fn now() -> Timestamp {
    "2026-11-23T14:05:11Z".parse().unwrap()
}

fn page(code: Code) -> PageInput<'static> {
    PageInput {
        app: (code != Code::UnknownHost).then_some("todos"),
        host: "todos.example.com",
        refresh_seconds: (code.status() == 503).then_some(30),
        ..PageInput::new(code, "8f3c2a", now())
    }
}

/// As full as a page can be.
fn full(code: Code) -> PageInput<'static> {
    PageInput {
        since: "2026-11-23T14:02:00Z".parse().ok(),
        wake_seconds: Some(8),
        retry_seconds: Some(12),
        words: Some("We are moving to a larger database.\nBack for tea. – Ada"),
        until: "2026-11-23T15:30:00Z".parse().ok(),
        status_url: Some("https://status.example.com/"),
        ..page(code)
    }
}

/// The text between the tags, as a text browser shows it.
fn text(html: &str) -> String {
    let body = html.split_once("<body").unwrap().1.split_once('>').unwrap().1;
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&#39;", "'").replace("&middot;", "-")
}

fn assert_says(page: &PageInput<'_>, wanted: &str) {
    let found = text(&render(page));
    assert!(found.contains(wanted), "'{wanted}' is not in:\n{found}");
}

#[test]
fn each_state_is_named_without_jargon() {
    for (code, wanted) in [
        (Code::AppDown, "todos todos isn't answering right now"),
        (Code::AppStarting, "todos todos is waking up"),
        (Code::AppAsleep, "todos todos is waking up"),
        (Code::QueueFull, "todos todos is very busy"),
        (Code::QueueTimeout, "todos todos is very busy"),
        (Code::OverLimit, "todos todos is very busy"),
        (Code::Overloaded, "todos todos is very busy"),
        (Code::AppMaintenance, "todos todos is closed for maintenance"),
        (Code::AppStopped, "todos todos is not available"),
        (Code::UnknownHost, "There is no app at this address"),
    ] {
        let found = text(&render(&page(code)));
        assert!(found.starts_with(wanted), "{code}: {found}");
        assert!(found.ends_with(&format!("{code} - request 8f3c2a - 14:05:11 UTC")), "{code}: {found}");
    }
}

#[test]
fn then_comes_what_the_visitor_can_expect() {
    let down = full(Code::AppDown);
    assert_says(&down, "It went away at 14:02 UTC, 3 minutes ago. Nothing you did caused this.");
    assert_says(&down, "We are watching it and will bring you back here the moment it answers.");
    assert_says(&down, "Try again Status: status.example.com");
    assert_says(&PageInput { updating: true, ..down }, "todos is being updated");

    assert_says(
        &full(Code::AppAsleep),
        "This usually takes about 8 seconds. We will bring you back here as soon as it is awake.",
    );
    assert_says(&full(Code::QueueFull), "We will try again for you in about 30 seconds.");
    assert_says(&full(Code::OverLimit), "Please try again in about 12 seconds.");
    assert_says(&full(Code::UnknownHost), "Is todos.example.com yours? It already points here. Add it to the hosts of your app");

    let closed = full(Code::AppMaintenance);
    assert_says(
        &closed,
        "We are moving to a larger database. Back for tea. – Ada It should be back at 15:30 UTC, in 85 minutes.",
    );
    assert_says(&PageInput { until: Some(now()), ..closed }, "It should be back any moment now.");
}

#[test]
fn after_a_post_nothing_comes_back_by_itself_but_a_link_asks_with_get() {
    for code in [Code::AppDown, Code::AppAsleep, Code::QueueFull, Code::AppMaintenance, Code::Draining] {
        let html = render(&PageInput { refresh_seconds: None, ..full(code) });
        assert!(html.contains("<a class=\"again\" href=\"\">Try again</a>"), "{code}");
        for promise in ["bring you back", "try again for you", "waits\""] {
            assert!(!html.contains(promise), "{code}: {promise}");
        }
        assert!(!html.contains("<form"), "{code}");
    }
}

#[test]
fn a_visitor_cannot_tell_suspended_from_stopped_and_is_told_nothing_else() {
    let suspended = render(&full(Code::AppSuspended));
    assert_eq!(suspended, render(&full(Code::AppStopped)));
    assert_eq!(text(&suspended), "todos todos is not available app-stopped - request 8f3c2a - 14:05:11 UTC");
    assert_eq!(render_owned("{{code}}", &full(Code::AppSuspended)), "app-stopped");
    assert!(!json_body(Code::AppSuspended, "1").contains("suspended"));
}

/// Every page is also written to `target/pages`, to be looked at.
#[test]
fn every_page_is_small_stands_alone_and_has_what_a_page_needs() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pages");
    fs::create_dir_all(&dir).unwrap();
    for code in Code::ALL {
        for (name, input) in [("", page(*code)), ("-full", full(*code))] {
            let html = render(&input);
            fs::write(dir.join(format!("{code}{name}.html")), &html).unwrap();
            assert!(html.len() < 8_000, "{code}: {} bytes", html.len());
            for wanted in ["<html lang=\"en\">", "role=\"status\"", "content=\"noindex\"", "width=device-width", "</html>"] {
                assert!(html.contains(wanted), "{code}: {wanted}");
            }
            assert!(!html.contains("{{"), "{code}: a placeholder is left");
            for unwanted in ["<script", "src=", "url(", "@import", "http-equiv", " style=\"", "<form"] {
                assert!(!html.contains(unwanted), "{code}: {unwanted}");
            }
            let links: Vec<_> = html.split("href=\"").skip(1).filter_map(|link| link.split('"').next()).collect();
            let known = ["data:,", "", "https://status.example.com/"];
            assert!(links.iter().all(|link| known.contains(link)), "{code}: {links:?}");
        }
    }
}

#[test]
fn the_policy_allows_exactly_the_style_of_the_page() {
    let style = TEMPLATE.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(!style.contains("{{"), "the style is the same in every page");
    let hash = STANDARD.encode(Sha256::digest(style));
    let wanted = format!("; style-src 'sha256-{hash}'");
    assert!(CONTENT_SECURITY_POLICY.ends_with(&wanted), "the style has changed: {wanted}");
}

#[test]
fn nothing_that_is_shown_breaks_out_of_its_place() {
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;{{code}}";
    let logo = format!("data:image/png,{evil}");
    let status = format!("https://{evil}");
    for code in Code::ALL {
        let input = PageInput {
            code: *code,
            app: Some(evil),
            host: evil,
            request_id: evil,
            words: Some(evil),
            status_url: Some(&status),
            logo: Some(&logo),
            ..full(*code)
        };
        let html = render(&input);
        let tags = |html: &str| html.matches('<').count();
        let harmless = PageInput {
            app: Some("a"),
            host: "h",
            request_id: "r",
            words: Some("w"),
            status_url: Some("https://s"),
            logo: Some("data:image/x"),
            ..input
        };
        assert_eq!(tags(&html), tags(&render(&harmless)), "{code}: {html}");
        assert!(html.contains("{{code}}"), "{code}: a value was expanded");
        assert!(!html.contains("<script"), "{code}");

        let owned = render_owned("<p title=\"{{app}}\">{{host}} {{request_id}}</p>", &input);
        assert_eq!(tags(&owned), 2, "{owned}");
        assert_eq!(owned.matches("{{code}}").count(), 3, "a value was expanded: {owned}");
    }
}

#[test]
fn only_pictures_in_the_page_and_web_addresses_are_shown() {
    let input = full(Code::AppDown);
    let picture = PageInput { logo: Some("data:image/svg+xml,x"), ..input };
    assert!(render(&picture).contains("<img src=\"data:image/svg+xml,x\" alt=\"todos\">"));
    let large = format!("data:image/png,{}", "x".repeat(LOGO_BYTES_MAX));
    for logo in ["https://example.com/logo.png", "data:text/html,x", &large] {
        assert!(!render(&PageInput { logo: Some(logo), ..input }).contains("<img"), "{}", &logo[..20]);
    }
    assert!(!render(&PageInput { status_url: Some("javascript:alert(1)"), ..input }).contains("javascript"));
}

#[test]
fn long_texts_are_cut() {
    let long = "<".repeat(100_000);
    let input = PageInput { words: Some(&long), host: &long, ..page(Code::AppMaintenance) };
    assert!(render(&input).len() < 8_000);
    assert!(render(&PageInput { code: Code::UnknownHost, ..input }).len() < 8_000);
}

#[test]
fn an_owners_page_has_its_values_filled_in_once() {
    let input = full(Code::AppDown);
    for (template, wanted) in [
        ("", ""),
        ("no placeholder", "no placeholder"),
        ("{{app}} {{code}} {{request_id}} {{host}}", "todos app-down 8f3c2a todos.example.com"),
        ("away since {{since}}", "away since 14:02 UTC"),
        ("{{unknown}} {{}} {{ app }}", "{{unknown}} {{}} {{ app }}"),
        ("{{{app}}}", "{{{app}}}"),
        ("{{app}", "{{app}"),
        ("{{x {{app}}", "{{x todos"),
        ("{{app}}{{app}}", "todostodos"),
        ("é{{app}}é", "étodosé"),
        ("{{", "{{"),
    ] {
        assert_eq!(render_owned(template, &input), wanted, "{template}");
    }
    assert_eq!(render_owned("[{{app}}{{since}}]", &PageInput::new(Code::UnknownHost, "1", now())), "[]");
}

#[test]
fn json_is_for_programs() {
    assert_eq!(json_body(Code::AppDown, "8f3c2a"), r#"{"error":"app-down","request_id":"8f3c2a"}"#);
    assert_eq!(json_body(Code::Internal, "\"\n"), r#"{"error":"internal","request_id":"\"\n"}"#);
}

#[test]
fn times_are_said_as_people_say_them() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (since, wanted_at, wanted_ago) in [
        ("2026-11-23T14:05:11Z", "14:05 UTC", "a moment ago"),
        ("2026-11-23T14:04:27Z", "14:04 UTC", "a moment ago"),
        ("2026-11-23T14:04:00Z", "14:04 UTC", "71 seconds ago"),
        ("2026-11-23T14:03:41Z", "14:03 UTC", "2 minutes ago"),
        ("2026-11-23T13:05:11Z", "13:05 UTC", "60 minutes ago"),
        ("2026-11-23T12:20:11Z", "12:20 UTC", "2 hours ago"),
        ("2026-11-22T23:59:00Z", "23:59 UTC on 22 November", "14 hours ago"),
        ("2026-11-03T09:00:00Z", "09:00 UTC on 3 November", "20 days ago"),
        ("2026-11-23T14:06:00Z", "14:06 UTC", "a moment ago"),
    ] {
        assert_eq!(time::at(at(since), now()), wanted_at, "{since}");
        assert_eq!(time::ago(at(since), now()), wanted_ago, "{since}");
    }
    assert_eq!(time::ahead(now(), now()), None);
    assert_eq!(time::ahead(at("2026-11-23T14:05:12Z"), now()).unwrap(), "in 1 second");
}

#[test]
fn a_page_of_beginnings_without_an_end_is_looked_at_once() {
    let template = format!("{}}}}}", "{{".repeat(20_000));
    let looked_at = std::cell::Cell::new(0);
    let filled = fill(&template, |name| {
        looked_at.set(looked_at.get() + name.len());
        None
    });
    assert_eq!(filled, template);
    assert!(looked_at.get() <= template.len(), "{} bytes of {}", looked_at.get(), template.len());
}
