//! Whether an app takes a request now: its state, its deny list, its limits, and its owner's share.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, COOKIE};
use jiff::Timestamp;
use karman_contract::app::{AppState, Deny, Limits, Sticky};
use karman_contract::code::Code;
use pingora_error::Result;
use pingora_proxy::Session;

use super::presence::while_there;
use super::{Proxy, ends, stop};
use crate::caller::{Caller, SockJsPart};
use crate::clock;
use crate::exchange::{Counted, Exchange};
use crate::network;
use crate::overload::Level;
use crate::rates::{Booking, Rate};
use crate::sticky::{self, COOKIE_SECURE};
use crate::table::App;
use crate::turns::TurnLimits;

/// What a client sends after a calm is let in at once, up to the share of this time.
const CLIENT_BURST: Duration = Duration::from_secs(1);

impl Proxy {
    /// Whether the app takes this request; it may have to wait for its turn.
    pub(super) async fn admit(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        self.let_in(session, x).map_err(|code| stop(x, code))?;
        // Of one with a body the turn comes when all of it is there: who sends slowly takes nobody's.
        if session.as_mut().is_body_empty() { self.give_turn(session, x).await } else { Ok(()) }
    }

    fn let_in(&self, session: &mut Session, x: &mut Exchange) -> Result<(), Code> {
        let Some(app) = x.app.clone() else { return Err(Code::Internal) };
        is_running(app.wire.state)?;
        if is_denied(&app.wire.deny, x.origin.client) {
            return Err(Code::Blocked);
        }
        self.share(session, &app)?;
        self.keep_to_rate(x, &app)?;
        let request = session.req_header();
        let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let allowed = app.wire.limits.body_bytes;
        if allowed != 0 && length.is_some_and(|length| length > allowed) {
            return Err(Code::BodyTooLarge);
        }
        if app.wire.sticky == Sticky::Cookie {
            let name = if x.origin.secure { COOKIE_SECURE } else { sticky::COOKIE };
            let fields = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
            x.bound = self.edge.keys.pin().find(&app.id, name, fields);
        }
        match x.caller {
            Caller::Socket | Caller::SockJs => count_socket(x, &app),
            _ => Ok(()),
        }
    }

    /// Counts the connection at its app, and asks an owner who has more than a fair share to give some back.
    fn share(&self, session: &mut Session, app: &App) -> Result<(), Code> {
        let counted = ends(session).is_none_or(|ends| ends.serve(&app.vitals, app.wire.limits.connections));
        if !counted {
            part(session);
            return Err(Code::OverLimit);
        }
        if !app.vitals.over_share.load(Relaxed) {
            return Ok(());
        }
        part(session);
        if *self.edge.level.borrow() >= Level::Full { Err(Code::Overloaded) } else { Ok(()) }
    }

    /// A request is there whole: it takes its turn, or waits for one, before the app sees its end.
    pub(super) async fn give_turn(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        let needs_turn = x.turn.is_none() && !x.response_started && !matches!(x.caller, Caller::Socket | Caller::SockJs);
        let Some(app) = x.app.clone().filter(|_| needs_turn) else { return Ok(()) };
        let limits = &app.wire.limits;
        let patience = Exchange::seconds(limits.queue_seconds);
        let limits = TurnLimits { at_once: limits.requests_in_flight, queue: limits.queue, patience };
        let asked = Instant::now();
        let turn = while_there(session, app.vitals.turns.take(limits)).await;
        let waited = asked.elapsed();
        let has_turn = matches!(turn, Ok(Ok(_)));
        x.ms.queue = Some(waited).filter(|waited| !has_turn || *waited >= Duration::from_millis(1));
        x.turn = Some(turn?.map_err(|code| stop(x, code))?);
        Ok(())
    }

    fn keep_to_rate(&self, x: &Exchange, app: &App) -> Result<(), Code> {
        let Limits { requests_per_second_per_client, sockets_per_second_per_client, .. } = app.wire.limits;
        let is_socket = x.caller == Caller::Socket;
        let per_second = if is_socket { sockets_per_second_per_client } else { requests_per_second_per_client };
        let Some(rate) = Rate::per_second(per_second, CLIENT_BURST) else { return Ok(()) };
        let key = (app.id.as_str(), is_socket, network::client(x.origin.client));
        match self.edge.client_rates.book(key, rate, clock::now(), Duration::ZERO) {
            Booking::After(_) | Booking::NoRoom => Ok(()),
            Booking::TooLate => Err(Code::OverLimit),
        }
    }
}

/// Its connection is not kept: HTTP/1.1 says so in the answer, HTTP/2 beside it.
fn part(session: &mut Session) {
    session.set_keepalive(None);
    if let Some(streams) = ends(session).and_then(|ends| ends.streams.as_ref()) {
        streams.say_farewell();
    }
}

fn is_running(state: AppState) -> Result<(), Code> {
    match state {
        AppState::Running => Ok(()),
        AppState::Asleep => Err(Code::AppAsleep),
        AppState::Maintenance => Err(Code::AppMaintenance),
        AppState::Stopped => Err(Code::AppStopped),
        AppState::Suspended => Err(Code::AppSuspended),
    }
}

fn is_denied(list: &[Deny], client: IpAddr) -> bool {
    let holds = |deny: &Deny| deny.net.contains(&client) && deny.until.is_none_or(|until| until > Timestamp::now());
    list.iter().any(holds)
}

/// A socket, or a request that stands for one: SockJS without WebSockets keeps a request open all the
/// time. It takes no turn, for it may last; it counts as one of the app's sockets. `/info` asks whether
/// there may be one more.
fn count_socket(x: &mut Exchange, app: &App) -> Result<(), Code> {
    let pending = Counted::new(&app.vitals, |vitals| &vitals.pending_sockets);
    let most = app.wire.limits.sockets;
    let used = app.vitals.sockets.load(Relaxed) + app.vitals.pending_sockets.load(Relaxed);
    if most != 0 && used > most {
        return Err(Code::OverLimit);
    }
    if x.sockjs_part() != Some(SockJsPart::Info) {
        x.pending_socket = Some(pending);
    }
    Ok(())
}
