//! Times and spans as people say them. All times are UTC: the edge does not know where a visitor is.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `14:05:11 UTC`
pub(super) fn to_the_second(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// `14:02 UTC`, with its day if that is not today.
pub(super) fn at(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.as_second().div_euclid(DAY);
    let format = if day(at) == day(now) { "%H:%M UTC" } else { "%H:%M UTC on %-d %B" };
    at.strftime(format).to_string()
}

/// `3 minutes ago`
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.as_second() - at.as_second() {
        // A clock that runs ahead is no reason to speak of the future.
        ..45 => "a moment ago".to_owned(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// `in 25 minutes`; `None` if the time has passed.
pub(super) fn ahead(at: Timestamp, now: Timestamp) -> Option<String> {
    match at.as_second() - now.as_second() {
        ..=0 => None,
        seconds => Some(format!("in {}", span(seconds))),
    }
}

/// In the largest unit of which there are at least one and a half, rounded to the nearest.
pub(super) fn span(seconds: i64) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let fits = units.into_iter().find(|(unit, _)| seconds >= unit + unit / 2);
    let (unit, name) = fits.unwrap_or((1, "second"));
    let count = (seconds + unit / 2) / unit;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}
