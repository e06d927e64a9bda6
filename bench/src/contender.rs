//! Who is measured: Karman, and the proxies that people use instead, each doing the same job for one app.
//!
//! The job: one host to some instances, sticky by cookie where the proxy can, one hop in `X-Forwarded-For`, WebSockets,
//! the same timeouts, no access log unless the job asks for one, as many threads or workers as the machine has cores.

mod bare;
mod caddy;
mod envoy;
mod haproxy;
mod installed;
mod karman;
mod launch;
mod nginx;
mod sozu;
mod traefik;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::accounting::{self, Split};
use crate::authority::Certificate;
pub(crate) use installed::beside;
pub(crate) use karman::Karman;
use launch::{Launch, Launched, Place, Reload};
use rustix::process::Signal;

/// The host that the app has in every contender.
pub(crate) const HOST: &str = "todos.example.com";

/// The host of the app beside it, in the jobs that have one.
pub(crate) const NEIGHBOUR: &str = "beside.example.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Karman,
    /// Karman that holds nobody and admits everybody, as the others do.
    KarmanPlain,
    Nginx,
    /// As Debian builds it: older, with the optimisations of its compiler, which the wheel's lacks.
    NginxDebian,
    Haproxy,
    Caddy,
    Traefik,
    Envoy,
    /// Go's `httputil.ReverseProxy` with its defaults and a larger pool.
    Go,
    /// pingora-proxy with nothing of ours.
    Pingora,
    Sozu,
}

/// All but the variant: those that do the same job.
pub(crate) const ALL: &[Kind] = &[
    Kind::Karman,
    Kind::Haproxy,
    Kind::Nginx,
    Kind::NginxDebian,
    Kind::Pingora,
    Kind::Envoy,
    Kind::Go,
    Kind::Caddy,
    Kind::Traefik,
    Kind::Sozu,
];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Karman => "karman",
            Self::KarmanPlain => "karman-plain",
            Self::Nginx => "nginx",
            Self::NginxDebian => "nginx-debian",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
            Self::Go => "go",
            Self::Pingora => "pingora",
            Self::Sozu => "sozu",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        ALL.iter().chain(&[Self::KarmanPlain]).copied().find(|kind| kind.name() == name)
    }

    /// Whether its program is installed, and otherwise what is missing.
    pub(crate) fn is_here(self) -> Result<(), String> {
        let program = installed::program(self);
        if program.exists() { Ok(()) } else { Err(format!("{} is missing; 'make bench' installs it", program.display())) }
    }

    /// What the program says of itself.
    pub(crate) fn version(self) -> String {
        installed::version(self)
    }
}

/// What every contender is to do.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) instances: Vec<SocketAddr>,
    /// Further fields of the app's document, each with a comma before it. Only Karman reads them.
    pub(crate) fields: String,
    /// What it shows to clients that come by HTTPS, HTTP/2 included; without one, nobody does. Go's, pingora and Sozu are not told how.
    pub(crate) certificate: Option<Certificate>,
    /// An instance of another app, at a host of its own. Go's, pingora and Sozu are not told how.
    pub(crate) neighbour: Option<SocketAddr>,
    /// What the neighbour may have at once. Karman, HAProxy, nginx and Envoy are told, each by its own means.
    pub(crate) bound: Option<Bound>,
    /// A line for each request, in a file. Go's and pingora have no access log.
    pub(crate) logged: bool,
}

impl Job {
    /// One instance, and nobody has to wait at the gate: what is measured is the proxy.
    pub(crate) fn of_one(instance: SocketAddr) -> Self {
        let fields = r#","limits":{"sockets_per_second":0}"#.to_owned();
        Self { instances: vec![instance], fields, certificate: None, neighbour: None, bound: None, logged: false }
    }

    /// The same over HTTPS, beside HTTP.
    pub(crate) fn secured(instance: SocketAddr, certificate: Certificate) -> Self {
        Self { certificate: Some(certificate), ..Self::of_one(instance) }
    }
}

/// What keeps an app from having all of the edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Requests that its instance works on at once.
    pub(crate) in_flight: u32,
    /// Requests that wait for one of those to end; what is more is refused at once.
    pub(crate) queue: u32,
    /// What these are a second at the pace of its instance, for those whose queue is one of a rate.
    pub(crate) per_second: u32,
}

/// A running proxy. It ends with this value.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) address: SocketAddr,
    /// Where clients come in by HTTPS, if the job has a certificate.
    pub(crate) https: SocketAddr,
    kind: Kind,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Karman(Karman),
    Other(Launched),
}

impl Contender {
    pub(crate) fn start(kind: Kind, job: &Job) -> io::Result<Self> {
        let Some(launch) = launch(kind) else {
            let karman = if job.logged { Karman::start_logged()? } else { Karman::start()? };
            karman.put_job(job)?;
            return Ok(Self { address: karman.http, https: karman.https, kind, running: Running::Karman(karman) });
        };
        let launched = Launched::start(kind, |place| launch(kind, job, place))?;
        Ok(Self { address: launched.address(), https: launched.https(), kind, running: Running::Other(launched) })
    }

    /// Gives it another job, as its operators do: a document is put, or files are written and read again.
    pub(crate) fn change(&self, job: &Job) -> io::Result<()> {
        match (&self.running, launch(self.kind), reload(self.kind)) {
            (Running::Karman(karman), ..) => karman.put_job(job),
            (Running::Other(launched), Some(launch), Some(how)) => launched.reload(|place| launch(self.kind, job, place), how),
            _ => Err(io::Error::other(format!("{} reads no file again", self.kind.name()))),
        }
    }

    /// Replaces its program by the same one, as its operators do.
    ///
    /// Karman's next process takes over the listeners. HAProxy's master executes its program anew whenever it reads its files.
    /// nginx reads its files: its upgrade (USR2, only of a daemon) leaves open sockets to the old workers as that does.
    /// The others are stopped and started.
    pub(crate) fn upgrade(&mut self) -> io::Result<()> {
        match (&mut self.running, reload(self.kind)) {
            (Running::Karman(karman), _) => karman.upgrade(),
            (Running::Other(launched), Some(how @ Reload::NewWorkers(_))) => launched.reload(|_| Launch::default(), how),
            (Running::Other(launched), _) => launched.restart(),
        }
    }

    /// Itself, where it is Karman's turn.
    pub(crate) fn karman(&mut self) -> Option<&mut Karman> {
        match &mut self.running {
            Running::Karman(karman) => Some(karman),
            Running::Other(_) => None,
        }
    }

    /// Of all its processes, in bytes.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        accounting::memory(&self.processes())
    }

    /// Of all its processes, from the kernel's accounting.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        accounting::cpu_time(&self.processes())
    }

    pub(crate) fn cpu_split(&self) -> io::Result<Split> {
        accounting::cpu_split(&self.processes())
    }

    fn processes(&self) -> Vec<u32> {
        match &self.running {
            Running::Karman(karman) => karman.processes(),
            Running::Other(launched) => vec![launched.id()],
        }
    }
}

/// How a peer is configured; Karman is not, it is told.
fn launch(kind: Kind) -> Option<fn(Kind, &Job, &Place) -> Launch> {
    match kind {
        Kind::Karman | Kind::KarmanPlain => None,
        Kind::Nginx | Kind::NginxDebian => Some(nginx::launch),
        Kind::Haproxy => Some(haproxy::launch),
        Kind::Caddy => Some(caddy::launch),
        Kind::Traefik => Some(traefik::launch),
        Kind::Envoy => Some(envoy::launch),
        Kind::Go | Kind::Pingora => Some(bare::launch),
        Kind::Sozu => Some(sozu::launch),
    }
}

/// How a peer comes to read its files again.
fn reload(kind: Kind) -> Option<Reload> {
    match kind {
        Kind::Nginx | Kind::NginxDebian => Some(Reload::NewWorkers(Signal::HUP)),
        Kind::Haproxy => Some(Reload::NewWorkers(Signal::USR2)),
        Kind::Caddy => Some(Reload::InPlace(Some(Signal::USR1))),
        // It watches them.
        Kind::Traefik => Some(Reload::InPlace(None)),
        _ => None,
    }
}

/// Threads or workers of every contender.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
