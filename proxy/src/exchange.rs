//! One request on its way: what it pinned, where it went, what became of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use karman_contract::code::Code;
use karman_contract::name::InstanceId;

use crate::access_log::{AccessLine, Milliseconds};
use crate::caller::{Caller, SockJsPart};
use crate::connection::OpenStream;
use crate::edge::Edge;
use crate::headers::Origin;
use crate::info::Lesson;
use crate::patience::Patience;
use crate::pick::Stickiness;
use crate::sticky::Bound;
use crate::table::{App, Apps};
use crate::turns::Turn;
use crate::vitals::{AppVitals, InFlight, InstanceVitals};

/// The instance that a request was given.
#[derive(Debug)]
pub struct Chosen {
    pub id: InstanceId,
    pub release: u64,
    pub tag: u64,
    pub in_flight: InFlight,
}

/// What pingora carries from phase to phase.
#[derive(Debug)]
pub struct Exchange {
    pub started: Instant,
    pub at: Timestamp,
    pub request_id: String,
    pub origin: Origin,
    pub caller: Caller,
    /// The version of TLS that the client came by.
    pub tls: Option<&'static str>,
    /// The request's host in lower case, without port; empty until it is known to be one.
    pub host: String,
    pub method: http::Method,
    /// Without its query, which may hold a secret.
    pub path: String,
    /// The table that routed the request. One that was held goes on with the table that released it.
    pub table: Option<Arc<Apps>>,
    pub app: Option<Arc<App>>,
    pub in_flight: Option<Counted>,
    /// Its turn at the app, while it is worked on.
    pub turn: Option<Turn>,
    /// Counts it among the app's sockets, until it is one.
    pub pending_socket: Option<Counted>,
    pub bound: Option<Bound>,
    pub chosen: Option<Chosen>,
    /// The choice was made before pingora asks for it.
    pub is_chosen: bool,
    /// The app's answer to a `/sockjs/info`, to be learned from.
    pub lesson: Option<Box<Lesson>>,
    pub stickiness: Option<Stickiness>,
    /// Instances that the request could not be sent to.
    pub tried: Vec<Arc<InstanceVitals>>,
    pub tries: u32,
    /// Its share of the app's retry budget, once it took one.
    pub retry: Option<Counted>,
    /// Why the edge answers by itself.
    pub code: Option<Code>,
    /// What was wrong with the request, if it was the request.
    pub why: Option<&'static str>,
    pub status: u16,
    /// The client went away before it was answered.
    pub abandoned: bool,
    pub response_started: bool,
    pub interim_answers: usize,
    /// How slow its body may come, where no connection of its own looks after that.
    pub patience: Option<Patience>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connect_started: Option<Instant>,
    pub ms: Milliseconds,
    /// Its stream, on HTTP/2.
    pub stream: Option<OpenStream>,
    /// A tunnel writes its own lines.
    pub is_tunnel: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            at: Timestamp::now(),
            request_id: String::new(),
            origin: Origin { client: IpAddr::from([0, 0, 0, 0]), secure: false, port: 0 },
            caller: Caller::Api,
            tls: None,
            host: String::new(),
            method: http::Method::GET,
            path: String::new(),
            table: None,
            app: None,
            in_flight: None,
            turn: None,
            pending_socket: None,
            bound: None,
            chosen: None,
            is_chosen: false,
            lesson: None,
            stickiness: None,
            tried: Vec::new(),
            tries: 0,
            retry: None,
            code: None,
            why: None,
            status: 0,
            abandoned: false,
            response_started: false,
            interim_answers: 0,
            patience: None,
            bytes_in: 0,
            bytes_out: 0,
            connect_started: None,
            ms: Milliseconds::default(),
            stream: None,
            is_tunnel: false,
        }
    }
}

impl Exchange {
    /// Where the request is counted.
    pub fn vitals<'a>(&'a self, edge: &'a Edge) -> &'a AppVitals {
        self.app.as_ref().map_or(&edge.nobody, |app| &app.vitals)
    }

    /// The part of SockJS that is asked for, where the app has SockJS there.
    pub fn sockjs_part(&self) -> Option<SockJsPart<'_>> {
        SockJsPart::of(&self.path, &self.app.as_ref()?.wire.sockjs.prefix)
    }

    pub fn seconds(count: u32) -> Duration {
        Duration::from_secs(count.into())
    }

    /// The line of the access log, as far as the request came.
    pub fn line<'a>(&'a self, edge: &'a Edge) -> AccessLine<'a> {
        let app = self.app.as_deref();
        AccessLine {
            at: self.at,
            edge: &edge.settings.edge.name,
            request_id: &self.request_id,
            app: app.map(|app| app.id.as_str()),
            owner: app.map(|app| app.wire.owner.as_str()),
            release: self.chosen.as_ref().map(|chosen| chosen.release),
            instance: self.chosen.as_ref().map(|chosen| chosen.id.as_str()),
            host: &self.host,
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            code: self.code,
            why: self.why,
            caller: self.caller.as_str(),
            client: self.origin.client,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            ms: Milliseconds { total: self.started.elapsed(), ..self.ms },
            sticky: self.stickiness.map(Stickiness::as_str),
            tries: self.tries,
            tls: self.tls,
            generation: self.table.as_ref().and_then(|table| table.stamp).map(|stamp| stamp.generation),
            by: None,
            frames_in: None,
            frames_out: None,
            open_seconds: None,
        }
    }
}

/// One more in a count of an app's vitals, for as long as this is held.
#[derive(Debug)]
pub struct Counted {
    vitals: Arc<AppVitals>,
    of: fn(&AppVitals) -> &AtomicU32,
}

impl Counted {
    pub fn new(vitals: &Arc<AppVitals>, of: fn(&AppVitals) -> &AtomicU32) -> Self {
        of(vitals).fetch_add(1, Relaxed);
        Self { vitals: Arc::clone(vitals), of }
    }

    /// The same, if there is room for one more beside so many. In one step: of several that come at once none gets past a limit.
    pub fn new_if(vitals: &Arc<AppVitals>, of: fn(&AppVitals) -> &AtomicU32, has_room: impl Fn(u32) -> bool) -> Option<Self> {
        of(vitals).fetch_update(Relaxed, Relaxed, |count| has_room(count).then_some(count + 1)).ok()?;
        Some(Self { vitals: Arc::clone(vitals), of })
    }

    /// Whether it counts at this app.
    pub fn is_of(&self, app: &Arc<AppVitals>) -> bool {
        Arc::ptr_eq(&self.vitals, app)
    }

    /// Whether the app's owner uses more than a fair share.
    pub fn is_over_share(&self) -> bool {
        self.vitals.over_share.load(Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.of)(&self.vitals).fetch_sub(1, Relaxed);
    }
}
