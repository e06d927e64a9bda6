//! The whole process, in start-up order: settings, saved tables, listeners, serve, wait, drain.

mod end;
mod listeners;
mod load;

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use karman_contract::event::EventKind;
use pingora_core::apps::HttpServerOptions;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;

use crate::admin::{self, Admin};
use crate::edge::Edge;
use crate::events::About;
use crate::handover;
use crate::listener::{self, Acceptors};
use crate::overload;
use crate::probe;
use crate::proxy::Proxy;
use crate::settings::Settings;

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
    let (admin, changes) = load::load(settings)?;
    let (admin, clients, probe) = listeners::bind(admin, inherited.as_ref())?;
    let edge = Arc::clone(&admin.edge);
    for change in &changes {
        edge.health.follow(change);
    }

    let (stop, stopped) = watch::channel(false);
    let proxies: Vec<_> = (0..edge.threads.count()).map(|_| Arc::new(http(&edge))).collect();
    keep_watch(&edge);
    let acceptors = Acceptors::new(clients, proxies.clone(), Arc::clone(&edge), &stopped);
    if let Some(inherited) = &mut inherited {
        inherited.take().await.map_err(failed("take over from the running proxy"))?;
    }
    acceptors.start().await;
    if inherited.is_some() {
        ask_oneself(&admin).await?;
    }
    let control = admin::bind(&socket, takes_over).map_err(failed(format!("bind the admin socket {}", socket.display())))?;
    let (end_control, control_ended) = watch::channel(false);
    tokio::spawn(admin::serve(control, Arc::clone(&admin), control_ended.clone()));
    if let Some(probe) = listeners::duplicate(probe.as_ref())? {
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
    end::end(end, &edge, acceptors, &stop, &proxies).await;
    Ok(())
}

/// Starts what looks after the edge for as long as it runs.
fn keep_watch(edge: &Arc<Edge>) {
    tokio::spawn(Arc::clone(&edge.tunnels).sweep());
    let drained = Arc::clone(edge);
    tokio::spawn(async move { drained.drain.run(&drained).await });
    tokio::spawn(overload::watch(Arc::clone(edge)));
    let doubting = Arc::clone(edge);
    tokio::spawn(Arc::clone(&edge.health).doubt(move || !doubting.is_ending()));
}

/// Whether this process answers at each of the listeners that it was given.
async fn ask_oneself(admin: &Admin) -> Result<(), StartError> {
    let doors = admin.bound.http.iter().map(|address| (address, false));
    for (address, is_https) in doors.chain(admin.bound.https.iter().map(|address| (address, true))) {
        let asked = handover::ask_oneself(address, is_https, admin.edge.settings.listen.proxy_protocol.as_ref()).await;
        asked.map_err(failed(format!("answer at {address}, so the proxy that ran before goes on")))?;
    }
    Ok(())
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

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |cause| StartError { what: format!("could not {what}"), cause }
}
