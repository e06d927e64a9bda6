//! One proxy and what we know of it; brings it to what the store says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Instant;

use jiff::Timestamp;
use karman_contract::answer::Refusal;
use karman_contract::app::App;
use karman_contract::document::{DocumentName, Item, Page, Stamp};
use karman_contract::edges::Edges;
use karman_contract::status::{Confirm, Confirmed, Status};
use tracing::info;

use super::certificates::HasCertificates;
use super::decide::{Has, Held};
use super::exceptions::Exceptions;
use super::keys::HasKeys;
use super::known::Known;
use super::ledger::Shared;
use super::left_out::{LeftOut, Without};
use super::outcome::{Change, Trouble};
use super::send::{Unsent, send};
use super::wanted::{Items, Wanted};
use crate::admin::{Admin, read_apps};

/// How often one round asks anew after a refusal that taught us something. Each refusal names all
/// its reasons, so a second one means that the proxy changed meanwhile.
const TRIES_MAX: usize = 6;
/// So many times as long as it hashed, whoever confirms rests: a tenth of a core.
const REST: u32 = 9;

pub struct Edge {
    admin: Admin,
    ledger: Shared,
    status: Option<Status>,
    /// The stamp of what is sent next.
    stamp: Stamp,
    apps: Has<App>,
    pages: Has<Page>,
    certificates: HasCertificates,
    keys: HasKeys,
    exceptions: Exceptions,
    /// What the proxy knows of the contract, and what it therefore goes without.
    known: Known,
    apps_without: LeftOut<App>,
    /// The epoch under which this process brought the proxy up to date. Whoever else writes to it
    /// then is not the store, and the store goes past it.
    led_epoch: Option<u64>,
    /// When the run of the proxy began that the exceptions were learned from.
    started_at: Option<Timestamp>,
}

impl Edge {
    /// `exceptions`: what is known of them from before this start.
    pub fn new(admin: Admin, ledger: Shared, exceptions: Exceptions) -> Self {
        Self {
            admin,
            ledger,
            status: None,
            stamp: Stamp::default(),
            apps: Has::Nothing,
            pages: Has::Nothing,
            certificates: HasCertificates::default(),
            keys: HasKeys::default(),
            exceptions,
            known: Known::default(),
            apps_without: LeftOut::default(),
            led_epoch: None,
            started_at: None,
        }
    }

    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// What the proxy said of itself when we met it last.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    pub fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    pub fn certificates(&self) -> &HasCertificates {
        &self.certificates
    }

    /// Whether it keeps something that is gone from the store until somebody says that this is meant.
    pub fn is_holding(&self) -> bool {
        self.exceptions.removal().is_some() || self.certificates.lost().is_some()
    }

    /// The fields that the proxy does not know, and what goes without them.
    pub fn without(&self) -> BTreeMap<String, Without> {
        let (apps, certificates) = (self.apps_without.by_field(), self.certificates.without().by_field());
        apps.iter().chain(certificates).map(|(field, without)| (field.clone(), without.clone())).collect()
    }

    /// The stamp of what this edge is brought to.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The generation of each document that the proxy is known to have as we want it.
    pub fn stamps(&self) -> BTreeMap<DocumentName, Stamp> {
        let stamps = [
            (DocumentName::Apps, self.apps.stamp()),
            (DocumentName::Pages, self.pages.stamp()),
            (DocumentName::Certificates, self.certificates.has().stamp()),
            (DocumentName::Keys, self.keys.stamp()),
        ];
        stamps.into_iter().filter_map(|(document, stamp)| Some((document, stamp?))).collect()
    }

    /// Forgets what the proxy is and asks it first the next time.
    pub fn lost(&mut self) {
        self.status = None;
    }

    /// Tells the proxy how many edges share what an instance takes, if it can be told and thinks otherwise.
    pub async fn share(&mut self, edges: Edges) -> Result<(), Trouble> {
        let Some(status) = self.status.as_mut().filter(|status| status.edges.is_some_and(|has| has != edges)) else {
            return Ok(());
        };
        status.edges = Some(self.admin.share(edges).await?);
        info!("what an instance takes is shared by {} edges", edges.serving);
        Ok(())
    }

    /// Learns what the proxy has, and what it keeps of what the store may have lost. `accept`: an operator stands behind
    /// a mass removal, and behind this store where the proxy is ahead of it.
    pub async fn look(&mut self, wanted: &Wanted, accept: bool) -> Result<(), Trouble> {
        self.stamp = self.stamp.max(wanted.stamp);
        self.exceptions.leave(&wanted.unknown);
        if self.status.is_none() {
            self.meet(wanted, accept).await?;
        }
        if let Some(problem) = &wanted.problem {
            return Err(Trouble::Problem(problem.clone()));
        }
        if accept {
            self.exceptions.allow_removal();
        }
        self.know_what_is_kept(wanted, accept).await.map(drop)
    }

    /// Makes the proxy, which was looked at, have what is wanted.
    pub async fn sync(&mut self, wanted: &Wanted, accept: bool) -> Result<Option<Change>, Trouble> {
        // First what hosts need to be served over TLS. An app is served without it, so it goes on all the same.
        let secrets = self.sync_secrets(wanted, accept).await;
        // First the pages, then the apps that name them. Without its page an app is served all the same.
        let pages = self.sync_pages(wanted).await;
        let change = self.sync_apps(wanted, accept).await?;
        self.led_epoch = Some(self.stamp.epoch);
        secrets.and(pages).map(|()| change)
    }

    /// Learns who the proxy is and what it has.
    async fn meet(&mut self, wanted: &Wanted, accept: bool) -> Result<(), Trouble> {
        let status = self.admin.status().await?;
        let document = |name| status.documents.get(&name).cloned().unwrap_or_default();
        let (apps, pages) = (document(DocumentName::Apps), document(DocumentName::Pages));
        let (certificates, keys) = (document(DocumentName::Certificates), document(DocumentName::Keys));

        // Another edge of this publisher may have gone past its own proxy meanwhile.
        self.stamp = self.stamp.max(self.ledger.stamp().await);
        for stamp in [apps.stamp, pages.stamp, certificates.stamp, keys.stamp].into_iter().flatten() {
            if stamp <= self.stamp || self.led_epoch == Some(stamp.epoch) {
                continue;
            }
            if !accept {
                return Err(Trouble::Problem(format!(
                    "the proxy has {stamp} and this store is at {}: it follows another store, or this one was restored; \
                     if this store is right, 'karman publish --accept' makes it win",
                    self.stamp
                )));
            }
            self.stamp = self.ledger.begin_epoch_after(stamp.epoch).await?;
        }

        let is_new_run = self.started_at.replace(status.started_at) != Some(status.started_at);
        if is_new_run {
            self.known = Known::new(&status.fields);
            self.apps_without = LeftOut::default();
        }
        let supposed = self.exceptions.apply(&wanted.apps, &self.apps.items()).into();
        self.apps = Has::recognized(apps.stamp, apps.hash.as_deref(), &supposed, &self.known);
        let supposed = wanted.pages.clone().into();
        self.pages = Has::recognized(pages.stamp, pages.hash.as_deref(), &supposed, &self.known);
        self.certificates.met(&certificates, wanted.secrets.certificates.as_ref(), &self.known, is_new_run);
        self.keys.met(&keys);
        if is_new_run {
            self.exceptions.forget();
        }
        self.status = Some(status);
        Ok(())
    }

    /// The keys, then the certificates but for what the proxy refuses of them. One that does not act on them yet gets none.
    async fn sync_secrets(&mut self, wanted: &Wanted, accept: bool) -> Result<(), Trouble> {
        if let Some(keys) = &wanted.secrets.keys {
            self.keys.sync(keys, &self.admin, (&mut self.stamp, &self.ledger), &self.known).await?;
        }
        let not_yet = |status: &Status| status.not_yet.iter().any(|field| field == "certificates");
        let Some(wanted) = wanted.secrets.certificates.as_ref().filter(|_| !self.status.as_ref().is_none_or(not_yet)) else {
            return Ok(());
        };
        let (order, how) = ((&mut self.stamp, &self.ledger), (&self.known, accept));
        self.certificates.sync(wanted, &self.admin, order, how).await
    }

    async fn sync_pages(&mut self, wanted: &Wanted) -> Result<(), Trouble> {
        for _ in 0..TRIES_MAX {
            let mut pages = wanted.pages.clone();
            if let Some(held) = self.pages.held() {
                if held.content.items.changes(&pages).all(|change| change.after.is_none()) {
                    // Pages that nobody needs any more go with the next change.
                    return Ok(());
                }
                // Apps are served by their old versions until they are replaced.
                let named = self.apps.items();
                let named = named.values().flat_map(|app| app.pages.values());
                pages.extend(named.filter_map(|hash| Some((*hash, Arc::clone(held.content.items.get(hash)?)))));
            } else if pages.is_empty() && matches!(self.pages, Has::Nothing) {
                return Ok(());
            }
            self.keep_what_apps_name(&pages);
            let (pages, order) = (pages.into(), (&mut self.stamp, &self.ledger));
            match send(&self.admin, &mut self.pages, &pages, order, (&self.known, false)).await {
                Ok(_) => return Ok(()),
                Err(Unsent::Again) => {}
                Err(Unsent::Refused(refusal)) => return Err(Trouble::Problem(format!("the proxy refused the pages: {refusal}"))),
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            }
        }
        Err(Trouble::Problem("the proxy's pages change under our hands: is there another publisher?".to_owned()))
    }

    /// A proxy tells no page. So where an app there names one that is not among those to be sent, all stay that it has:
    /// the app may be kept as it is. Of apps that were not read yet, any page may be one.
    fn keep_what_apps_name(&mut self, pages: &Items<Page>) {
        let is_named = || self.apps.items().values().flat_map(|app| app.pages.values()).any(|hash| !pages.contains_key(hash));
        let is_elsewhere = matches!(self.apps, Has::Unknown(_)) || is_named();
        let is_whole = self.pages.whole().is_some();
        self.pages.has_more(is_elsewhere && !is_whole);
    }

    async fn sync_apps(&mut self, wanted: &Wanted, accept: bool) -> Result<Option<Change>, Trouble> {
        for _ in 0..TRIES_MAX {
            if self.know_what_is_kept(wanted, accept).await? {
                // Nobody has written it down.
                break;
            }
            let apps = self.exceptions.apply(&wanted.apps, &self.apps.items());
            self.apps_without.look(&self.known, &apps);
            let mattering = self.apps_without.mattering();
            if !mattering.is_empty() {
                // What the proxy has must be known before anything is left as it is there.
                self.read_apps().await?;
                if self.exceptions.refuse(&apps, &mattering) {
                    continue;
                }
            }
            let (content, how) = (apps.clone().into(), (&self.known, accept));
            let refusal = match send(&self.admin, &mut self.apps, &content, (&mut self.stamp, &self.ledger), how).await {
                Ok(change) => return Ok(change),
                Err(Unsent::Again) => continue,
                Err(Unsent::Refused(refusal)) => refusal,
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            };
            // What the proxy has must be known before anything is left as it is there.
            self.read_apps().await?;
            let learned = match &refusal {
                Refusal::Refused { reasons } => self.exceptions.refuse(&apps, reasons),
                Refusal::MassRemoval { .. } => self.exceptions.hold_removal(&wanted.apps, &self.apps.items()),
                _ => false,
            };
            if !learned {
                return Err(Trouble::Problem(format!("the proxy refused the apps: {refusal}")));
            }
        }
        Err(Trouble::Problem("the proxy's apps change under our hands: is there another publisher?".to_owned()))
    }

    /// Reads what the proxy has where something of it is to be kept. A store of another epoch than the
    /// proxy's may have lost its data: it removes no app, not even a single one, without being told to.
    /// Whether it is more than was kept before.
    async fn know_what_is_kept(&mut self, wanted: &Wanted, accept: bool) -> Result<bool, Trouble> {
        let is_other_store = self.apps.stamp().is_some_and(|stamp| stamp.epoch != self.stamp.epoch);
        if is_other_store || self.exceptions.kept().next().is_some() {
            self.read_apps().await?;
        }
        let items = self.apps.items();
        let is_more = is_other_store && !accept && {
            self.exceptions.hold_after_loss(self.exceptions.gone(&wanted.apps, &items), items.len())
        };
        self.exceptions.keep_what_is_there(&items);
        Ok(is_more)
    }

    async fn read_apps(&mut self) -> Result<(), Trouble> {
        if let Has::Unknown(_) = self.apps {
            let (stamp, apps) = self.admin.apps().await?;
            let items: Items<App> = read_apps(apps)?.into_iter().map(|(id, app)| (id, Arc::new(app))).collect();
            self.apps = Has::This(Held::new(stamp, items.into()));
        }
        Ok(())
    }

    /// Asks the proxy whether it still has what it is known to have. Changes go on meanwhile: the answer is
    /// about the [`stamps`](Self::stamps) of now.
    pub fn confirm(&self) -> impl Future<Output = Result<Vec<DocumentName>, Trouble>> + Send + use<> {
        let (apps, pages) = (self.apps.held().cloned(), self.pages.whole().cloned());
        let certificates = self.certificates.has().whole().cloned();
        let more = [
            (DocumentName::Pages, self.pages.stamp_of_more()),
            (DocumentName::Certificates, self.certificates.has().stamp_of_more()),
        ];
        let more: BTreeMap<_, _> = more.into_iter().filter_map(|(name, stamp)| Some((name, stamp?))).collect();
        let (keys, admin, known) = (self.keys.confirmed(), self.admin.clone(), self.known.clone());
        async move {
            let mut confirm = BTreeMap::new();
            if let Some(apps) = apps {
                confirm.insert(DocumentName::Apps, confirmed(apps, known.clone()).await?);
            }
            if let Some(pages) = pages {
                confirm.insert(DocumentName::Pages, confirmed(pages, known.clone()).await?);
            }
            if let Some(certificates) = certificates {
                confirm.insert(DocumentName::Certificates, confirmed(certificates, known.clone()).await?);
            }
            if let Some(keys) = keys {
                confirm.insert(DocumentName::Keys, keys);
            }
            if !more.is_empty() {
                confirm.extend(as_told(&more, &admin.status().await?));
            }
            Ok(admin.confirm(&Confirm(confirm)).await?)
        }
    }
}

/// Of a document that nobody here knows whole, only the proxy can find the hash. Whoever else changed it has left
/// another stamp than ours.
fn as_told(more: &BTreeMap<DocumentName, Stamp>, status: &Status) -> impl Iterator<Item = (DocumentName, Confirmed)> {
    more.iter().map(|(name, Stamp { epoch, generation })| {
        let hash = status.documents.get(name).and_then(|document| document.hash.clone()).unwrap_or_default();
        (*name, Confirmed { epoch: *epoch, generation: *generation, hash })
    })
}

/// The hash of 100,000 apps takes a core for a fifth of a second; with rests no request of the proxy beside it waits
/// for all of that, and the other edges go on meanwhile. It ends when nobody waits for it any more.
async fn confirmed<I: Item>(held: Held<I>, known: Known) -> Result<Confirmed, Trouble> {
    let waits = Arc::new(());
    let is_waited_for = Arc::downgrade(&waits);
    let Stamp { epoch, generation } = held.stamp;
    let hash = tokio::task::spawn_blocking(move || {
        if let Some(hash) = held.hash.get() {
            return Some(hash.clone());
        }
        let mut since = Instant::now();
        let goes_on = || {
            sleep(since.elapsed() * REST);
            since = Instant::now();
            is_waited_for.strong_count() > 0
        };
        let hash = known.hash_while(held.stamp, &held.content, goes_on)?;
        Some(held.hash.get_or_init(|| hash).clone())
    });
    let hash = hash.await.map_err(|error| Trouble::Problem(format!("the document cannot be hashed: {error}")))?;
    drop(waits);
    Ok(Confirmed { epoch, generation, hash: hash.unwrap_or_default() })
}
