//! Our accounts at the CAs: opened when first needed, kept in the store, taken up again after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::sleep;
use tracing::{info, warn};

use super::acme::Client;
use super::settings::AcmeCa;
use super::trouble::Trouble;
use crate::keys::account::{AccountFile, id_of_account};
use crate::sealing::Sealing;
use crate::store::{Author, Expect, Key, Kind, Lease, Seen, Store, Transaction};

/// One place for all orders to get their client from; the first one that asks opens the account.
pub struct Accounts {
    store: Arc<dyn Store>,
    lease: Arc<Lease>,
    sealing: Arc<Sealing>,
    /// By the CA's name. Whoever works on an account has it alone; no CA waits for another.
    open: std::sync::Mutex<BTreeMap<String, Arc<Mutex<Option<Open>>>>>,
}

struct Open {
    directory: String,
    client: Client,
}

impl Accounts {
    pub fn new(store: Arc<dyn Store>, lease: Arc<Lease>, sealing: Arc<Sealing>) -> Self {
        Self { store, lease, sealing, open: std::sync::Mutex::default() }
    }

    async fn of(&self, ca: &AcmeCa) -> OwnedMutexGuard<Option<Open>> {
        let own = Arc::clone(self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(ca.name.clone()).or_default());
        own.lock_owned().await
    }

    /// The client for a CA. `known` is the account in the store, if there is one.
    ///
    /// A new account's thumbprint has to reach the edges before the CA asks for it: this waits for that.
    pub async fn client(
        &self,
        ca: &AcmeCa,
        contact: &[String],
        known: Option<&AccountFile>,
        propagation: Duration,
    ) -> Result<Client, Trouble> {
        let mut open = self.of(ca).await;
        if let Some(open) = open.as_ref().filter(|open| open.directory == ca.directory) {
            return Ok(open.client.clone());
        }
        let client = match known.filter(|known| known.directory == ca.directory) {
            Some(known) => {
                let credentials = known.open(&ca.name, &self.sealing);
                let credentials =
                    credentials.map_err(|error| Trouble::passing(format!("the account at {}: {error}", ca.name)))?;
                Client::resume(ca, &credentials).await?
            }
            None => {
                if known.is_none() {
                    self.check_absent(ca).await?;
                }
                let (client, credentials) = Client::register(ca, contact).await?;
                let file = AccountFile::new(&ca.name, &ca.directory, client.thumbprint(), &credentials, &self.sealing)?;
                self.save(ca, &file).await?;
                info!("opened an account at {}", ca.name);
                sleep(propagation).await;
                client
            }
        };
        *open = Some(Open { directory: ca.directory.clone(), client: client.clone() });
        Ok(client)
    }

    /// Opens the account again that a CA has lost, with its old key.
    pub async fn open_again(&self, ca: &AcmeCa, contact: &[String], known: &AccountFile, lost: &Client) -> Result<(), Trouble> {
        let mut open = self.of(ca).await;
        // Somebody else may have found it lost too.
        if open.as_ref().is_some_and(|open| open.client.id() != lost.id()) {
            return Ok(());
        }
        warn!("{} does not know our account any more; another is opened with the same key", ca.name);
        let old = known.open(&ca.name, &self.sealing).map_err(|error| Trouble::passing(error.to_string()))?;
        let (client, credentials) = match ca.eab {
            // Such an account is bound to a key when it is opened, and only then.
            Some(_) => Client::register(ca, contact).await?,
            None => Client::register_again(ca, &old).await?,
        };
        let mut file = AccountFile::new(&ca.name, &ca.directory, client.thumbprint(), &credentials, &self.sealing)?;
        file.remember(&known.thumbprints);
        self.save(ca, &file).await?;
        *open = Some(Open { directory: ca.directory.clone(), client });
        Ok(())
    }

    /// Gives an account another key. Edges answer for both keys from now on: a CA may still look at the old one's proof.
    pub async fn roll_over(&self, ca: &AcmeCa, known: &AccountFile) -> Result<AccountFile, Trouble> {
        let mut open = self.of(ca).await;
        let old = known.open(&ca.name, &self.sealing).map_err(|error| Trouble::passing(error.to_string()))?;
        let mut client = Client::resume(ca, &old).await?;
        let credentials = client.roll_over().await?;
        let mut file = AccountFile::new(&ca.name, &ca.directory, client.thumbprint(), &credentials, &self.sealing)?;
        file.remember(&known.thumbprints);
        self.save(ca, &file).await?;
        info!("the account at {} has another key", ca.name);
        *open = Some(Open { directory: ca.directory.clone(), client });
        Ok(file)
    }

    /// An account that stands in the store and is not known cannot be read, or came just now: another would take its place.
    async fn check_absent(&self, ca: &AcmeCa) -> Result<(), Trouble> {
        let key = Key::new(Kind::Keys, &id_of_account(&ca.name));
        match self.store.look(&key).await.map_err(|error| Trouble::passing(error.to_string()))? {
            Seen::Nothing => Ok(()),
            _ => Err(Trouble::passing(format!("{key}, the account at {}, cannot be read: mend it, or remove it", ca.name))),
        }
    }

    async fn save(&self, ca: &AcmeCa, file: &AccountFile) -> Result<(), Trouble> {
        let text = serde_json::to_string_pretty(file).map_err(|error| Trouble::passing(error.to_string()))?;
        let key = Key::new(Kind::Keys, &id_of_account(&ca.name));
        let transaction = Transaction::new(Author::controller(super::NAME)).put(key, Expect::Anything, text);
        self.store.commit(&transaction.under(&self.lease)).await.map_err(|error| Trouble::passing(error.to_string()))
    }
}
