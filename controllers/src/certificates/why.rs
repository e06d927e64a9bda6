//! What a name waits for, in one line.

use jiff::Timestamp;

use super::budget::Budgets;
use super::entry::CertificateFile;
use super::need::Need;
use super::order::Order;
use super::plan::{Known, Task};
use crate::verbs::span;

/// Says in one line how a name stands; `ca` is the one that would be asked.
pub fn why(known: &Known<'_>, id: &str, need: &Need, ca: &str, budgets: &Budgets) -> String {
    let name = &need.name;
    let now = known.now;
    let order = known.orders.get(id);
    match known.task(id, need, ca, budgets) {
        Task::Good { id, until } => match known.certificates.get(&id) {
            Some(file) => format!("{name} is certified {}; {}", until_words(file, now), renewal_words(file, until, now)),
            None => format!("{name} is certified"),
        },
        Task::Done => format!("{name} has its new certificate"),
        Task::Unable(unable) => format!("{name} gets no certificate: {}", unable.as_str()),
        Task::Wait { until, why } => {
            let times = order.map_or(0, |order| order.failures);
            let times = if times > 1 { format!(", {times} times in a row") } else { String::new() };
            format!("{name} waits until {until} ({} from now){times}: {why}", span(now.duration_until(until)))
        }
        Task::Work { .. } => format!("{name} {}", under_way(order)),
    }
}

fn under_way(order: Option<&Order>) -> String {
    match order.and_then(|order| order.attempt.as_ref()) {
        None => "is about to be ordered".to_owned(),
        Some(attempt) => match (&attempt.url, &attempt.shown) {
            (None, _) => format!("is being ordered from {}", attempt.ca),
            (Some(_), None) => format!("is ordered from {}; its proof is being prepared", attempt.ca),
            (Some(_), Some(_)) => format!("is ordered from {}, which looks at its proof or issues it", attempt.ca),
        },
    }
}

fn until_words(file: &CertificateFile, now: Timestamp) -> String {
    format!("until {} ({} left)", file.not_after, span(now.duration_until(file.not_after)))
}

fn renewal_words(file: &CertificateFile, until: Timestamp, now: Timestamp) -> String {
    use super::entry::Source;
    match file.source {
        Source::Added => format!("who added it renews it; if nobody does, one is ordered at {until}"),
        Source::Ordered | Source::Imported => format!("it is renewed in {}", span(now.duration_until(until))),
    }
}
