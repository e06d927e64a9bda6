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
    let name = page.app.unwrap_or("This app");
    let say = |tone, headline: String, lines: Vec<String>| Words { headline, lines, tone, may_try_again: true };
    let end = |headline: String, lines: Vec<String>| Words { headline, lines, tone: NIGHT, may_try_again: false };

    match page.code.shown_to_visitors() {
        Code::AppDown if page.updating => {
            let news = format!("A new release is taking over. {NOT_YOU}");
            say(DAWN, format!("{name} is being updated"), vec![news, comes_back(page)])
        }
        Code::AppDown => say(DUSK, not_answering(name), vec![went_away(page), comes_back(page)]),
        Code::ConnectRefused | Code::ConnectTimeout => say(DUSK, not_answering(name), vec![NOT_YOU.to_owned(), comes_back(page)]),
        Code::HoldTimeout => {
            let waited = format!("We waited for it, but it did not come back in time. {NOT_YOU}");
            say(DUSK, not_answering(name), vec![waited, comes_back(page)])
        }
        Code::AppStarting | Code::AppAsleep => {
            say(DAWN, format!("{name} is waking up"), vec![wakes(page), brings_back(page, "is awake")])
        }
        Code::QueueFull | Code::QueueTimeout | Code::OverLimit | Code::Overloaded => {
            let crowd = "More visitors want in than it can take right now.".to_owned();
            say(DAY, format!("{name} is very busy"), vec![crowd, tries_again(page)])
        }
        Code::AppMaintenance => {
            let lines = opens(page).into_iter().chain(page.refresh_seconds.map(|_| brings_back(page, "opens again")));
            say(DAWN, format!("{name} is closed for maintenance"), lines.collect())
        }
        Code::AppStopped | Code::AppSuspended => end(format!("{name} is not available"), Vec::new()),
        Code::UnknownHost => end("There is no app at this address".to_owned(), nobody_here(page)),
        Code::FirstByteTimeout => {
            let slow = format!("It is running, but gave no answer in time. {NOT_YOU}");
            say(DUSK, format!("{name} took too long to answer"), vec![slow, comes_back(page)])
        }
        Code::InstanceReset | Code::InstanceGarbage | Code::IdleTimeout => {
            let broke = format!("It broke off before its answer was complete. {NOT_YOU}");
            say(DUSK, format!("{name} could not finish its answer"), vec![broke, comes_back(page)])
        }
        Code::Draining => {
            let news = format!("The server that you reached is about to restart, another one takes over. {NOT_YOU}");
            say(DAWN, "One moment, please".to_owned(), vec![news, comes_back(page)])
        }
        Code::Internal => {
            let ours =
                "It is not your fault. With the line below, those who run this server can find out what it was.".to_owned();
            say(DUSK, "Something went wrong on our side".to_owned(), vec![ours])
        }
        Code::RequestTimeout => {
            let slow = "The connection may be slow, or it was interrupted.".to_owned();
            say(DUSK, "Your request took too long to arrive".to_owned(), vec![slow])
        }
        Code::Misdirected => {
            let other =
                "Your browser used a connection that was opened for another address. Trying again opens a new one.".to_owned();
            say(DAWN, "This connection leads elsewhere".to_owned(), vec![other])
        }
        Code::Blocked => {
            let mistake = "If you think that this is a mistake, send the line below to whoever runs it.".to_owned();
            end(format!("{name} takes no visitors from your network"), vec![mistake])
        }
        Code::BodyTooLarge => {
            end("This is too large to send".to_owned(), vec![format!("{name} does not take in as much at once.")])
        }
        Code::UriTooLong => {
            let link = "The link may be broken. The start page of the site is a good place to go on.".to_owned();
            end("This address is too long".to_owned(), vec![link])
        }
        Code::HeadersTooLarge => {
            let cookies = "Most often it is the cookies of this site: removing them helps.".to_owned();
            say(NIGHT, "Your browser sent more than fits".to_owned(), vec![cookies])
        }
        Code::MethodNotAllowed => {
            let kind = "What was sent is of a kind that is not taken in here.".to_owned();
            end("This cannot be done here".to_owned(), vec![kind])
        }
        Code::BadRequest => {
            let again = "What arrived is not a request that a browser would send. Opening the page anew often helps.".to_owned();
            say(NIGHT, "This request could not be understood".to_owned(), vec![again])
        }
    }
}

fn not_answering(name: &str) -> String {
    format!("{name} isn't answering right now")
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
