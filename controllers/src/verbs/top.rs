//! `karman top`: which apps make the load of an edge now.

mod screen;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::answer::Refusal;
use karman_contract::load::{AppLoad, Busiest, Load, Rates};
use karman_contract::status::{Edge, Status};
use serde::Serialize;
use tokio::time::sleep;

use self::screen::Screen;
use super::table::{table, to_the_right};
use super::{Asked, print};
use crate::admin::AdminError;
use crate::failure::{Exit, Failure};
use crate::row;
use crate::signals::Signals;

/// How often it looks where nobody can stop it by a key.
const LOOKS: usize = 5;
/// How soon a proxy is looked for again that went away, as in an upgrade.
const AGAIN: Duration = Duration::from_secs(1);
/// What stands on a screen beside the rows of the apps.
const OTHER_LINES: usize = 5;

/// What is asked for.
#[derive(Debug)]
pub struct Order {
    pub by: Busiest,
    /// As many as fit, if nobody says.
    pub rows: Option<usize>,
    pub once: bool,
}

/// One look, as a script gets it.
#[derive(Serialize)]
struct Answer<'a> {
    at: Timestamp,
    edge: &'a Edge,
    #[serde(flatten)]
    load: &'a Load,
}

pub async fn run(order: Order, asked: &Asked) -> Result<(), Failure> {
    let mut signals = Signals::heard()?;
    tokio::select! {
        looked = look(&order, asked) => looked,
        // The screen is given back with what is dropped here.
        () = signals.stop() => Ok(()),
    }
}

async fn look(order: &Order, asked: &Asked) -> Result<(), Failure> {
    let status = asked.status().await?;
    let mut screen = (stdout().is_terminal() && !order.once && !asked.json).then(Screen::open).transpose()?;
    let Some(screen) = &mut screen else {
        for _ in 0..if order.once { 1 } else { LOOKS } {
            let load = load(order.rows.unwrap_or(Load::APPS), order, asked, &status).await?;
            print(&said(&asked.heard(load)?, order.by, &status.edge, asked.json))?;
        }
        return Ok(());
    };
    screen.show(&format!("{} is looked at for {} s ...\n", status.edge.name, Load::SECONDS))?;
    loop {
        let rows = order.rows.unwrap_or_else(|| screen.lines().saturating_sub(OTHER_LINES).max(1));
        match load(rows, order, asked, &status).await? {
            Ok(load) => screen.show(&shown(&load, order.by, &status.edge))?,
            Err(error) => {
                screen.show(&format!("{}\nlooking again\n", error.failure(asked.admin.socket())))?;
                sleep(AGAIN).await;
            }
        }
    }
}

/// What the proxy tells, or why it does not now. That it never will is a failure.
async fn load(rows: usize, order: &Order, asked: &Asked, status: &Status) -> Result<Result<Load, AdminError>, Failure> {
    match asked.admin.load(order.by, rows).await {
        Err(AdminError::Refused(Refusal::NotFound { .. })) => {
            let (edge, version) = (&status.edge.name, &status.version);
            let message = format!("the proxy of {edge} (karman-proxy {version}) is older than 'karman top': upgrade it");
            Err(Failure::new(Exit::Unavailable, message))
        }
        answer => Ok(answer),
    }
}

fn said(load: &Load, by: Busiest, edge: &Edge, json: bool) -> String {
    if json {
        let answer = Answer { at: Timestamp::now(), edge, load };
        return serde_json::to_string(&answer).unwrap_or_default() + "\n";
    }
    shown(load, by, edge) + "\n"
}

fn shown(load: &Load, by: Busiest, edge: &Edge) -> String {
    let Load { apps, busy, total, live, nobody, busiest, .. } = load;
    let mut text = format!(
        "{} in {}: {} requests/s, {} new sockets/s, {} in flight, {} sockets, {}/s in, {}/s out\n",
        edge.name,
        edge.region,
        rate(total.requests),
        rate(total.sockets),
        live.in_flight,
        live.sockets,
        bytes(total.bytes_in),
        bytes(total.bytes_out),
    );
    text.push_str(&format!("{busy} of {apps} apps are busy; by {}, over {:.0} s", by.as_str(), load.seconds));
    if nobody.requests > 0.0 {
        text.push_str(&format!("; {} requests/s for hosts of no app", rate(nobody.requests)));
    }
    text.push_str("\n\n");
    if busiest.is_empty() {
        return text + "no app is busy\n";
    }
    let mut rows = vec![row![
        "APP",
        "OWNER",
        "REQ/S",
        "NEW/S",
        "IN FLIGHT",
        "QUEUED",
        "HELD",
        "SOCKETS",
        "IN/S",
        "OUT/S",
        "REFUSED/S",
        "FAILED/S",
        ""
    ]];
    rows.extend(busiest.iter().map(app_row));
    to_the_right(&mut rows, 2..12);
    text + &table(&rows)
}

fn app_row(app: &AppLoad) -> Vec<String> {
    let AppLoad { id, owner, rates: Rates { requests, sockets, refused, failed, bytes_in, bytes_out }, live, .. } = app;
    row![
        id,
        owner,
        rate(*requests),
        rate(*sockets),
        live.in_flight,
        live.queued,
        live.held + live.waiting,
        live.sockets,
        bytes(*bytes_in),
        bytes(*bytes_out),
        rate(*refused),
        rate(*failed),
        remarks(app),
    ]
}

/// That its owner is over its share, and why the edge refused what it did, the most frequent first.
fn remarks(app: &AppLoad) -> String {
    let mut codes: Vec<_> = app.refused_by_code.iter().collect();
    codes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let codes = codes.into_iter().map(|(code, often)| format!("{code} {}", rate(*often)));
    let over = app.live.over_share.then(|| "over its share".to_owned());
    over.into_iter().chain(codes).collect::<Vec<_>>().join(", ")
}

fn rate(often: f64) -> String {
    if often > 0.0 && often < 10.0 { format!("{often:.1}") } else { format!("{often:.0}") }
}

fn bytes(count: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{count:.0} B"),
    }
}
