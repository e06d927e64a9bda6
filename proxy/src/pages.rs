//! What people see when the edge answers by itself: one page for all states, or the owner's own.
//!
//! The page asks for nothing outside itself and works without script. It comes back by the `Refresh`
//! header, which the caller sets, as it sets all the others.

use std::borrow::Cow;

use jiff::Timestamp;
use karman_contract::code::Code;

#[cfg(test)]
mod tests;
mod time;
mod words;

use words::Words;

/// The page for every state, with its style inside.
const TEMPLATE: &str = include_str!("pages/default.html");

/// Goes with [`render`]'s page: only its own style, by hash, and pictures that stand in it.
///
/// It may be framed, because the app that it stands for may be.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; \
    style-src 'sha256-HWCoXGQUOwXivx8DHWQZ6bbrAJ3wgwtrtyP57NKkduE='";

/// Of what an owner writes, this much is shown.
const WORDS_CHARACTERS_MAX: usize = 600;
/// A longer host is none, and would only be shown to whoever typed it.
const HOST_CHARACTERS_MAX: usize = 253;
/// A larger logo is left out: the page is what comes when things are slow.
const LOGO_BYTES_MAX: usize = 32 * 1024;

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub struct PageInput<'a> {
    pub code: Code,
    /// The name to call the app by; none where there is no app.
    pub app: Option<&'a str>,
    pub host: &'a str,
    pub request_id: &'a str,
    pub now: Timestamp,
    /// Since when the app has been away.
    pub since: Option<Timestamp>,
    /// After how long trying again may help.
    pub retry_seconds: Option<u32>,
    /// After how long the page comes back by itself; absent after a POST, which must not be repeated.
    pub refresh_seconds: Option<u32>,
    /// The app is down because a release is taking over.
    pub updating: bool,
    /// How long the app's last wakes took: their median.
    pub wake_seconds: Option<u32>,
    /// The owner's words about a maintenance.
    pub words: Option<&'a str>,
    /// When a maintenance should be over.
    pub until: Option<Timestamp>,
    /// The owner's page about the app's state, `https://...`.
    pub status_url: Option<&'a str>,
    /// The app's logo, `data:image/...`.
    pub logo: Option<&'a str>,
}

impl<'a> PageInput<'a> {
    pub fn new(code: Code, request_id: &'a str, now: Timestamp) -> Self {
        Self {
            code,
            app: None,
            host: "",
            request_id,
            now,
            since: None,
            retry_seconds: None,
            refresh_seconds: None,
            updating: false,
            wake_seconds: None,
            words: None,
            until: None,
            status_url: None,
            logo: None,
        }
    }
}

/// The page of the house.
pub fn render(page: &PageInput<'_>) -> String {
    let Words { headline, lines, tone, may_try_again } = words::of(page);
    fill(TEMPLATE, |name| {
        Some(match name {
            "headline" => escape(&headline),
            "tone" if may_try_again && page.refresh_seconds.is_some() => format!("{tone} waits").into(),
            "tone" => tone.into(),
            "name" => name_or_logo(page).into(),
            "then" => then(page, &lines).into(),
            "actions" => actions(page, may_try_again).into(),
            "code" => page.code.shown_to_visitors().as_str().into(),
            "request_id" => escape(page.request_id),
            "now" => time::to_the_second(page.now).into(),
            _ => return None,
        })
    })
}

/// An owner's page, with the five values that the contract names filled in, escaped.
pub fn render_owned(template: &str, page: &PageInput<'_>) -> String {
    fill(template, |name| {
        Some(match name {
            "app" => escape(page.app.unwrap_or_default()),
            "code" => page.code.shown_to_visitors().as_str().into(),
            "request_id" => escape(page.request_id),
            "host" => escape(page.host),
            "since" => page.since.map_or(Cow::Borrowed(""), |since| time::at(since, page.now).into()),
            _ => return None,
        })
    })
}

/// What a caller gets who did not ask for a page.
pub fn json_body(code: Code, request_id: &str) -> String {
    serde_json::json!({"error": code.shown_to_visitors(), "request_id": request_id}).to_string()
}

/// The longest name that is looked for in an owner's page: whoever writes many `{{` and no end has each looked at once.
const NAME_BYTES_MAX: usize = 16;

/// Replaces each `{{name}}` that `value` knows, in one pass: what a value contains is never looked at.
fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
    let mut filled = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, from)) = rest.split_once("{{") {
        filled.push_str(before);
        let known = name(from).and_then(|name| Some((value(name)?, from.get(name.len() + "}}".len()..)?)));
        match known {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = from;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// What stands before the next `}}`, if that is near.
fn name(from: &str) -> Option<&str> {
    let near = from.as_bytes().get(..from.len().min(NAME_BYTES_MAX + "}}".len()))?;
    from.get(..near.windows(2).position(|pair| pair == b"}}")?)
}

fn name_or_logo(page: &PageInput<'_>) -> String {
    let Some(app) = page.app else { return String::new() };
    let app = escape(app);
    match page.logo.filter(|logo| logo.starts_with("data:image/") && logo.len() <= LOGO_BYTES_MAX) {
        Some(logo) => format!("<p class=\"name\"><img src=\"{}\" alt=\"{app}\"></p>", escape(logo)),
        None => format!("<p class=\"name\">{app}</p>"),
    }
}

fn then(page: &PageInput<'_>, lines: &[String]) -> String {
    let quote = page.words.filter(|_| page.code == Code::AppMaintenance).map(|words| cut(words.trim(), WORDS_CHARACTERS_MAX));
    let quote = quote.filter(|words| !words.is_empty()).map(|words| format!("<blockquote>{}</blockquote>\n", escape(&words)));
    let lines = lines.iter().map(|line| format!("<p>{}</p>\n", escape(line)));
    quote.into_iter().chain(lines).collect()
}

/// The link asks for this address with a GET, whatever the request was.
fn actions(page: &PageInput<'_>, may_try_again: bool) -> String {
    let again = may_try_again.then(|| "<a class=\"again\" href=\"\">Try again</a>\n".to_owned());
    let status = page.status_url.filter(|_| may_try_again).and_then(|url| {
        // Nothing but a web address becomes a link: `javascript:` is one too.
        let name = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let name = name.trim_end_matches('/');
        Some(format!("<span>Status: <a href=\"{}\">{}</a></span>\n", escape(url), escape(name)))
    });
    let links: String = again.into_iter().chain(status).collect();
    if links.is_empty() { links } else { format!("<nav>\n{links}</nav>\n") }
}

fn cut(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped.into()
}
