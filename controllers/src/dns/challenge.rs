//! TXT values for dns-01 in a zone of the service: one name may have several, other people's among them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::batch::Cost;
use super::calls::Calls;
use super::plan::Change;
use super::record::{Answer, Name, Record, RecordType, Routing, SetKey};
use super::service::{ChangeId, Refusal};
use crate::certificates::txt::{Provider, Txt};
use crate::failure::Failure;

/// Nobody shall remember an answer that is gone with the next order.
const TTL_SECONDS: u32 = 60;
/// The service says that it takes 60 s as a rule.
const EVERYWHERE_WITHIN: Duration = Duration::from_secs(300);
/// How often others may be faster at the same name before it is left to them.
const TRIES: usize = 4;

/// Presents challenges in one zone.
#[derive(Debug)]
pub struct Challenges {
    calls: Arc<Calls>,
    zone: Box<str>,
    /// The change that brought each value.
    changes: Mutex<BTreeMap<(Name, Box<str>), ChangeId>>,
    /// How often it is asked whether a change is everywhere.
    pub poll: Duration,
}

impl Challenges {
    pub fn new(calls: Arc<Calls>, zone: &str) -> Self {
        Self { calls, zone: zone.into(), changes: Mutex::default(), poll: Duration::from_secs(4) }
    }

    /// Adds a value under a name. The values that stand there stay.
    pub async fn present(&self, name: &Name, value: &str) -> Result<(), Refusal> {
        let value = quoted(value);
        let change = self.swap(name, |values| {
            if !values.contains(&value) {
                values.push(value.clone());
            }
        });
        if let Some(change) = change.await? {
            self.remember(name, &value, change);
        }
        Ok(())
    }

    /// Waits until all servers of the zone answer with the value.
    pub async fn wait(&self, name: &Name, value: &str) -> Result<(), Refusal> {
        let value = quoted(value);
        let known = self.lock().get(&(name.clone(), value.clone())).cloned();
        let change = match known {
            Some(change) => change,
            None => self.touch(name).await?,
        };
        let deadline = Instant::now() + EVERYWHERE_WITHIN;
        while !self.calls.is_everywhere(&change).await? {
            if Instant::now() >= deadline {
                let why = format!("{name} is not on all servers after {} s", EVERYWHERE_WITHIN.as_secs());
                return Err(Refusal::Unreachable(why));
            }
            sleep(self.poll).await;
        }
        Ok(())
    }

    /// Removes a value, and the name with the last of them.
    pub async fn clean_up(&self, name: &Name, value: &str) -> Result<(), Refusal> {
        let value = quoted(value);
        self.swap(name, |values| values.retain(|present| *present != value)).await?;
        self.lock().remove(&(name.clone(), value));
        Ok(())
    }

    /// The values came from a process that is gone: a change of the same to the same is everywhere
    /// only when they are.
    async fn touch(&self, name: &Name) -> Result<ChangeId, Refusal> {
        let Some(record) = self.find(name).await? else {
            return Err(Refusal::NotFound(format!("no value stands under {name}")));
        };
        self.send(&[Change::Upsert(record)]).await
    }

    /// Replaces the values of a name, if nobody else did meanwhile.
    async fn swap(&self, name: &Name, change: impl Fn(&mut Vec<Box<str>>)) -> Result<Option<ChangeId>, Refusal> {
        let mut refusal = Refusal::Busy;
        for _ in 0..TRIES {
            let found = self.find(name).await?;
            let before = found.as_ref().map(values).unwrap_or_default();
            let mut after = before.to_vec();
            change(&mut after);
            if after == before {
                return Ok(None);
            }
            // What is deleted has to be there exactly so: that makes it a comparison.
            let ttl_seconds = found.as_ref().map_or(TTL_SECONDS, ttl);
            let created = (!after.is_empty()).then(|| Record::values(key(name), ttl_seconds, after));
            let changes: Vec<_> = found.map(Change::Delete).into_iter().chain(created.map(Change::Create)).collect();
            match self.send(&changes).await {
                Err(Refusal::Invalid(why)) => refusal = Refusal::Invalid(why),
                sent => return sent.map(Some),
            }
        }
        Err(refusal)
    }

    async fn find(&self, name: &Name) -> Result<Option<Record>, Refusal> {
        match self.calls.find(&self.zone, &key(name)).await? {
            Some(record) if !matches!((&record.routing, &record.answer), (Routing::Simple, Answer::Values { .. })) => {
                Err(Refusal::Denied(format!("{record}: not a plain record of values")))
            }
            found => Ok(found),
        }
    }

    async fn send(&self, changes: &[Change]) -> Result<ChangeId, Refusal> {
        let tokens = changes.iter().map(Cost::of).fold(Cost::default(), Cost::plus).tokens;
        self.calls.change(&self.zone, changes, tokens).await
    }

    fn remember(&self, name: &Name, value: &str, change: ChangeId) {
        self.lock().insert((name.clone(), value.into()), change);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Name, Box<str>), ChangeId>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for Challenges {
    async fn present(&self, txt: &Txt) -> Result<(), Failure> {
        let presented = Self::present(self, &Name::of_service(&txt.name), &txt.value).await;
        presented.map_err(|refusal| refusal.failure(&txt.name))
    }

    async fn wait(&self, txt: &Txt) -> Result<(), Failure> {
        let waited = Self::wait(self, &Name::of_service(&txt.name), &txt.value).await;
        waited.map_err(|refusal| refusal.failure(&txt.name))
    }

    async fn clean_up(&self, txt: &Txt) -> Result<(), Failure> {
        let cleaned = Self::clean_up(self, &Name::of_service(&txt.name), &txt.value).await;
        cleaned.map_err(|refusal| refusal.failure(&txt.name))
    }
}

fn key(name: &Name) -> SetKey {
    SetKey { name: name.clone(), kind: RecordType::Txt }
}

fn values(record: &Record) -> &[Box<str>] {
    if let Answer::Values { values, .. } = &record.answer { values } else { &[] }
}

fn ttl(record: &Record) -> u32 {
    if let Answer::Values { ttl_seconds, .. } = record.answer { ttl_seconds } else { TTL_SECONDS }
}

/// As a value stands in a zone. A challenge has neither quotes nor backslashes.
fn quoted(value: &str) -> Box<str> {
    format!("\"{value}\"").into()
}
