//! The store as an etcd cluster, for where control itself must be redundant.
//!
//! Below the prefix an entry stands as its text under its key (`/karman/apps/todos`), so that etcd's
//! own tools read and write it too. What is not for people begins with a dot: `.ledger`, `.leases/`,
//! `.history/`. Nothing of consensus is written here.

use std::fmt::{self, Debug};
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, Error, GetOptions, KeyValue};
use tokio::time::timeout;

use super::{Change, Follow, History, Key, Kind, Leased, Ledger, Reading, Seen, Store, StoreError, Text, Transaction, Version};

pub mod address;
mod commit;
mod follow;
mod history;
pub mod lease;
mod ledger;

pub use address::Address;

/// How long one call may take; a cluster that elects a leader needs a second or two.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A peer that is gone without a word is found out by this; a watch would wait for ever.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How often a call is tried that found nobody: once for each member of a usual cluster, and once more.
const TRIES_MAX: usize = 4;
const AGAIN: Duration = Duration::from_millis(100);
/// How many entries one call asks for; together with [`super::TEXT_BYTES_MAX`] not more than is bearable.
const ENTRIES_A_CALL: i64 = 500;
/// The largest answer: pages of the largest size.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

pub struct Etcd {
    client: Client,
    address: Address,
}

impl Etcd {
    /// Prepares to speak to the cluster; nobody needs to answer yet, unless a user has to be known.
    pub async fn open(address: Address) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIME_MAX)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some((user, password)) = &address.user {
            options = options.with_user(user, password).with_auto_token_refresh(true);
        }
        if let Some(tls) = &address.tls {
            options = options.with_tls(tls.clone());
        }
        let client = timeout(CALL_TIME_MAX, Client::connect(&address.endpoints, Some(options))).await;
        let client = client.map_err(|_| too_slow())?.map_err(unreachable)?;
        Ok(Self { client, address })
    }

    /// Calls until somebody answers, a few times. `call` may be done more than once.
    async fn call<T, F>(&self, call: impl Fn(Client) -> F + Send + Sync) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call_once(&call).await {
                Err(StoreError::Unreachable(_)) if tries < TRIES_MAX => tokio::time::sleep(AGAIN).await,
                answer => return answer,
            }
        }
    }

    async fn call_once<T, F>(&self, call: impl Fn(Client) -> F + Send + Sync) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        match timeout(CALL_TIME_MAX, call(self.client.clone())).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(too_slow()),
        }
    }

    /// The name of something of ours in etcd.
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address.prefix)
    }

    fn name_of(&self, key: &Key) -> String {
        self.name(&key.to_string())
    }

    /// All names that an entry can have: every kind's begins with a letter, and what is ours with a dot.
    fn all_entries(&self) -> (String, String) {
        (self.name("a"), self.name("{"))
    }

    fn key_of(&self, name: &[u8]) -> Option<Key> {
        let name = std::str::from_utf8(name).ok()?.strip_prefix(&self.address.prefix)?.strip_prefix('/')?;
        Key::parse(name)
    }

    /// What is at a range of names at one revision (0: now), in pages; and that revision.
    async fn range(&self, from: &str, end: &str, revision: i64) -> Result<(Vec<KeyValue>, i64), StoreError> {
        let (mut entries, mut revision, mut from) = (Vec::new(), revision, from.as_bytes().to_vec());
        loop {
            let options = GetOptions::new().with_range(end).with_limit(ENTRIES_A_CALL).with_revision(revision);
            let mut page = self.call(|client| get(client, from.clone(), options.clone())).await?;
            if revision == 0 {
                revision = page.header().map_or(0, |header| header.revision());
            }
            let more = page.more();
            entries.append(&mut page.take_kvs());
            match entries.last().filter(|_| more) {
                // The next name after this one.
                Some(last) => from = [last.key(), &[0]].concat(),
                None => return Ok((entries, revision)),
            }
        }
    }

    async fn get(&self, name: &str) -> Result<(Option<KeyValue>, i64), StoreError> {
        let mut answer = self.call(|client| get(client, name.as_bytes().to_vec(), GetOptions::new())).await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        Ok((answer.take_kvs().pop(), revision))
    }

    async fn read_kinds(&self, kinds: &[Kind]) -> Result<Reading, StoreError> {
        let mut reading = Reading { entries: Vec::new(), revision: 0 };
        for kind in kinds {
            let name = self.name(kind.name());
            // `apps/` up to `apps0`: the slash is followed by the zero.
            let (from, end) =
                if kind.is_single() { (name.clone(), format!("{name}\0")) } else { (format!("{name}/"), format!("{name}0")) };
            let at = i64::try_from(reading.revision).unwrap_or(0);
            let (entries, revision) = self.range(&from, &end, at).await?;
            reading.revision = revision.unsigned_abs();
            reading.entries.extend(entries.iter().filter_map(|entry| self.seen(entry)));
        }
        Ok(reading)
    }

    fn seen(&self, entry: &KeyValue) -> Option<(Key, Seen)> {
        let key = self.key_of(entry.key())?;
        let file = key.to_string();
        let seen = match entry.value_str() {
            Ok(text) => Seen::Text(Text { file, text: text.to_owned(), version: version(entry), entry: None }),
            Err(error) => Seen::unreadable(&file, format!("the entry is not text: {error}")),
        };
        Some((key, seen))
    }
}

#[async_trait]
impl Store for Etcd {
    fn place(&self) -> String {
        self.address.to_string()
    }

    async fn read(&self, kinds: &[Kind]) -> Result<Reading, StoreError> {
        self.read_kinds(kinds).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        let (entry, _) = self.get(&self.name_of(key)).await?;
        Ok(entry.and_then(|entry| self.seen(&entry)).map(|(_, seen)| seen).unwrap_or_default())
    }

    async fn follow(&self, kinds: &[Kind]) -> Result<Follow, StoreError> {
        let (store, kinds) = (self.clone(), kinds.to_vec());
        Ok(Follow::fed_by(|feed| follow::feed(store, kinds, feed)))
    }

    async fn commit(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        self.write_together(transaction).await
    }

    async fn lease(&self, name: &str) -> Result<Leased, StoreError> {
        self.take_lease(name).await
    }

    async fn holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        let (entry, _) = self.get(&self.lease_name(name)).await?;
        Ok(entry.and_then(|entry| entry.value_str().ok().map(str::to_owned)))
    }

    async fn history(&self, key: &Key) -> Result<History, StoreError> {
        self.changes(key).await
    }

    async fn adopt(&self, key: &Key, changes: &[Change]) -> Result<(), StoreError> {
        self.adopt_changes(key, changes).await
    }

    async fn ledger(&self) -> Result<Box<dyn Ledger>, StoreError> {
        Ok(Box::new(ledger::EtcdLedger::open(self.clone()).await?))
    }
}

impl Clone for Etcd {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), address: self.address.clone() }
    }
}

impl Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Etcd({})", self.address)
    }
}

async fn get(client: Client, name: Vec<u8>, options: GetOptions) -> Result<etcd_client::GetResponse, Error> {
    client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX).get(name, Some(options)).await
}

fn version(entry: &KeyValue) -> Version {
    Version(entry.mod_revision().to_string())
}

fn is_absent(name: &str) -> Compare {
    Compare::create_revision(name, CompareOp::Equal, 0)
}

fn too_slow() -> StoreError {
    StoreError::Unreachable(format!("no answer within {} s", CALL_TIME_MAX.as_secs()))
}

/// Whose fault it is: of the way to the cluster, or of what was asked.
fn unreachable(error: Error) -> StoreError {
    use etcd_client::Error as E;
    // tonic's codes for what was wrong with the question; all else may be otherwise the next time.
    const ASKED_WRONG: [i32; 5] = [3, 7, 9, 11, 16];
    match error {
        E::InvalidArgs(why) => StoreError::Refused(why),
        E::InvalidUri(error) => StoreError::Refused(error.to_string()),
        E::GRpcStatus(status) if ASKED_WRONG.contains(&(status.code() as i32)) => {
            StoreError::Refused(format!("etcd says: {}", status.message()))
        }
        E::GRpcStatus(status) => StoreError::Unreachable(status.message().to_owned()),
        error => StoreError::Unreachable(error.to_string()),
    }
}
