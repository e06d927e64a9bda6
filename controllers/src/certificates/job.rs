//! One job of the controller, from beginning to end: an order, or a question about a renewal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use karman_contract::read::Read;
use karman_contract::yaml::read_yaml;
use tokio::time::sleep;
use tracing::{info, warn};

use super::accounts::Accounts;
use super::acme::http::noting_answers;
use super::acme::{Client, renewal_id};
use super::budget::Budgets;
use super::choice::Health;
use super::entry::{CertificateFile, OrderedAs, Source, id_of_brought, place_of_key};
use super::local::LocalCa;
use super::look::{Caa, Resolver};
use super::made::Made;
use super::need::Need;
use super::order::Order;
use super::pair::{Pair, leaf_of};
use super::renewal;
use super::settings::{AcmeCa, Ca, Method, Settings};
use super::trouble::{Remedy, Trouble};
use super::txt::Provider;
use super::txt::hook::Hook;
use super::work::{Bench, Step};
use crate::failure::Failure;
use crate::keys::account::AccountFile;
use crate::sealing::Sealing;
use crate::store::{Author, Expect, Key, Kind, Lease, Seen, Store, StoreError, Transaction};

/// How often one job begins an exchange again because of a nonce.
const REPEATS_MAX: usize = 10;
/// How often an order is written down where somebody else writes there too.
const SAVES_MAX: usize = 5;

/// What all jobs share.
pub struct Office {
    pub store: Arc<dyn Store>,
    pub lease: Arc<Lease>,
    pub sealing: Arc<Sealing>,
    pub accounts: Accounts,
    pub health: Mutex<Health>,
    /// Held while it is written.
    pub made: tokio::sync::Mutex<Made>,
}

/// One need to be met.
pub struct Job {
    pub id: String,
    pub need: Need,
    pub method: Method,
    pub settings: Arc<Settings>,
    pub accounts: Arc<BTreeMap<String, AccountFile>>,
    /// The CA whose budget this order was counted in.
    pub counted_at: String,
    pub budgets: Arc<Budgets>,
}

impl Office {
    /// Meets a need, or notes why not. An error is one of the store: nothing was noted.
    pub async fn meet(&self, job: &Job) -> Result<(), StoreError> {
        let now = Timestamp::now();
        // News may be late. Nothing is ordered on old ones: the store is asked once more.
        let renews: Option<CertificateFile> = self.look(Kind::Certificate, &job.id).await?.map(|(file, _)| file);
        let stands = self.store.look(&Key::new(Kind::Order, &job.id)).await?;
        let order: Option<Order> = read(&stands);
        let is_good = renews.as_ref().is_some_and(|file| file.covers(&job.need.name) && renewal::due(file, now).is_err());
        let is_met = order.as_ref().zip(renews.as_ref()).is_some_and(|(order, file)| order.is_met_by(file));
        let is_asked_for = order.as_ref().is_some_and(|order| order.asked_for) && !is_met;
        if is_good && !is_asked_for || order.as_ref().is_some_and(|order| order.waits(now).is_some()) {
            return Ok(());
        }
        let order = order.unwrap_or_else(|| Order::new(vec![job.need.name.clone()], now));
        let mut paper = Paper { order, expect: stands.expect_any(), is_wished: false };
        match self.pursue(job, &mut paper, renews.as_ref()).await {
            Ok(()) => Ok(()),
            Err(Stop::Store(error)) => Err(error),
            Err(Stop::Trouble(trouble)) => {
                let order = &mut paper.order;
                let before = order.clone();
                order.fail(&trouble, Timestamp::now(), fastrand::f64());
                if order.is_failing() {
                    warn!("{} failed {} times in a row: {trouble}", job.need.name, order.failures);
                } else {
                    info!("{} is tried again later: {trouble}", job.need.name);
                }
                if order.attempt.is_none() {
                    self.clean_up(job, &before).await;
                }
                if paper.is_wished {
                    paper.order.try_now();
                }
                self.save(&job.id, &mut paper).await
            }
        }
    }

    async fn pursue(&self, job: &Job, paper: &mut Paper, renews: Option<&CertificateFile>) -> Result<(), Stop> {
        let resolver = Resolver::new(&job.settings.resolvers).map_err(Trouble::from)?;
        let caa = resolver.look(&job.need.name, job.method, &job.settings).await?;
        let ca = self.ca_for(job, &paper.order, &caa)?;
        let mut repeats = Repeats(0);
        let client = self.client(job, ca, &mut repeats).await?;
        let mut bench = Bench {
            id: &job.id,
            ca,
            client: &client,
            method: job.method,
            sealing: &self.sealing,
            dns: provider(&job.settings),
            replaces: renews.and_then(|file| replaces(file, ca)),
            open: None,
        };
        loop {
            match self.step(paper, &mut bench).await? {
                Ok(Step::Save) => self.save(&job.id, paper).await?,
                Ok(Step::SaveAndPublish) => {
                    self.save(&job.id, paper).await?;
                    sleep(job.settings.propagation).await;
                }
                Ok(Step::Issued(pair)) => return Ok(self.file(job, &paper.order, ca, &pair).await?),
                Err(trouble) if repeats.may_repeat(&trouble) => {}
                Err(trouble) => return Err(self.give_up(job, ca, &client, &caa, trouble).await.into()),
            }
        }
    }

    /// The CA that the order is at, or that it is to be made at, if there is budget left for that.
    fn ca_for<'a>(&self, job: &'a Job, order: &Order, caa: &Caa) -> Result<&'a AcmeCa, Trouble> {
        let present = order.attempt.as_ref().map(|attempt| attempt.ca.as_str());
        let ca = self.choose(job, present.unwrap_or_default(), caa)?;
        if ca.name != job.counted_at && !order.is_made_at(&ca.name) {
            // The domain's owner allows this one only, or the other has failed since.
            let names = std::slice::from_ref(&job.need.name);
            job.budgets.check(&ca.name, names, Timestamp::now()).map_err(|wait| wait.trouble(Timestamp::now()))?;
        }
        Ok(ca)
    }

    async fn client(&self, job: &Job, ca: &AcmeCa, repeats: &mut Repeats) -> Result<Client, Trouble> {
        let Settings { contact, propagation, .. } = &*job.settings;
        loop {
            let client = self.accounts.client(ca, contact, job.accounts.get(&ca.name), *propagation);
            match self.noted(ca, client).await {
                Err(trouble) if repeats.may_repeat(&trouble) => {}
                client => return client,
            }
        }
    }

    /// Goes one step on, and counts the order if it was made by that. The outer error is one of the store.
    async fn step(&self, paper: &mut Paper, bench: &mut Bench<'_>) -> Result<Result<Step, Trouble>, StoreError> {
        let ca = bench.ca;
        let was_made = paper.order.is_made_at(&ca.name);
        let step = self.noted(ca, bench.step(&mut paper.order)).await;
        if let Some(attempt) = paper.order.attempt.as_ref().filter(|attempt| !was_made && attempt.costs()) {
            self.note_made(&ca.name, attempt.at).await?;
        }
        Ok(step)
    }

    /// What is left to be done about a trouble that no repeat helps against.
    async fn give_up(&self, job: &Job, ca: &AcmeCa, client: &Client, caa: &Caa, mut trouble: Trouble) -> Trouble {
        let is_elsewhere = self.choose(job, &ca.name, caa).is_ok_and(|other| other.name != ca.name);
        if is_elsewhere && trouble.of_the_ca {
            // Another CA need not wait for this one.
            (trouble.remedy, trouble.wait) = (Remedy::StartAgain, None);
        }
        if let (Remedy::NewAccount, Some(known)) = (trouble.remedy, job.accounts.get(&ca.name))
            && let Err(another) = self.accounts.open_again(ca, &job.settings.contact, known, client).await
        {
            return another;
        }
        trouble
    }

    /// Counts an order that a CA has made. The next start counts it too.
    async fn note_made(&self, ca: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut made = self.made.lock().await;
        made.add(ca, at);
        self.store.commit(&made.written()?.under(&self.lease)).await
    }

    fn choose<'a>(&self, job: &'a Job, present: &str, caa: &Caa) -> Result<&'a AcmeCa, Trouble> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.choose(&job.settings, present, &job.need.name, caa, Timestamp::now())
    }

    /// Does a piece of work, and remembers how the CA is by that.
    async fn noted<T>(&self, ca: &AcmeCa, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let (result, answered) = noting_answers(work).await;
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.note(&ca.name, result.as_ref().err(), answered, Timestamp::now());
        result
    }

    /// Puts a certificate into the store and takes its order out, in one piece. A pair for more names that a person
    /// brought, and that an earlier release left at that place, gets its own.
    async fn put_ordered(&self, id: &str, file: &CertificateFile) -> Result<(), StoreError> {
        let mut transaction = Transaction::new(Author::controller(super::NAME));
        let stands = self.look::<CertificateFile>(Kind::Certificate, id).await?.map(|(stands, _)| stands);
        if let Some(brought) = stands.filter(|stands| stands.source != Source::Ordered && stands.names.len() > 1) {
            let own = id_of_brought(&brought.names, false);
            match self.sealing.reveal_text(&place_of_key(id), &brought.key) {
                Ok(key) => {
                    let key = self.sealing.seal(&place_of_key(&own), key.as_bytes());
                    let key = key.map_err(|failure| StoreError::Refused(failure.message))?;
                    let text = text_of(&CertificateFile { key, ..brought })?;
                    // First: those who read meanwhile have it at one place or the other.
                    transaction = transaction.put(Key::new(Kind::Certificate, &own), Expect::Anything, text);
                }
                // Nobody could use it there either.
                Err(error) => warn!("the key of {id} cannot be opened: {error}"),
            }
        }
        let transaction = transaction.put(Key::new(Kind::Certificate, id), Expect::Anything, text_of(file)?);
        let transaction = transaction.remove(Key::new(Kind::Order, id), Expect::Anything);
        self.store.commit(&transaction.under(&self.lease)).await
    }

    /// Files what was issued.
    async fn file(&self, job: &Job, order: &Order, ca: &AcmeCa, pair: &Pair) -> Result<(), StoreError> {
        let attempt = order.attempt.as_ref();
        let ordered = attempt.and_then(|attempt| {
            Some(OrderedAs { at: attempt.at, url: attempt.url.clone()?, renews: attempt.replaces.is_some() })
        });
        let file = certificate_file(&job.id, pair, Source::Ordered, Some(ca.name.clone()), ordered, &self.sealing);
        let file = file.map_err(|failure| StoreError::Refused(failure.message))?;
        self.put_ordered(&job.id, &file).await?;
        info!("{} has a certificate of {} until {}", job.need.name, ca.name, pair.not_after);
        self.clean_up(job, order).await;
        Ok(())
    }

    /// What stays behind in DNS harms nobody; it is tried once.
    async fn clean_up(&self, job: &Job, order: &Order) {
        let Some(dns) = provider(&job.settings) else { return };
        let shown = order.attempt.iter().filter_map(|attempt| attempt.shown.as_ref()).flat_map(|shown| &shown.txt);
        for txt in shown {
            if let Err(failure) = dns.clean_up(&txt.into()).await {
                warn!("a TXT record stays behind: {failure}");
            }
        }
    }

    /// Writes an order down. Who asked for it meanwhile wrote there too: that wish stays, and is heard.
    async fn save(&self, id: &str, paper: &mut Paper) -> Result<(), StoreError> {
        let key = Key::new(Kind::Order, id);
        for _ in 0..SAVES_MAX {
            let text = serde_json::to_string_pretty(&paper.order).map_err(|error| StoreError::Refused(error.to_string()))?;
            let transaction = Transaction::new(Author::controller(super::NAME));
            let transaction = transaction.put(key.clone(), paper.expect.clone(), text.clone());
            let is_written = match self.store.commit(&transaction.under(&self.lease)).await {
                Ok(()) => true,
                Err(StoreError::Changed(_)) => false,
                Err(error) => return Err(error),
            };
            let seen = self.store.look(&key).await?;
            paper.expect = seen.expect_any();
            if is_written && seen.text().is_some_and(|found| found.text == text) {
                return Ok(());
            }
            paper.hear(read(&seen));
        }
        Err(StoreError::Changed(key))
    }

    /// Issues by the local CA, which needs no order.
    pub async fn issue(&self, id: &str, need: &Need, ca: &LocalCa) -> Result<CertificateFile, StoreError> {
        let refused = |failure: Failure| StoreError::Refused(failure.message);
        let pair = ca.issue(std::slice::from_ref(&need.name), Timestamp::now()).map_err(refused)?;
        let ca = Some(Ca::LOCAL.to_owned());
        let file = certificate_file(id, &pair, Source::Ordered, ca, None, &self.sealing).map_err(refused)?;
        // Somebody may have asked for it.
        self.put_ordered(id, &file).await?;
        Ok(file)
    }

    /// Asks the CA when it wants a certificate renewed, and notes the answer.
    pub async fn ask(&self, id: &str, ca: &AcmeCa, settings: &Settings, known: Option<&AccountFile>) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let Some((mut file, seen)) = self.look::<CertificateFile>(Kind::Certificate, id).await? else { return Ok(()) };
        if !renewal::asks_now(&file, now) {
            return Ok(());
        }
        let asked = async {
            let client: Client = self.accounts.client(ca, &settings.contact, known, settings.propagation).await?;
            let Some(id) = leaf_of(&file.chain).and_then(|leaf| renewal_id(&leaf)) else { return Ok(None) };
            client.renewal_window(&id).await
        };
        let life = (file.not_before, file.not_after);
        let ((start, end), again) = match asked.await {
            Ok(Some(answer)) => answer,
            // No window is one that never comes before the backstop.
            Ok(None) => ((life.1, life.1), renewal::ASK_EVERY),
            Err(trouble) => {
                info!("{} does not say when {id} is to be renewed: {trouble}", ca.name);
                let before = file.renewal.map_or((life.1, life.1), |window| (window.start, window.end));
                (before, trouble.wait.unwrap_or(renewal::ASK_AFTER_FAILURE))
            }
        };
        file.renewal = Some(renewal::window(file.renewal, (start, end), again, now, fastrand::f64()));
        match self.store.commit(&put_certificate(id, &file, seen.unchanged())?.under(&self.lease)).await {
            // A person was faster; there is another certificate to ask about.
            Err(StoreError::Changed(_)) => Ok(()),
            committed => committed,
        }
    }

    /// What stands in the store now.
    async fn look<T: Read>(&self, kind: Kind, id: &str) -> Result<Option<(T, Seen)>, StoreError> {
        let seen = self.store.look(&Key::new(kind, id)).await?;
        Ok(read(&seen).map(|read| (read, seen)))
    }
}

/// The order that a job works on, and what it left of that in the store.
struct Paper {
    order: Order,
    expect: Expect,
    /// Somebody asked for it since the job began.
    is_wished: bool,
}

impl Paper {
    fn hear(&mut self, theirs: Option<Order>) {
        if theirs.is_some_and(|theirs| theirs.asked_for) {
            self.is_wished = true;
            self.order.asked_for = true;
            self.order.try_now();
        }
    }
}

/// How often a job has begun an exchange again.
struct Repeats(usize);

impl Repeats {
    fn may_repeat(&mut self, trouble: &Trouble) -> bool {
        let may = trouble.remedy == Remedy::Repeat && self.0 < REPEATS_MAX;
        self.0 += usize::from(may);
        may
    }
}

/// Why a job ends early.
enum Stop {
    Trouble(Trouble),
    Store(StoreError),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What cannot be read is as good as nothing.
fn read<T: Read>(seen: &Seen) -> Option<T> {
    seen.text().and_then(|text| read_yaml(&text.file, &text.text).ok())
}

fn provider(settings: &Settings) -> Option<Arc<dyn Provider>> {
    let dns = settings.dns.as_ref()?;
    Some(Arc::new(Hook::new(dns.hook.clone())))
}

/// How the CA that issued a certificate knows its renewal; another CA would not.
fn replaces(file: &CertificateFile, ca: &AcmeCa) -> Option<String> {
    // A CA that names no window is not known to take renewals as such.
    let has_window = file.renewal.is_some_and(|window| window.start < file.not_after);
    if !has_window || file.ca.as_deref() != Some(&ca.name) {
        return None;
    }
    renewal_id(&leaf_of(&file.chain)?)
}

/// A pair as the store keeps it.
pub fn certificate_file(
    id: &str,
    pair: &Pair,
    source: Source,
    ca: Option<String>,
    order: Option<OrderedAs>,
    sealing: &Sealing,
) -> Result<CertificateFile, Failure> {
    Ok(CertificateFile {
        names: pair.names.clone(),
        chain: pair.chain.clone(),
        key: sealing.seal(&place_of_key(id), pair.key.as_bytes())?,
        source,
        not_before: pair.not_before,
        not_after: pair.not_after,
        ca,
        order,
        renewal: None,
    })
}

fn put_certificate<'a>(id: &str, file: &CertificateFile, expect: Expect) -> Result<Transaction<'a>, StoreError> {
    Ok(Transaction::new(Author::controller(super::NAME)).put(Key::new(Kind::Certificate, id), expect, text_of(file)?))
}

fn text_of(file: &CertificateFile) -> Result<String, StoreError> {
    serde_json::to_string_pretty(file).map_err(|error| StoreError::Refused(error.to_string()))
}
