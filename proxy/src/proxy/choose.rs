//! Choosing an instance for a request, waiting for one, and when to try another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use karman_contract::code::Code;
use pingora_error::Result;
use pingora_proxy::Session;

use super::presence::while_there;
use super::{Proxy, stop};
use crate::caller::{Absence, SockJsPart, hold};
use crate::edge::Edge;
use crate::exchange::{Chosen, Counted, Exchange};
use crate::pick::{Wish, absence, pick};
use crate::table::App;
use crate::upstream::ConnectFailure;
use crate::vitals::InFlight;
use crate::waiting_room::Seat;

impl Proxy {
    /// Gives the request an instance; waits for one as long as its caller would, and is there.
    pub(super) async fn choose(&self, session: &mut Session, x: &mut Exchange) -> Result<SocketAddr> {
        let mut held: Option<HeldRequest> = None;
        loop {
            let Some(app) = x.app.clone() else { return Err(stop(x, Code::Internal)) };
            // Registered before looking, so that a change in between is not missed.
            let changed = app.vitals.changed.notified();
            let found = self.look(x, &app);
            x.ms.hold = held.as_ref().map(|held| held.since.elapsed());
            let lacks = match found {
                Ok(address) => return Ok(address),
                Err(lacks) => lacks,
            };
            let code = if lacks == Absence::Starting { Code::AppStarting } else { Code::AppDown };
            let patience = hold(x.caller, x.sockjs_part(), lacks);
            if patience.is_zero() {
                return Err(stop(x, code));
            }
            if held.is_none() {
                held = HeldRequest::new(&self.edge, &app);
            }
            let Some(since) = held.as_ref().map(|held| held.since) else { return Err(stop(x, code)) };
            let deadline = tokio::time::Instant::from_std(since + patience);
            let waited = while_there(session, tokio::time::timeout_at(deadline, changed)).await;
            x.ms.hold = Some(since.elapsed());
            if waited?.is_err() {
                return Err(stop(x, code));
            }
            self.start_over(x);
        }
    }

    fn look(&self, x: &mut Exchange, app: &Arc<App>) -> Result<SocketAddr, Absence> {
        // While an app is known to be down, its watchers find out when it is back, not its visitors.
        if app.vitals.is_down() {
            return Err(absence(app));
        }
        let session = x.sockjs_part().and_then(SockJsPart::polling_session);
        let wish = Wish { bound: x.bound, session, tried: &x.tried };
        let picked = pick(app, wish, |n| fastrand::usize(..n));
        match picked {
            Ok((instance, stickiness)) => {
                // What it was at first is what the log tells, not what retries made of it.
                x.stickiness.get_or_insert(stickiness);
                x.chosen = Some(Chosen {
                    id: instance.id.clone(),
                    release: instance.release,
                    tag: instance.tag,
                    in_flight: InFlight::new(Arc::clone(&instance.vitals)),
                });
                x.tries += 1;
                Ok(instance.vitals.address)
            }
            Err(lacks) => {
                x.chosen = None;
                self.edge.health.app_is_down(app);
                Err(lacks)
            }
        }
    }

    /// A request that was held goes on by the table that is live now: the one it pinned had nothing for it.
    fn start_over(&self, x: &mut Exchange) {
        x.tried.clear();
        let table = self.edge.apps.pin();
        let known = x.app.as_ref().and_then(|app| table.get(app.id.as_str())).cloned();
        if known.is_some() {
            x.app = known;
            x.table = Some(table);
        }
    }

    /// The chosen instance could not be reached. Says whether the request may go to another one.
    pub(super) fn may_try_another(&self, x: &mut Exchange, failure: ConnectFailure) -> bool {
        let (Some(app), Some(chosen)) = (x.app.clone(), x.chosen.take()) else { return false };
        let (cause, code) = match failure {
            ConnectFailure::Refused => ("it refused a connection", Code::ConnectRefused),
            ConnectFailure::TimedOut => ("a connection timed out", Code::ConnectTimeout),
        };
        let vitals = Arc::clone(&chosen.in_flight.instance);
        self.edge.health.connect_failed(&app, &chosen.id, &vitals, cause);
        x.tried.push(vitals);
        if self.take_retry(x, &app) {
            return true;
        }
        x.code = Some(code);
        if !app.takes_beside(&x.tried) {
            self.edge.health.app_is_down(&app);
            x.code = Some(Code::AppDown);
        }
        false
    }

    /// Whether a request whose connection was reset may be sent once more.
    pub(super) fn may_send_again(&self, x: &mut Exchange) -> bool {
        x.app.clone().is_some_and(|app| self.take_retry(x, &app))
    }

    /// Retries are bounded by a share of the app's requests, so that they never become the storm themselves.
    fn take_retry(&self, x: &mut Exchange, app: &Arc<App>) -> bool {
        let limits = &self.edge.settings.limits;
        if x.tries as usize >= limits.tries {
            return false;
        }
        if x.retry.is_some() {
            return true;
        }
        let share = app.vitals.in_flight.load(Relaxed) as usize * limits.retry_budget_percent / 100;
        if app.vitals.retries_in_flight.load(Relaxed) as usize >= share.max(limits.retry_budget_floor) {
            self.edge.counts.retries_refused.fetch_add(1, Relaxed);
            return false;
        }
        self.edge.counts.retries_sent.fetch_add(1, Relaxed);
        x.retry = Some(Counted::new(&app.vitals, |vitals| &vitals.retries_in_flight));
        true
    }

    pub(super) fn connected(&self, x: &Exchange) {
        if let (Some(app), Some(chosen)) = (&x.app, &x.chosen) {
            if let Some(took) = x.ms.connect {
                chosen.in_flight.instance.connect_took(took);
            }
            self.edge.health.connected(app, &chosen.id, &chosen.in_flight.instance);
        }
    }
}

/// A request that waits for an instance, counted at its app.
struct HeldRequest {
    since: Instant,
    _seat: Seat,
    _held: Counted,
}

impl HeldRequest {
    /// `None` if there is no seat for it.
    fn new(edge: &Edge, app: &App) -> Option<Self> {
        let seat = edge.waiting_room.enter(&app.wire.owner)?;
        Some(Self { since: Instant::now(), _seat: seat, _held: Counted::new(&app.vitals, |vitals| &vitals.held) })
    }
}
