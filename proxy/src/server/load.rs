//! What was saved is loaded, and the edge is made of it.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use karman_contract::event::EventKind;
use karman_contract::status::Bound;
use tokio::sync::{RwLock, Semaphore, watch};

use super::{StartError, failed};
use crate::access_log::AccessLog;
use crate::admin::Admin;
use crate::aside::Aside;
use crate::certificates::Certificates;
use crate::documents::{Held, HeldKeys, Restored};
use crate::drain::Drains;
use crate::edge::{Counts, Edge};
use crate::edge_drain::EdgeDrain;
use crate::events::{About, Events};
use crate::health::Health;
use crate::overload::Memory;
use crate::page_table::Pages;
use crate::processes::Processes;
use crate::rates::Rates;
use crate::settings::Settings;
use crate::share::Share;
use crate::table::{Apps, Change};
use crate::threads::Threads;
use crate::tls::Tls;
use crate::tunnel::Tunnels;
use crate::vitals::AppVitals;
use crate::waiting_room::WaitingRoom;

/// Clients whose rate is known at once, of those who ask often: about 1.7 MB.
const CLIENTS_RATED: usize = 65_536;

/// Loads what was saved, and makes the edge of it.
pub(super) fn load(settings: Settings) -> Result<(Admin, Vec<Change>), StartError> {
    let events = Arc::new(Events::new(karman_contract::status::Edge {
        name: settings.edge.name.clone(),
        region: settings.edge.region.clone(),
    }));
    events.tell(EventKind::EdgeStarting, About::default());
    let documents = Documents::load(&settings.state.dir)?;
    let edge = edge(settings, events, &documents)?;
    let connections = edge.settings.limits.admin_connections;
    let Documents { apps, pages, certificates, keys } = documents;
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

/// All documents, as they were saved.
struct Documents {
    apps: Restored<Apps>,
    pages: Restored<Pages>,
    certificates: Restored<Certificates>,
    keys: HeldKeys,
}

impl Documents {
    fn load(dir: &Path) -> Result<Self, StartError> {
        let unreadable = || failed(format!("read the saved documents in {}", dir.display()));
        let apps = Held::<Apps>::load(dir).map_err(unreadable())?;
        let pages = Held::<Pages>::load(dir).map_err(unreadable())?;
        let certificates = Held::<Certificates>::load(dir).map_err(unreadable())?;
        let (keys, key_warnings) = HeldKeys::load(dir).map_err(unreadable())?;
        for warning in apps.warnings.iter().chain(&pages.warnings).chain(&certificates.warnings).chain(&key_warnings) {
            tracing::warn!("{warning}");
        }
        Ok(Self { apps, pages, certificates, keys })
    }
}

fn edge(settings: Settings, events: Arc<Events>, documents: &Documents) -> Result<Edge, StartError> {
    let Documents { apps, pages, certificates, keys } = documents;
    let live = || Arc::clone(&apps.held.live);
    let tls = Tls::new(&settings.limits, Arc::clone(&keys.tickets)).map_err(|e| io::Error::other(e.to_string()));
    let access_log = AccessLog::open(&settings.log.access, settings.limits.access_log_lines);
    let tunnels = Arc::new(Tunnels::default());
    let processes = Arc::new(Processes::new(&settings.admin.socket, live()));
    let share = Arc::new(Share::open(&settings.state.dir));
    let drains = Drains::new(live(), Arc::clone(&tunnels), Arc::clone(&processes), Arc::clone(&events), Arc::clone(&share));
    Ok(Edge {
        started_at: Timestamp::now(),
        apps: live(),
        pages: Arc::clone(&pages.held.live),
        certificates: Arc::clone(&certificates.held.live),
        keys: Arc::clone(&keys.live),
        tls: tls.map_err(failed("set up TLS"))?,
        https_port: OnceLock::new(),
        health: Arc::new(Health::new(live(), Arc::clone(&events), settings.limits.unconfirmed)),
        drains: Arc::new(drains),
        drain: Arc::new(EdgeDrain::open(&settings.state.dir)),
        share,
        processes,
        events,
        access_log: access_log.map_err(failed("open the access log"))?,
        tunnels,
        threads: Threads::start(settings.threads).map_err(failed("start the threads of clients"))?,
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
    })
}
