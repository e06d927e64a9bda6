//! One proxy and what we know of it; brings it to what the store says.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::answer::Refusal;
use karman_contract::app::App;
use karman_contract::document::{DocumentName, Item, Page, Stamp};
use karman_contract::status::{Confirm, Confirmed, Status};

use super::decide::{Has, Held, Items};
use super::exceptions::Exceptions;
use super::ledger::Ledger;
use super::outcome::{Change, Trouble};
use super::send::{Unsent, send};
use crate::admin::{Admin, read_apps};
use crate::catalog::Catalog;

/// How often one round asks anew after a refusal that taught us something. Each refusal names all
/// its reasons, so a second one means that the proxy changed meanwhile.
const TRIES_MAX: usize = 6;

pub struct Edge {
    admin: Admin,
    status: Option<Status>,
    apps: Has<App>,
    pages: Has<Page>,
    exceptions: Exceptions,
    /// The epoch under which this process brought the proxy up to date. Whoever else writes to it
    /// then is not the store, and the store goes past it.
    led_epoch: Option<u64>,
    /// When the run of the proxy began that the exceptions were learned from.
    started_at: Option<Timestamp>,
}

impl Edge {
    pub fn new(admin: Admin) -> Self {
        Self {
            admin,
            status: None,
            apps: Has::Nothing,
            pages: Has::Nothing,
            exceptions: Exceptions::default(),
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

    /// The generation of each document that the proxy is known to have as we want it.
    pub fn stamps(&self) -> BTreeMap<DocumentName, Stamp> {
        let stamps = [(DocumentName::Apps, self.apps.stamp()), (DocumentName::Pages, self.pages.stamp())];
        stamps.into_iter().filter_map(|(document, stamp)| Some((document, stamp?))).collect()
    }

    /// Forgets what the proxy is and asks it first the next time.
    pub fn lost(&mut self) {
        self.status = None;
    }

    /// Makes the proxy have what the catalog says. `accept`: an operator stands behind a mass
    /// removal, and behind this store where the proxy is ahead of it.
    pub async fn sync(&mut self, catalog: &Catalog, ledger: &mut Ledger, accept: bool) -> Result<Option<Change>, Trouble> {
        if self.status.is_none() {
            self.meet(catalog, ledger, accept).await?;
        }
        if accept {
            self.exceptions.allow_removal();
        }
        // First the pages, then the apps that name them. Without its page an app is served all the same.
        let pages = self.sync_pages(catalog, ledger).await;
        let change = self.sync_apps(catalog, ledger, accept).await?;
        self.led_epoch = Some(ledger.revision().epoch);
        pages.map(|()| change)
    }

    /// Learns who the proxy is and what it has.
    async fn meet(&mut self, catalog: &Catalog, ledger: &mut Ledger, accept: bool) -> Result<(), Trouble> {
        let status = self.admin.status().await?;
        let document = |name| status.documents.get(&name).cloned().unwrap_or_default();
        let (apps, pages) = (document(DocumentName::Apps), document(DocumentName::Pages));

        for stamp in [apps.stamp, pages.stamp].into_iter().flatten() {
            let ours = ledger.revision();
            if stamp <= ours.stamp() || self.led_epoch == Some(stamp.epoch) {
                continue;
            }
            if !accept {
                return Err(Trouble::Problem(format!(
                    "the proxy has {stamp} and this store is at {}: it follows another store, or this one was restored; \
                     if this store is right, 'karman publish --accept' makes it win",
                    ours.stamp()
                )));
            }
            ledger.begin_epoch_after(stamp.epoch)?;
        }

        let has: Items<App> = self.apps.held().map(|held| held.items.clone()).unwrap_or_default();
        self.apps = Has::recognized(apps.stamp, apps.hash.as_deref(), &self.exceptions.apply(catalog.apps(), &has));
        self.pages = Has::recognized(pages.stamp, pages.hash.as_deref(), &catalog.pages());
        if self.started_at.replace(status.started_at) != Some(status.started_at) {
            self.exceptions.forget();
        }
        self.status = Some(status);
        Ok(())
    }

    async fn sync_pages(&mut self, catalog: &Catalog, ledger: &mut Ledger) -> Result<(), Trouble> {
        let mut wanted = catalog.pages();
        if let Some(held) = self.pages.held() {
            if wanted.keys().all(|hash| held.items.contains_key(hash)) {
                // Pages that nobody needs any more go with the next change.
                return Ok(());
            }
            // Apps are served by their old versions until they are replaced.
            let named = self.apps.held().into_iter().flat_map(|apps| apps.items.values().flat_map(|app| app.pages.values()));
            wanted.extend(named.filter_map(|hash| Some((*hash, Arc::clone(held.items.get(hash)?)))));
        } else if wanted.is_empty() && matches!(self.pages, Has::Nothing) {
            return Ok(());
        }
        for _ in 0..TRIES_MAX {
            match send(&self.admin, &mut self.pages, &wanted, ledger, false).await {
                Ok(_) => return Ok(()),
                Err(Unsent::Again) => {}
                Err(Unsent::Refused(refusal)) => return Err(Trouble::Problem(format!("the proxy refused the pages: {refusal}"))),
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            }
        }
        Err(Trouble::Problem("the proxy's pages change under our hands: is there another publisher?".to_owned()))
    }

    async fn sync_apps(&mut self, catalog: &Catalog, ledger: &mut Ledger, accept: bool) -> Result<Option<Change>, Trouble> {
        for _ in 0..TRIES_MAX {
            let has: Items<App> = self.apps.held().map(|held| held.items.clone()).unwrap_or_default();
            let wanted = self.exceptions.apply(catalog.apps(), &has);
            let refusal = match send(&self.admin, &mut self.apps, &wanted, ledger, accept).await {
                Ok(change) => return Ok(change),
                Err(Unsent::Again) => continue,
                Err(Unsent::Refused(refusal)) => refusal,
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            };
            // What the proxy has must be known before anything is left as it is there.
            self.read_apps().await?;
            let has = self.apps.held().map(|held| &held.items);
            let nothing = Items::<App>::new();
            let learned = match &refusal {
                Refusal::Refused { reasons } => self.exceptions.refuse(&wanted, reasons),
                Refusal::MassRemoval { .. } => self.exceptions.hold_removal(catalog.apps(), has.unwrap_or(&nothing)),
                _ => false,
            };
            if !learned {
                return Err(Trouble::Problem(format!("the proxy refused the apps: {refusal}")));
            }
        }
        Err(Trouble::Problem("the proxy's apps change under our hands: is there another publisher?".to_owned()))
    }

    async fn read_apps(&mut self) -> Result<(), Trouble> {
        if let Has::Unknown(_) = self.apps {
            let (stamp, apps) = self.admin.apps().await?;
            let items = read_apps(apps)?.into_iter().map(|(id, app)| (id, Arc::new(app))).collect();
            self.apps = Has::This(Held { stamp, items });
        }
        Ok(())
    }

    /// Asks the proxy whether it still has what we sent. Where not, the next round repairs it.
    pub async fn confirm(&mut self) -> Result<Vec<DocumentName>, Trouble> {
        let mut confirm = BTreeMap::new();
        if let Some(held) = self.apps.held() {
            confirm.insert(DocumentName::Apps, confirmed(held));
        }
        if let Some(held) = self.pages.held() {
            confirm.insert(DocumentName::Pages, confirmed(held));
        }
        let differs = self.admin.confirm(&Confirm(confirm)).await?;
        if !differs.is_empty() {
            self.lost();
        }
        Ok(differs)
    }
}

fn confirmed<I: Item>(held: &Held<I>) -> Confirmed {
    Confirmed { epoch: held.stamp.epoch, generation: held.stamp.generation, hash: held.hash() }
}
