//! What each state is called and what comes then, in words for somebody who only wanted to use the app.

use karman_contract::code::Code;

use super::{HOST_CHARACTERS_MAX, PageInput, cut, time};

/// The text of a page, not escaped yet.
pub(super) struct Words {
    pub(super) headline: String,
    pub(super) lines: Vec<String>,
    /// A class of the template.
    pub(super) tone: &'static str,
    /// Whether asking again may lead to something else.
    pub(super) may_try_again: bool,
}

/// Something is on its way.
const DAWN: &str = "dawn";
/// Something is wrong.
const DUSK: &str = "dusk";
/// All is well, but not for everybody at once.
const DAY: &str = "day";
/// Nothing will happen here by itself.
const NIGHT: &str = "night";

const NOT_YOU: &str = "Nothing you did caused this.";

pub(super) fn of(page: &PageInput<'_>) -> Words {
    match page.code.shown_to_visitors() {
        Code::AppDown if page.updating => being_updated(page),
        Code::AppDown => not_answering(page, went_away(page)),
        Code::ConnectRefused | Code::ConnectTimeout => not_answering(page, NOT_YOU.to_owned()),
        Code::HoldTimeout => not_answering(page, after("We waited for it, but it did not come back in time.")),
        Code::AppStarting | Code::AppAsleep => waking_up(page),
        Code::QueueFull | Code::QueueTimeout | Code::OverLimit | Code::Overloaded => very_busy(page),
        Code::AppMaintenance => closed(page),
        Code::AppStopped | Code::AppSuspended => end(format!("{} is not available", name(page)), Vec::new()),
        Code::UnknownHost => end("There is no app at this address", nobody_here(page)),
        Code::FirstByteTimeout => too_slow(page),
        Code::InstanceReset | Code::InstanceGarbage | Code::IdleTimeout => broke_off(page),
        Code::Draining => restarting(page),
        Code::Internal => trouble_of_ours(),
        Code::RequestTimeout => arrived_too_late(),
        Code::Misdirected => leads_elsewhere(),
        Code::Blocked => not_from_there(page),
        Code::BodyTooLarge => too_large(page),
        Code::UriTooLong => address_too_long(),
        Code::HeadersTooLarge => too_many_cookies(),
        Code::MethodNotAllowed => not_done_here(),
        Code::BadRequest => not_understood(),
    }
}

fn name<'p>(page: &PageInput<'p>) -> &'p str {
    page.app.unwrap_or("This app")
}

/// Asking again may lead to something else.
fn say(tone: &'static str, headline: impl Into<String>, lines: Vec<String>) -> Words {
    Words { headline: headline.into(), lines, tone, may_try_again: true }
}

/// It leads to the same again.
fn end(headline: impl Into<String>, lines: Vec<String>) -> Words {
    Words { headline: headline.into(), lines, tone: NIGHT, may_try_again: false }
}

fn after(what_happened: &str) -> String {
    format!("{what_happened} {NOT_YOU}")
}

fn being_updated(page: &PageInput<'_>) -> Words {
    let news = after("A new release is taking over.");
    say(DAWN, format!("{} is being updated", name(page)), vec![news, comes_back(page)])
}

fn not_answering(page: &PageInput<'_>, what_happened: String) -> Words {
    say(DUSK, format!("{} isn't answering right now", name(page)), vec![what_happened, comes_back(page)])
}

fn waking_up(page: &PageInput<'_>) -> Words {
    say(DAWN, format!("{} is waking up", name(page)), vec![wakes(page), brings_back(page, "is awake")])
}

fn very_busy(page: &PageInput<'_>) -> Words {
    let crowd = "More visitors want in than it can take right now.".to_owned();
    say(DAY, format!("{} is very busy", name(page)), vec![crowd, tries_again(page)])
}

fn closed(page: &PageInput<'_>) -> Words {
    let lines = opens(page).into_iter().chain(page.refresh_seconds.map(|_| brings_back(page, "opens again")));
    say(DAWN, format!("{} is closed for maintenance", name(page)), lines.collect())
}

fn too_slow(page: &PageInput<'_>) -> Words {
    let slow = after("It is running, but gave no answer in time.");
    say(DUSK, format!("{} took too long to answer", name(page)), vec![slow, comes_back(page)])
}

fn broke_off(page: &PageInput<'_>) -> Words {
    let broke = after("It broke off before its answer was complete.");
    say(DUSK, format!("{} could not finish its answer", name(page)), vec![broke, comes_back(page)])
}

fn restarting(page: &PageInput<'_>) -> Words {
    let news = after("The server that you reached is about to restart, another one takes over.");
    say(DAWN, "One moment, please", vec![news, comes_back(page)])
}

fn trouble_of_ours() -> Words {
    let ours = "It is not your fault. With the line below, those who run this server can find out what it was.".to_owned();
    say(DUSK, "Something went wrong on our side", vec![ours])
}

fn arrived_too_late() -> Words {
    let slow = "The connection may be slow, or it was interrupted.".to_owned();
    say(DUSK, "Your request took too long to arrive", vec![slow])
}

fn leads_elsewhere() -> Words {
    let other = "Your browser used a connection that was opened for another address. Trying again opens a new one.".to_owned();
    say(DAWN, "This connection leads elsewhere", vec![other])
}

fn not_from_there(page: &PageInput<'_>) -> Words {
    let mistake = "If you think that this is a mistake, send the line below to whoever runs it.".to_owned();
    end(format!("{} takes no visitors from your network", name(page)), vec![mistake])
}

fn too_large(page: &PageInput<'_>) -> Words {
    end("This is too large to send", vec![format!("{} does not take in as much at once.", name(page))])
}

fn address_too_long() -> Words {
    let link = "The link may be broken. The start page of the site is a good place to go on.".to_owned();
    end("This address is too long", vec![link])
}

fn too_many_cookies() -> Words {
    let cookies = "Most often it is the cookies of this site: removing them helps.".to_owned();
    say(NIGHT, "Your browser sent more than fits", vec![cookies])
}

fn not_done_here() -> Words {
    let kind = "What was sent is of a kind that is not taken in here.".to_owned();
    end("This cannot be done here", vec![kind])
}

fn not_understood() -> Words {
    let again = "What arrived is not a request that a browser would send. Opening the page anew often helps.".to_owned();
    say(NIGHT, "This request could not be understood", vec![again])
}

fn went_away(page: &PageInput<'_>) -> String {
    match page.since {
        Some(since) => format!("It went away at {}, {}. {NOT_YOU}", time::at(since, page.now), time::ago(since, page.now)),
        None => NOT_YOU.to_owned(),
    }
}

fn comes_back(page: &PageInput<'_>) -> String {
    match page.refresh_seconds {
        Some(_) => "We are watching it and will bring you back here the moment it answers.".to_owned(),
        None => tries_again(page),
    }
}

fn brings_back(page: &PageInput<'_>, when_it: &str) -> String {
    match page.refresh_seconds {
        Some(_) => format!("We will bring you back here as soon as it {when_it}."),
        None => tries_again(page),
    }
}

fn tries_again(page: &PageInput<'_>) -> String {
    let about = |seconds: u32| time::span(seconds.into());
    match (page.refresh_seconds, page.retry_seconds) {
        (Some(seconds), _) => format!("We will try again for you in about {}.", about(seconds)),
        (None, Some(seconds)) => format!("Please try again in about {}.", about(seconds)),
        (None, None) => "Please try again in a moment.".to_owned(),
    }
}

fn wakes(page: &PageInput<'_>) -> String {
    match page.wake_seconds {
        Some(seconds) => format!("This usually takes about {}.", time::span(seconds.max(1).into())),
        None => "This usually does not take long.".to_owned(),
    }
}

fn opens(page: &PageInput<'_>) -> Option<String> {
    let until = page.until?;
    Some(match time::ahead(until, page.now) {
        Some(ahead) => format!("It should be back at {}, {ahead}.", time::at(until, page.now)),
        None => "It should be back any moment now.".to_owned(),
    })
}

fn nobody_here(page: &PageInput<'_>) -> Vec<String> {
    let check = "Please check it for a typing mistake.".to_owned();
    if page.host.is_empty() {
        return vec![check];
    }
    let host = cut(page.host, HOST_CHARACTERS_MAX);
    let owner = format!("Is {host} yours? It already points here. Add it to the hosts of your app, and it is served at once.");
    vec![check, owner]
}
