//! `karman events`: what happened at the edge, as it is kept there or as it happens.

use std::io::{self, Write as _};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jiff::Timestamp;
use karman_contract::event::Event;
use tokio::time::{sleep, timeout};

use super::{Asked, word};
use crate::admin::AdminError;
use crate::failure::Failure;

/// The stream has no end; without `--follow` this much silence is one.
const QUIET: Duration = Duration::from_millis(300);
const AGAIN: Duration = Duration::from_secs(1);

/// Where a reader of the events is.
struct Reader {
    follow: bool,
    json: bool,
    since: Option<u64>,
    /// Which run of the proxy was read.
    started_at: Option<Timestamp>,
}

pub async fn run(follow: bool, since: Option<u64>, asked: &Asked) -> Result<(), Failure> {
    // Without `--follow` all that is kept; with it what comes from now on.
    let since = if follow { since } else { since.or(Some(0)) };
    let mut reader = Reader { follow, json: asked.json, since, started_at: None };
    loop {
        match reader.read(asked).await {
            Ok(Ended::Enough) => return Ok(()),
            Ok(Ended::Lost) => eprintln!("karman: the proxy went away; waiting for it"),
            Err(error) if reader.started_at.is_none() => return asked.heard(Err(error)),
            // It is not back yet.
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

enum Ended {
    Enough,
    Lost,
}

impl Reader {
    async fn read(&mut self, asked: &Asked) -> Result<Ended, AdminError> {
        let status = asked.admin.status().await?;
        // Each run of the proxy counts its events from 1: those of a new run are all new.
        if self.started_at.is_some_and(|before| before != status.started_at) {
            self.since = Some(0);
        }
        self.started_at = Some(status.started_at);
        let mut body = asked.admin.events(self.since).await?.into_body();
        let mut text = Vec::new();
        while let Some(piece) = next(&mut body, self.follow).await {
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = text.drain(..end + 2).collect();
                if self.show(&String::from_utf8_lossy(&message)).is_err() {
                    return Ok(Ended::Enough);
                }
            }
        }
        Ok(if self.follow { Ended::Lost } else { Ended::Enough })
    }

    /// Shows one message of the stream. It fails when nobody reads any more.
    fn show(&mut self, message: &str) -> io::Result<()> {
        let Some(data) = message.lines().find_map(|line| line.strip_prefix("data:")) else { return Ok(()) };
        let id = message.lines().find_map(|line| line.strip_prefix("id:")).and_then(|id| id.trim().parse().ok());
        self.since = id.or(self.since);
        let line = match serde_json::from_str::<Event>(data) {
            Ok(event) if !self.json => line(&event),
            // A newer proxy may tell of what this release has no word for.
            _ => data.trim().to_owned(),
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush())
    }
}

async fn next(body: &mut Incoming, follow: bool) -> Option<bytes::Bytes> {
    loop {
        let frame = match follow {
            true => body.frame().await,
            false => timeout(QUIET, body.frame()).await.ok()?,
        };
        if let Ok(data) = frame?.ok()?.into_data() {
            return Some(data);
        }
    }
}

fn line(event: &Event) -> String {
    let kind = word(event.event);
    let at = event.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut line = format!("{:>6}  {at}  {kind:<20}", event.id);
    let about = [
        event.app.as_ref().map(ToString::to_string),
        event.instance.as_ref().map(ToString::to_string),
        event.host.as_ref().map(ToString::to_string),
        event.code.map(|code| code.to_string()),
        event.generation.map(|generation| format!("generation {generation}")),
        event.by.as_ref().map(|by| format!("by {by}")),
        event.cause.clone(),
    ];
    for part in about.into_iter().flatten() {
        line.push(' ');
        line.extend(part.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
    }
    line
}
