//! `GET /v1/load`: which apps make the load, by two looks at what is counted of each of them.
//!
//! Nothing is counted for this, and nothing is kept from one call to the next: while nobody asks it costs nothing.

mod counted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use karman_contract::answer::Refusal;
use karman_contract::load::{AppLoad, Busiest, Load};
use karman_contract::read::Reason;
use karman_contract::status::AppCounts;
use tokio::task::JoinError;

use self::counted::{Counted, Did, Refusals, counted, rate, thousandths};
use super::Admin;
use super::told::{live, number, parameter};
use crate::documents::Table;
use crate::http_server::Reply;
use crate::table::{App, Apps};
use crate::vitals::AppVitals;

/// What a caller wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    by: Busiest,
    limit: usize,
    seconds: u64,
}

/// The first look: what was counted of each app of a table, in its order, and of those who ask for no app.
struct Look {
    at: Instant,
    table: Arc<Apps>,
    apps: Vec<(Counted, Refusals)>,
    nobody: (Counted, Refusals),
}

/// What an app that was not idle did since then, and what it holds.
struct Busy<'a> {
    app: &'a App,
    did: Did,
    live: AppCounts,
}

impl Admin {
    pub(super) async fn load(self: Arc<Self>, query: &str) -> Result<Reply, JoinError> {
        let question = match Question::read(query) {
            Ok(question) => question,
            Err(refusal) => return Ok(Reply::json(refusal.status(), &refusal)),
        };
        let admin = Arc::clone(&self);
        let look = self.aside.run(move || admin.look()).await?;
        tokio::time::sleep(Duration::from_secs(question.seconds)).await;
        // The sockets that are told are those of all processes.
        self.edge.processes.ask().await;
        let admin = Arc::clone(&self);
        self.aside.run(move || Reply::json(200, &admin.look_again(look, question))).await
    }

    fn look(&self) -> Look {
        let (at, table) = (Instant::now(), self.apps.live.pin());
        let apps = table.iter().map(|app| counted(&app.vitals)).collect();
        Look { at, apps, nobody: counted(&self.edge.nobody), table }
    }

    /// The second look. It is at the same table, whose vitals are those of the next one too.
    fn look_again(&self, Look { at, table, apps, nobody }: Look, question: Question) -> Load {
        let seconds = at.elapsed().as_secs_f64();
        let elsewhere = self.edge.processes.tunnels();
        let (mut total, mut held) = (Did::default(), AppCounts::default());
        let mut busy = Vec::new();
        for (app, before) in table.iter().zip(&apps) {
            let elsewhere = elsewhere.get(&app.id).copied().unwrap_or(0);
            if elsewhere == 0 && Counted::of(&app.vitals) == before.0 && holds_nothing(&app.vitals) {
                continue;
            }
            let did = Did::since(before, &app.vitals);
            let mut live = live(&app.vitals);
            live.sockets += elsewhere;
            total.add(&did);
            add_counts(&mut held, &live);
            busy.push(Busy { app, did, live });
        }
        Load {
            seconds: thousandths(seconds),
            apps: table.len() as u64,
            busy: busy.len() as u64,
            total: total.rates(seconds),
            live: held,
            nobody: Did::since(&nobody, &self.edge.nobody).rates(seconds),
            busiest: busiest(busy, question).into_iter().map(|busy| busy.told(seconds)).collect(),
        }
    }
}

impl Question {
    fn read(query: &str) -> Result<Self, Refusal> {
        let by = parameter(query, "by").map(str::parse).transpose().map_err(|why: String| Reason::new("by", why));
        match (by, number(query, "limit"), number(query, "seconds")) {
            (Ok(by), Ok(limit), Ok(seconds)) => Ok(Self {
                by: by.unwrap_or_default(),
                limit: limit.unwrap_or(Load::APPS).clamp(1, Load::APPS_MAX),
                seconds: seconds.map_or(Load::SECONDS, |seconds| seconds as u64).clamp(1, Load::SECONDS_MAX),
            }),
            (by, limit, seconds) => {
                let reasons = [by.err(), limit.err(), seconds.err()].into_iter().flatten().collect();
                Err(Refusal::Refused { reasons })
            }
        }
    }
}

impl Busy<'_> {
    /// What counts more stands first; of equals the one with more sockets is busier.
    fn weight(&self, by: Busiest) -> [u64; 3] {
        let Self { did, live, .. } = self;
        let Counted { requests, opened, .. } = did.counted;
        match by {
            Busiest::Requests => [requests, live.in_flight, live.sockets],
            Busiest::Sockets => [opened, live.sockets, requests],
            Busiest::InFlight => [live.in_flight, requests, live.sockets],
            Busiest::Refused => [did.refused() + did.failed(), requests, live.sockets],
        }
    }

    fn told(self, seconds: f64) -> AppLoad {
        let Self { app, did, live } = self;
        let by_code: BTreeMap<_, _> = did.refusals.each().map(|(code, count)| (code.to_string(), rate(count, seconds))).collect();
        AppLoad { id: app.id.clone(), owner: app.wire.owner.clone(), rates: did.rates(seconds), live, refused_by_code: by_code }
    }
}

/// Those that were asked for, the busiest first, and equals in the order of their ids.
fn busiest(mut apps: Vec<Busy<'_>>, Question { by, limit, .. }: Question) -> Vec<Busy<'_>> {
    let first = |a: &Busy<'_>, b: &Busy<'_>| b.weight(by).cmp(&a.weight(by)).then_with(|| a.app.id.cmp(&b.app.id));
    if apps.len() > limit {
        apps.select_nth_unstable_by(limit - 1, first);
        apps.truncate(limit);
    }
    apps.sort_unstable_by(first);
    apps
}

fn add_counts(all: &mut AppCounts, one: &AppCounts) {
    all.connections += one.connections;
    all.in_flight += one.in_flight;
    all.queued += one.queued;
    all.held += one.held;
    all.waiting += one.waiting;
    all.sockets += one.sockets;
    all.over_share |= one.over_share;
}

fn holds_nothing(vitals: &AppVitals) -> bool {
    let AppVitals { connections, in_flight, held, waiting, sockets, .. } = vitals;
    [connections, in_flight, held, waiting, sockets].iter().all(|count| count.load(Relaxed) == 0)
}
