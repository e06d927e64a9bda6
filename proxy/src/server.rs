//! The whole process, in start-up order: settings, saved tables, listeners, serve, wait, drain.

mod end;

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::event::EventKind;
use karman_contract::status::Bound;
use pingora_core::apps::{HttpServerApp, HttpServerOptions};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, Semaphore, watch};

use self::end::End;
use crate::access_log::AccessLog;
use crate::admin::{self, Admin};
use crate::aside::Aside;
use crate::certificates::Certificates;
use crate::documents::{Held, HeldKeys};
use crate::drain::Drains;
use crate::edge::{Counts, Edge};
use crate::edge_drain::EdgeDrain;
use crate::events::{About, Events};
use crate::handover::{self, Inherited, LISTEN_HTTP, LISTEN_HTTPS, PROBE_ADDRESS};
use crate::health::Health;
use crate::listener::{self, Acceptors, Door};
use crate::overload::{self, Memory};
use crate::page_table::Pages;
use crate::probe;
use crate::processes::Processes;
use crate::proxy::Proxy;
use crate::rates::Rates;
use crate::settings::Settings;
use crate::share::Share;
use crate::table::{Apps, Change};
use crate::threads::Threads;
use crate::tls::Tls;
use crate::tunnel::Tunnels;
use crate::vitals::AppVitals;
use crate::waiting_room::WaitingRoom;

/// Why the process could not start; it exits 1.
#[derive(Debug)]
pub struct StartError {
    what: String,
    cause: io::Error,
}

impl Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl Error for StartError {}

/// Runs the proxy until it is told to stop or another process takes over.
pub async fn run(settings: Settings, upgrade: bool) -> Result<(), StartError> {
    let socket = settings.admin.socket.clone();
    let mut inherited = match upgrade {
        true => handover::ask(&socket).await.map_err(failed("take over from the running proxy"))?,
        false => None,
    };
    let takes_over = inherited.is_some();
    let (admin, changes) = load(settings)?;
    let (admin, clients, probe) = bind(admin, inherited.as_ref())?;
    let edge = Arc::clone(&admin.edge);
    for change in &changes {
        edge.health.follow(change);
    }

    let (stop, stopped) = watch::channel(false);
    let proxies: Vec<_> = (0..edge.threads.count()).map(|_| Arc::new(http(&edge))).collect();
    tokio::spawn(Arc::clone(&edge.tunnels).sweep());
    let drained = Arc::clone(&edge);
    tokio::spawn(async move { drained.drain.run(&drained).await });
    tokio::spawn(overload::watch(Arc::clone(&edge)));
    let doubting = Arc::clone(&edge);
    tokio::spawn(Arc::clone(&edge.health).doubt(move || !doubting.is_ending()));
    let acceptors = Acceptors::new(clients, proxies.clone(), Arc::clone(&edge), &stopped);
    if let Some(inherited) = &mut inherited {
        inherited.take().await.map_err(failed("take over from the running proxy"))?;
    }
    acceptors.start().await;
    if inherited.is_some() {
        let doors = admin.bound.http.iter().map(|address| (address, false));
        for (address, is_https) in doors.chain(admin.bound.https.iter().map(|address| (address, true))) {
            let asked = handover::ask_oneself(address, is_https, edge.settings.listen.proxy_protocol.as_ref()).await;
            asked.map_err(failed(format!("answer at {address}, so the proxy that ran before goes on")))?;
        }
    }
    let control = admin::bind(&socket, takes_over).map_err(failed(format!("bind the admin socket {}", socket.display())))?;
    let (end_control, control_ended) = watch::channel(false);
    tokio::spawn(admin::serve(control, Arc::clone(&admin), control_ended.clone()));
    if let Some(probe) = duplicate(probe.as_ref())? {
        // At a stop probes are answered until the end: a load balancer has to hear that we are draining.
        tokio::spawn(probe::serve(probe, Arc::clone(&admin), control_ended));
    }
    edge.ready.store(true, Relaxed);
    edge.events.tell(EventKind::EdgeReady, About::default());
    if let Some(inherited) = inherited {
        inherited.ready().await.map_err(failed("tell the running proxy that this one serves"))?;
        edge.events.tell(EventKind::EdgeUpgraded, About::default());
    }
    let previous =
        edge.processes.find().await.map_err(failed(format!("look for other processes beside {}", socket.display())))?;
    previous.iter().for_each(|report| edge.drains.adopt(report));

    let end = end::wait(&admin, &acceptors, probe, &end_control).await?;
    edge.ending.store(true, Relaxed);
    edge.events.tell(EventKind::EdgeDraining, About::default());
    acceptors.pause().await;
    drop(acceptors);
    let _ = stop.send(true);
    edge.farewell.send_replace(true);
    if matches!(end, End::Stopped) {
        let _ = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, first_requests(&edge)).await;
        // From here on a connection that is idle is closed.
        edge.closing.send_replace(true);
    }
    for http in &proxies {
        http.http_cleanup().await;
    }
    end::drain(&edge, &end).await;
    edge.events.tell(EventKind::EdgeStopped, About::default());
    match end {
        // A socket that nobody listens at says less than none.
        End::Stopped => drop(std::fs::remove_file(&socket)),
        End::TakenOver(previous) => previous.part(PART_TIMEOUT).await,
    }
    edge.access_log.close(LOG_CLOSE_TIMEOUT);
    Ok(())
}

/// How long, at the end, a client that was accepted may take to send its first request. It was not
/// refused, so it is answered; a browser that connected in advance and says nothing is not waited for.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the access log may take to write its last lines.
const LOG_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a process that was taken over from waits, at its end, for the current one to hear its last
/// numbers; it asks every 2 s.
const PART_TIMEOUT: Duration = Duration::from_secs(4);

/// Clients whose rate is known at once, of those who ask often: about 1.7 MB.
const CLIENTS_RATED: usize = 65_536;

/// Loads what was saved, and makes the edge of it.
fn load(settings: Settings) -> Result<(Admin, Vec<Change>), StartError> {
    let events = Arc::new(Events::new(karman_contract::status::Edge {
        name: settings.edge.name.clone(),
        region: settings.edge.region.clone(),
    }));
    events.tell(EventKind::EdgeStarting, About::default());
    let dir = &settings.state.dir;
    let unreadable = || failed(format!("read the saved documents in {}", dir.display()));
    let apps = Held::<Apps>::load(dir).map_err(unreadable())?;
    let pages = Held::<Pages>::load(dir).map_err(unreadable())?;
    let certificates = Held::<Certificates>::load(dir).map_err(unreadable())?;
    let (keys, key_warnings) = HeldKeys::load(dir).map_err(unreadable())?;
    for warning in apps.warnings.iter().chain(&pages.warnings).chain(&certificates.warnings).chain(&key_warnings) {
        tracing::warn!("{warning}");
    }
    let tls = Tls::new(&settings.limits, Arc::clone(&keys.tickets)).map_err(|e| io::Error::other(e.to_string()));
    let access_log =
        AccessLog::open(&settings.log.access, settings.limits.access_log_lines).map_err(failed("open the access log"))?;
    let health = Arc::new(Health::new(Arc::clone(&apps.held.live), Arc::clone(&events), settings.limits.unconfirmed));
    let tunnels = Arc::new(Tunnels::default());
    let threads = Threads::start(settings.threads).map_err(failed("start the threads of clients"))?;
    let live = || Arc::clone(&apps.held.live);
    let processes = Arc::new(Processes::new(&settings.admin.socket, live()));
    let share = Arc::new(Share::open(&settings.state.dir));
    let drains = Drains::new(live(), Arc::clone(&tunnels), Arc::clone(&processes), Arc::clone(&events), Arc::clone(&share));
    let edge = Edge {
        started_at: Timestamp::now(),
        apps: Arc::clone(&apps.held.live),
        pages: Arc::clone(&pages.held.live),
        certificates: Arc::clone(&certificates.held.live),
        keys: Arc::clone(&keys.live),
        tls: tls.map_err(failed("set up TLS"))?,
        https_port: OnceLock::new(),
        health,
        drains: Arc::new(drains),
        drain: Arc::new(EdgeDrain::open(&settings.state.dir)),
        share,
        processes,
        events,
        access_log,
        tunnels,
        threads,
        nobody: AppVitals::default(),
        counts: Counts::default(),
        client_rates: Rates::new(CLIENTS_RATED),
        waiting_room: Arc::new(WaitingRoom::new(settings.limits.held_requests)),
        memory: Memory::new(settings.limits.memory_bytes as u64),
        level: watch::Sender::default(),
        slots: Arc::new(Semaphore::new(settings.limits.connections)),
        ready: AtomicBool::new(false),
        closing: watch::Sender::new(false),
        farewell: watch::Sender::new(false),
        ending: AtomicBool::new(false),
        settings,
    };
    let connections = edge.settings.limits.admin_connections;
    let admin = Admin {
        edge: Arc::new(edge),
        apps: apps.held,
        pages: pages.held,
        certificates: certificates.held,
        keys,
        bound: Bound::default(),
        changes: RwLock::new(()),
        aside: Aside::new(connections).map_err(failed("prepare the threads of its admin calls"))?,
    };
    Ok((admin, apps.changes))
}

/// The listeners of clients, and the one for probes.
type Listeners = (Arc<Admin>, Vec<Door>, Option<TcpListener>);

/// Binds what the settings name, or takes it over where the running proxy has bound the same.
fn bind(mut admin: Admin, inherited: Option<&Inherited>) -> Result<Listeners, StartError> {
    let settings = &admin.edge.settings;
    let one = |name: &str, address: SocketAddr| {
        let bound = match inherited.and_then(|inherited| inherited.listener(name, address)) {
            Some(listener) => listener.and_then(TcpListener::from_std),
            None => listener::bind(address),
        };
        bound.map_err(failed(format!("listen at {address}, named by '{name}'")))
    };
    let all = |name: &'static str, addresses: &[SocketAddr]| {
        addresses.iter().map(|address| one(name, *address)).collect::<Result<Vec<_>, _>>()
    };
    let (http, https) = (all(LISTEN_HTTP, &settings.listen.http)?, all(LISTEN_HTTPS, &settings.listen.https)?);
    let probe = settings.probe.address.map(|address| one(PROBE_ADDRESS, address)).transpose()?;
    let text = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    if let Some(address) = https.first().and_then(|listener| listener.local_addr().ok()) {
        let _ = admin.edge.https_port.set(address.port());
    }
    let texts = |listeners: &[TcpListener]| listeners.iter().map(text).collect();
    admin.bound = Bound { http: texts(&http), https: texts(&https), probe: probe.as_ref().map(text) };
    let door = |(listener, is_https)| Door::new(listener, is_https).map_err(failed("wait at a listener"));
    let listeners = http.into_iter().map(|http| (http, false)).chain(https.into_iter().map(|https| (https, true)));
    Ok((Arc::new(admin), listeners.map(door).collect::<Result<_, _>>()?, probe))
}

/// The proxy of one thread. Its pool is its own: whoever takes a connection out of it is told of what it
/// says by the same thread.
fn http(edge: &Arc<Edge>) -> HttpProxy<Proxy> {
    let limits = &edge.settings.limits;
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: limits.upstream_idle_connections.div_ceil(edge.threads.count()),
        // pingora counts the first try too.
        max_retries: limits.tries,
        ..ServerConf::default()
    };
    let mut http = HttpProxy::new(Proxy { edge: Arc::clone(edge) }, Arc::new(conf));
    let mut server_options = HttpServerOptions::default();
    server_options.h2_idle_timeout = Some(limits.keepalive);
    http.server_options = Some(server_options);
    http.h2_options = Some(listener::http2_options(limits));
    http.handle_init_modules();
    http
}

/// A second handle on the same socket: one to accept from, one to hand over.
fn duplicate(listener: Option<&TcpListener>) -> Result<Option<TcpListener>, StartError> {
    use std::os::fd::AsFd;
    let duplicate = |listener: &TcpListener| {
        let fd = listener.as_fd().try_clone_to_owned()?;
        TcpListener::from_std(std::net::TcpListener::from(fd))
    };
    listener.map(duplicate).transpose().map_err(failed("duplicate a listener"))
}

async fn first_requests(edge: &Edge) {
    while edge.counts.fresh.load(Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |cause| StartError { what: format!("could not {what}"), cause }
}
