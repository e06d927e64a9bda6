//! How the process ends: who says so, and how requests and tunnels come to their end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karman_contract::event::EventKind;
use karman_contract::name::AppId;
use pingora_core::apps::HttpServerApp;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{StartError, failed};
use crate::admin::Admin;
use crate::admission::takes_per_second;
use crate::edge::Edge;
use crate::events::About;
use crate::handover;
use crate::listener::Acceptors;
use crate::processes::previous::{Previous, Quit};
use crate::proxy::Proxy;
use crate::vitals::ClosedBy;

/// The part of the time that tunnels are closed over; the rest is for their last bytes.
const CLOSING_SHARE: f64 = 0.9;
/// How often it is asked whether all connections are closed.
const GONE_RECHECK: Duration = Duration::from_millis(20);
/// How long a process that was taken over from waits for the next request on connections that are idle.
const LINGER: Duration = Duration::from_secs(10);
/// The longest that a process which was taken over from takes to close its tunnels at their apps' pace.
const QUIT_MAX: Duration = Duration::from_secs(600);

/// How long, at the end, a client that was accepted may take to send its first request. It was not
/// refused, so it is answered; a browser that connected in advance and says nothing is not waited for.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the access log may take to write its last lines.
const LOG_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a process that was taken over from waits, at its end, for the current one to hear its last
/// numbers; it asks every 2 s.
const PART_TIMEOUT: Duration = Duration::from_secs(4);

/// Why the process ends.
#[derive(Debug)]
pub(super) enum End {
    Stopped,
    /// Another process has the listeners now; this one carries its tunnels to their end.
    TakenOver(Arc<Previous>),
}

/// Waits for the end: a signal, or another process that takes over.
pub(super) async fn wait(
    admin: &Arc<Admin>,
    acceptors: &Acceptors,
    probe: Option<TcpListener>,
    end_control: &watch::Sender<bool>,
) -> Result<End, StartError> {
    let (mut term, mut int, mut hup) =
        (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?, handler(SignalKind::hangup())?);
    let handover = handover::offer(admin, acceptors, probe.as_ref());
    tokio::pin!(handover);
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(End::Stopped),
            _ = int.recv() => return Ok(End::Stopped),
            // A file that logrotate moved away.
            _ = hup.recv() => admin.edge.access_log.reopen(),
            taken = &mut handover => {
                let previous = taken.map_err(failed("offer the listeners to a next process"))?;
                let _ = end_control.send(true);
                return Ok(End::TakenOver(previous));
            }
        }
    }
}

fn handler(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(failed("handle signals"))
}

/// Ends what was started: takes no more clients, lets those who are here finish, and closes the rest.
pub(super) async fn end(
    end: End,
    edge: &Edge,
    acceptors: Acceptors,
    stop: &watch::Sender<bool>,
    proxies: &[Arc<HttpProxy<Proxy>>],
) {
    edge.ending.store(true, Relaxed);
    edge.events.tell(EventKind::EdgeDraining, About::default());
    acceptors.pause().await;
    drop(acceptors);
    let _ = stop.send(true);
    edge.farewell.send_replace(true);
    if matches!(end, End::Stopped) {
        let _ = timeout(FIRST_REQUEST_TIMEOUT, first_requests(edge)).await;
        // From here on a connection that is idle is closed.
        edge.closing.send_replace(true);
    }
    for http in proxies {
        http.http_cleanup().await;
    }
    drain(edge, &end).await;
    edge.events.tell(EventKind::EdgeStopped, About::default());
    match end {
        // A socket that nobody listens at says less than none.
        End::Stopped => drop(std::fs::remove_file(&edge.settings.admin.socket)),
        End::TakenOver(previous) => previous.part(PART_TIMEOUT).await,
    }
    edge.access_log.close(LOG_CLOSE_TIMEOUT);
}

async fn first_requests(edge: &Edge) {
    while edge.counts.fresh.load(Relaxed) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Lets requests finish and closes tunnels at a pace; returns when all are gone or the time is up.
async fn drain(edge: &Edge, end: &End) {
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    let grace = edge.settings.limits.grace;
    let quit = match end {
        End::Stopped => {
            edge.processes.stop(grace).await;
            Quit { within: Some(grace) }
        }
        End::TakenOver(previous) => tokio::select! {
            // What ends by itself within the time needs no closing.
            () = all_gone(edge) => return,
            quit = linger(edge) => quit,
            () = sleep(edge.settings.limits.tunnel_drain) => Quit { within: None },
            quit = previous.told_to_quit() => quit,
            _ = term.recv() => Quit { within: Some(grace) },
        },
    };
    edge.closing.send_replace(true);
    let closed = async {
        match quit.within {
            Some(within) => edge.tunnels.close_over(within.mul_f64(CLOSING_SHARE), ClosedBy::EdgeShutdown).await,
            None => edge.tunnels.close_apps_over(ClosedBy::EdgeShutdown, |app, tunnels| at_pace(edge, app, tunnels)).await,
        }
        // A socket that was on its way when the others were told comes a little later.
        while !are_all_gone(edge) {
            edge.tunnels.close_rest(ClosedBy::EdgeShutdown);
            sleep(GONE_RECHECK).await;
        }
    };
    let longest = quit.within.unwrap_or(QUIT_MAX + grace);
    tokio::select! {
        _ = timeout(longest, closed) => {}
        // Told twice: somebody is in a hurry.
        _ = term.recv() => {}
    }
}

/// Serves connections that were kept: the next answer on each says that it is the last. One that is idle
/// is closed after a while only, for a client may be sending on it right now. Never returns.
async fn linger(edge: &Edge) -> Quit {
    sleep(LINGER.min(edge.settings.limits.keepalive)).await;
    edge.closing.send_replace(true);
    std::future::pending().await
}

/// How long an app's instances take to take so many sockets; not less than the grace, of which there is enough.
fn at_pace(edge: &Edge, app: &AppId, tunnels: usize) -> Duration {
    let table = edge.apps.pin();
    let rate = table.get(app.as_str()).and_then(|app| takes_per_second(app, &edge.share)).filter(|rate| *rate > 0.0);
    let needed = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(tunnels as f64 / rate));
    needed.clamp(edge.settings.limits.grace.mul_f64(CLOSING_SHARE).min(QUIT_MAX), QUIT_MAX)
}

/// Waits until no client's connection is open. It takes no place for that: those that are free would count as taken.
async fn all_gone(edge: &Edge) {
    while !are_all_gone(edge) {
        sleep(GONE_RECHECK).await;
    }
}

fn are_all_gone(edge: &Edge) -> bool {
    edge.connections() == 0
}
