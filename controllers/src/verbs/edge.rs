//! `karman edge`: moves the clients of an edge or a region elsewhere, and shows how far that is.

use jiff::Timestamp;
use karman_contract::drain::{Drain, DrainOrder, DrainScope};
use karman_contract::status::Status;

use super::table::table;
use super::{Asked, ago, print, print_json};
use crate::failure::{Exit, Failure};
use crate::row;

/// Sends the clients of the edge at the socket elsewhere. With a region, the edge has to be in it, and
/// says so to DNS too.
pub async fn drain(order: DrainOrder, region: Option<&str>, asked: &Asked) -> Result<(), Failure> {
    check_region(region, asked).await?;
    let status = asked.heard(asked.admin.drain(&order).await)?;
    show(&status, asked)
}

/// Lets clients come as before.
pub async fn resume(region: Option<&str>, asked: &Asked) -> Result<(), Failure> {
    check_region(region, asked).await?;
    let status = asked.heard(asked.admin.stay().await)?;
    show(&status, asked)
}

pub async fn status(asked: &Asked) -> Result<(), Failure> {
    show(&asked.status().await?, asked)
}

/// A word for one region that reaches an edge of another is a mistake, and a costly one.
async fn check_region(region: Option<&str>, asked: &Asked) -> Result<(), Failure> {
    let Some(region) = region else { return Ok(()) };
    let status = asked.status().await?;
    if status.edge.region == region {
        return Ok(());
    }
    let (name, found) = (status.edge.name, status.edge.region);
    Err(Failure::new(
        Exit::Usage,
        format!("the edge {name} at {} is in {found}, not in {region}", asked.admin.socket().display()),
    ))
}

fn show(status: &Status, asked: &Asked) -> Result<(), Failure> {
    if asked.json {
        return print_json(status);
    }
    print(&table(&rows(status, Timestamp::now())))
}

fn rows(status: &Status, now: Timestamp) -> Vec<Vec<String>> {
    let edge = &status.edge;
    let mut rows = vec![row!["edge", format!("{} in {}", edge.name, edge.region)]];
    match &status.drain {
        Some(drain) => rows.extend(leaving(drain, status.tunnels, now)),
        None if status.draining => rows.push(row!["state", "about to end"]),
        None => rows.push(row!["state", "serving"]),
    }
    rows.push(row!["carries", format!("{} connections, {} tunnels", status.connections, status.tunnels)]);
    rows
}

fn leaving(Drain { order, since }: &Drain, tunnels: u64, now: Timestamp) -> Vec<Vec<String>> {
    let what = match order.scope {
        DrainScope::Edge => "this edge is being drained",
        DrainScope::Region => "the region is being drained",
    };
    let by = order.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = order.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let waited = now.duration_since(*since).as_secs();
    let wait = i64::from(order.after_seconds) - waited;
    let progress = match (tunnels, wait) {
        (0, _) => "empty".to_owned(),
        (_, 1..) => format!("sockets are left alone for another {wait} s, until load balancers and DNS have moved on"),
        _ => {
            let seconds = tunnels.div_ceil(order.sockets_per_second.into());
            format!("{tunnels} tunnels are left, {} a second: {seconds} s or more", order.sockets_per_second)
        }
    };
    vec![row!["state", format!("{what}, since {}{by}{why}", ago(*since, now))], row!["progress", progress]]
}
