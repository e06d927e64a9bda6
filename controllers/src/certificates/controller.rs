//! The controller's loop: hear news of the store, decide, start jobs, wait for what comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use super::accounts::Accounts;
use super::backoff;
use super::budget::{Budgets, Spent};
use super::job::{Job, Office};
use super::local::LocalCa;
use super::made::Made;
use super::need::Need;
use super::plan::{Known, Task, Urgency};
use super::renewal;
use super::settings::Settings;
use super::view::View;
use crate::failure::Failure;
use crate::keys::account::LocalCaFile;
use crate::sealing::Sealing;
use crate::store::{Author, Expect, Key, Kind, Lease, Leased, News, Store, StoreError, Transaction};

/// How many orders are under way at once.
const JOBS_MAX: usize = 8;
/// How long at most until all is looked at again.
const PASS_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// How soon at least.
const PASS_SOONEST: SignedDuration = SignedDuration::from_millis(200);
/// How often a second controller asks whether the first is gone.
const LEASE_AGAIN: Duration = Duration::from_secs(2);

/// Only one at a time works on a store; others wait their turn, for ever.
pub async fn run(store: Arc<dyn Store>, sealing: Sealing) -> Result<(), Failure> {
    let sealing = Arc::new(sealing);
    let mut is_told = false;
    loop {
        match store.lease(super::NAME).await {
            Ok(Leased::Ours(lease)) => {
                let lease = Arc::new(lease);
                is_told = false;
                info!("this one works on the certificates of {}", store.place());
                let mut controller = Controller::new(Arc::clone(&store), Arc::clone(&lease), Arc::clone(&sealing));
                tokio::select! {
                    worked = controller.work() => worked?,
                    () = lease.lost() => warn!("another controller may work on this store by now; this one stands by"),
                }
            }
            Ok(Leased::Theirs(who)) if !is_told => {
                is_told = true;
                let who = who.unwrap_or_else(|| "another process".to_owned());
                info!("{who} works on the certificates of {}; this one stands by", store.place());
            }
            Ok(Leased::Theirs(_)) => {}
            Err(error) => warn!("{error}"),
        }
        sleep(LEASE_AGAIN).await;
    }
}

/// What is to be worked on, and the CA that is to be asked.
type Due<'a> = (Urgency, &'a String, &'a Need, &'a str);

struct Controller {
    office: Arc<Office>,
    view: View,
    jobs: JoinSet<Result<(), StoreError>>,
    /// By the task's id.
    busy: BTreeMap<tokio::task::Id, String>,
    /// The accounts that did not get another key: how often, and when that is tried again.
    unrolled: BTreeMap<String, (u32, Timestamp)>,
}

impl Controller {
    fn new(store: Arc<dyn Store>, lease: Arc<Lease>, sealing: Arc<Sealing>) -> Self {
        let accounts = Accounts::new(Arc::clone(&store), Arc::clone(&lease), Arc::clone(&sealing));
        let (health, made) = (std::sync::Mutex::default(), tokio::sync::Mutex::default());
        let office = Office { store, lease, sealing, accounts, health, made };
        Self {
            office: Arc::new(office),
            view: View::default(),
            jobs: JoinSet::new(),
            busy: BTreeMap::new(),
            unrolled: BTreeMap::new(),
        }
    }

    /// Works until the lease is lost.
    async fn work(&mut self) -> Result<(), Failure> {
        *self.office.made.lock().await = Made::read(self.office.store.as_ref()).await?;
        let mut news = self.office.store.follow(&View::KINDS).await?;
        let first = news.next().await?;
        self.view.take(first, Timestamp::now());
        let mut told = BTreeMap::new();
        loop {
            self.tell_mistakes(&mut told);
            let next = match self.pass().await {
                Ok(next) => next,
                Err(StoreError::LeaseLost(_)) => return Ok(()),
                Err(error) => {
                    warn!("{error}");
                    Timestamp::now() + SignedDuration::from_secs(5)
                }
            };
            let wait = Timestamp::now().duration_until(next).clamp(PASS_SOONEST, PASS_EVERY);
            tokio::select! {
                () = sleep(Duration::try_from(wait).unwrap_or_default()) => {}
                came = news.next() => match came {
                    Ok(came) => self.view.take(came, Timestamp::now()),
                    Err(error) => warn!("{error}"),
                },
                Some(ended) = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => self.hear(ended).await,
            }
        }
    }

    /// Takes in what a job left in the store; the news of it may come later than the next pass.
    async fn hear(&mut self, ended: Result<(tokio::task::Id, Result<(), StoreError>), tokio::task::JoinError>) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(StoreError::Refused(error.to_string()))),
        };
        let id = self.busy.remove(&task).unwrap_or_default();
        if let Err(error) = result {
            warn!("{id}: {error}");
        }
        let mut news = News::default();
        for kind in [Kind::Certificate, Kind::Order] {
            let key = Key::new(kind, &id);
            match self.office.store.look(&key).await {
                Ok(seen) => drop(news.seen.insert(key, seen)),
                Err(error) => warn!("{error}"),
            }
        }
        self.view.take(news, Timestamp::now());
    }

    fn tell_mistakes(&self, told: &mut BTreeMap<Key, String>) {
        let now: BTreeMap<_, _> = self.view.mistakes.iter().map(|(key, mistakes)| (key.clone(), mistakes.to_string())).collect();
        for (key, mistakes) in &now {
            if told.get(key) != Some(mistakes) {
                warn!("{key} cannot be used\n{mistakes}");
            }
        }
        *told = now;
    }

    /// Looks at everything once, starts what can be started, and says when to look again.
    async fn pass(&mut self) -> Result<Timestamp, StoreError> {
        let now = Timestamp::now();
        let settings = Arc::new(self.view.settings());
        let local = self.local_ca(&settings).await?;
        self.roll_over(&settings, now).await;
        let needs = self.view.needs(&settings);
        let known = Known::new(&needs, &self.view.certificates, &self.view.orders, now);
        self.clear(&known).await?;
        let health = self.office.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut budgets = known.budgets(&settings, &*self.office.made.lock().await);

        let mut next = self.unrolled.values().map(|(_, until)| *until).fold(now + PASS_EVERY, Timestamp::min);
        let mut work = Vec::new();
        for (id, need) in &needs {
            let ca = known.ca_for(id, need, &settings, &health).map_or("", |ca| &ca.name);
            match known.task(id, need, ca, &budgets) {
                Task::Good { until, .. } | Task::Wait { until, .. } => next = next.min(until),
                Task::Unable(_) => {}
                Task::Done => self.remove(Key::new(Kind::Order, id)).await?,
                Task::Work { urgency } => work.push((urgency, id, need, ca)),
            }
        }
        work.sort_unstable_by(|one, other| (other.0, one.1).cmp(&(one.0, other.1)));
        if let Some(local) = local {
            let wanted: Vec<_> = work.into_iter().map(|(_, id, need, _)| (id.clone(), need.clone())).collect();
            self.issue(&local, wanted).await?;
        } else if !settings.cas.is_empty() {
            let wanted = self.affordable(work, &mut budgets, now);
            self.start(wanted, &settings, &Arc::new(budgets));
            self.ask_about_renewals(&settings, now);
        }
        Ok(next)
    }

    /// What may be begun now, the most urgent first: an order that is made already goes on in any
    /// case, and what is begun in this pass counts for the rest of it.
    fn affordable<'a>(&self, work: Vec<Due<'a>>, budgets: &mut Budgets, now: Timestamp) -> Vec<(String, Need, &'a str)> {
        let busy: BTreeSet<_> = self.busy.values().collect();
        let mut wanted = Vec::new();
        for (urgency, id, need, ca) in work.into_iter().filter(|(_, id, ..)| !busy.contains(id)) {
            if wanted.len() + self.jobs.len() >= JOBS_MAX {
                break;
            }
            let names = std::slice::from_ref(&need.name);
            let goes_on = self.view.orders.get(id).is_some_and(|order| order.attempt.is_some());
            if !goes_on && urgency != Urgency::Renewal {
                if budgets.check(ca, names, now).is_err() {
                    continue;
                }
                budgets.spend(ca, &Spent { at: now, names, renews: false });
            }
            wanted.push((id.clone(), need.clone(), ca));
        }
        wanted
    }

    fn start(&mut self, wanted: Vec<(String, Need, &str)>, settings: &Arc<Settings>, budgets: &Arc<Budgets>) {
        let accounts = Arc::new(self.view.accounts.clone());
        for (id, need, ca) in wanted {
            let Ok(method) = need.way else { continue };
            let (settings, accounts, budgets) = (Arc::clone(settings), Arc::clone(&accounts), Arc::clone(budgets));
            let job = Job { id: id.clone(), need, method, settings, accounts, counted_at: ca.to_owned(), budgets };
            let office = Arc::clone(&self.office);
            let handle = self.jobs.spawn(async move { office.meet(&job).await });
            self.busy.insert(handle.id(), id);
        }
    }

    async fn issue(&mut self, local: &LocalCa, wanted: Vec<(String, Need)>) -> Result<(), StoreError> {
        for (id, need) in wanted {
            let file = self.office.issue(&id, &need, local).await?;
            // The next pass may come before the news of this.
            self.view.orders.remove(&id);
            self.view.certificates.insert(id, file);
        }
        Ok(())
    }

    /// Asks the CAs about their certificates, with what jobs are left.
    fn ask_about_renewals(&mut self, settings: &Arc<Settings>, now: Timestamp) {
        let busy: BTreeSet<_> = self.busy.values().cloned().collect();
        let due = self.view.certificates.iter().filter(|(id, file)| renewal::asks_now(file, now) && !busy.contains(*id));
        let due = due.filter_map(|(id, file)| {
            let ca = settings.acme().find(|ca| file.ca.as_deref() == Some(&ca.name))?;
            Some((id.clone(), ca.clone()))
        });
        let room = JOBS_MAX.saturating_sub(self.jobs.len());
        for (id, ca) in due.take(room).collect::<Vec<_>>() {
            let (office, settings) = (Arc::clone(&self.office), Arc::clone(settings));
            let account = self.view.accounts.get(&ca.name).cloned();
            let name = id.clone();
            let handle = self.jobs.spawn(async move { office.ask(&name, &ca, &settings, account.as_ref()).await });
            self.busy.insert(handle.id(), id);
        }
    }

    /// Takes out what nobody needs any more.
    async fn clear(&self, known: &Known<'_>) -> Result<(), StoreError> {
        let busy: BTreeSet<_> = self.busy.values().collect();
        let orders = known.orphans().filter(|id| !busy.contains(id)).map(|id| Key::new(Kind::Order, id));
        let ended = known.leftovers().map(|id| Key::new(Kind::Certificate, id));
        for key in orders.chain(ended).collect::<Vec<_>>() {
            info!("{key} is not needed any more");
            self.remove(key).await?;
        }
        Ok(())
    }

    async fn remove(&self, key: Key) -> Result<(), StoreError> {
        let transaction = Transaction::new(Author::controller(super::NAME)).remove(key, Expect::Anything);
        self.office.store.commit(&transaction.under(&self.office.lease)).await
    }

    /// The local CA, if the settings want one; made when it is not there.
    async fn local_ca(&mut self, settings: &Settings) -> Result<Option<LocalCa>, StoreError> {
        if !settings.is_local() {
            return Ok(None);
        }
        if let Some(file) = &self.view.local_ca {
            return match file.open(&self.office.sealing) {
                Ok(ca) => Ok(Some(ca)),
                Err(error) => Err(StoreError::Refused(format!("the local CA: {error}"))),
            };
        }
        let key = Key::new(Kind::Keys, crate::keys::account::LOCAL_CA);
        if let Some(mistake) = self.view.mistakes.get(&key) {
            return Err(StoreError::Refused(format!("the local CA cannot be read, and no other takes its place: {mistake}")));
        }
        let refused = |failure: Failure| StoreError::Refused(failure.message);
        let ca = LocalCa::new(Timestamp::now()).map_err(refused)?;
        let file = LocalCaFile::new(&ca, &self.office.sealing).map_err(refused)?;
        let text = serde_json::to_string_pretty(&file).map_err(|error| StoreError::Refused(error.to_string()))?;
        let transaction = Transaction::new(Author::controller(super::NAME)).put(key, Expect::Absent, text);
        self.office.store.commit(&transaction.under(&self.office.lease)).await?;
        self.view.local_ca = Some(file);
        Ok(Some(ca))
    }

    /// Gives another key to the accounts whose operator asked for one, once nothing is under way.
    async fn roll_over(&mut self, settings: &Settings, now: Timestamp) {
        self.unrolled.retain(|ca, _| self.view.accounts.get(ca).is_some_and(|file| file.rotate));
        if !self.jobs.is_empty() {
            return;
        }
        for ca in settings.acme() {
            let Some(file) = self.view.accounts.get(&ca.name).filter(|file| file.rotate) else { continue };
            let (failures, until) = self.unrolled.get(&ca.name).copied().unwrap_or((0, now));
            if until > now {
                continue;
            }
            match self.office.accounts.roll_over(ca, file).await {
                Ok(file) => drop(self.view.accounts.insert(ca.name.clone(), file)),
                Err(trouble) => {
                    let failures = failures.saturating_add(1);
                    let until = backoff::retry_at(failures, true, trouble.wait, now, fastrand::f64());
                    warn!("the account at {} keeps its key until {until} at least: {trouble}", ca.name);
                    self.unrolled.insert(ca.name.clone(), (failures, until));
                }
            }
        }
    }
}
