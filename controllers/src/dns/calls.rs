//! Calls at a pace that leaves others of the same account their share, tried again when that may help.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bucket::Bucket;
use super::health::{Check, Existing};
use super::plan::Change;
use super::record::{Name, Record, SetKey};
use super::service::{ChangeId, Cursor, Refusal, Service};

/// Pages of one listing: a zone has 10,000 records unless AWS was asked for more, 300 on a page.
const PAGES_MAX: usize = 1_000;

/// How fast the service may be asked. The defaults are half of what an account has (Route 53,
/// "Throttling", from 2026-07-30): a burst of 50 calls and 10 a second, 1,500 changes and 100 a second.
#[derive(Clone, Debug)]
pub struct Pace {
    pub calls: Bucket,
    pub changes: Bucket,
    /// The first wait before a call is tried again; it doubles, up to [`Pace::pause_max`].
    pub pause: Duration,
    pub pause_max: Duration,
    /// How often one call is made, the first time included.
    pub tries: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            calls: Bucket::new(25, 5),
            changes: Bucket::new(750, 50),
            pause: Duration::from_millis(500),
            pause_max: Duration::from_secs(20),
            tries: 8,
        }
    }
}

impl Pace {
    /// How long to wait after a try that failed, the first counting 0. `chance` is from 0 to 1.
    pub fn pause_after(&self, tried: u32, chance: f64) -> Duration {
        let doubled = self.pause.saturating_mul(2_u32.saturating_pow(tried)).min(self.pause_max);
        doubled.mul_f64(0.5 + chance / 2.0)
    }
}

/// The service, asked at a pace. One batch of a zone is in flight at a time.
pub struct Calls {
    service: Arc<dyn Service>,
    pace: Mutex<Pace>,
    started: Instant,
    changing: tokio::sync::Mutex<()>,
}

impl Calls {
    pub fn new(service: Arc<dyn Service>, pace: Pace) -> Self {
        Self { service, pace: Mutex::new(pace), started: Instant::now(), changing: tokio::sync::Mutex::new(()) }
    }

    pub async fn zone_name(&self, zone: &str) -> Result<Name, Refusal> {
        self.call(0, Refusal::passes, || self.service.zone_name(zone)).await
    }

    /// All records of a zone.
    pub async fn records(&self, zone: &str) -> Result<Vec<Record>, Refusal> {
        let mut all = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.call(0, Refusal::passes, || self.service.records(zone, after.clone())).await?;
            all.extend(page.items);
            match page.next {
                None => return Ok(all),
                // A service that gives the same page again would never end.
                Some(next) if after.as_ref() == Some(&next) => break,
                Some(next) => after = Some(next),
            }
        }
        Err(Refusal::Denied(format!("the listing of zone {zone} does not come to an end")))
    }

    /// The first record of a name and type.
    pub async fn find(&self, zone: &str, key: &SetKey) -> Result<Option<Record>, Refusal> {
        let from = Cursor { name: key.name.to_string(), kind: Some(key.kind.as_str().to_owned()), id: None };
        let page = self.call(0, Refusal::passes, || self.service.records(zone, Some(from.clone()))).await?;
        Ok(page.items.into_iter().find(|record| record.key == *key))
    }

    /// Makes a batch. After [`Refusal::Unreachable`] it may have been made: look again.
    pub async fn change(&self, zone: &str, changes: &[Change], tokens: u32) -> Result<ChangeId, Refusal> {
        let _one = self.changing.lock().await;
        let passes = |refusal: &Refusal| matches!(refusal, Refusal::Throttled | Refusal::Busy);
        self.call(tokens, passes, || self.service.change(zone, changes)).await
    }

    pub async fn is_everywhere(&self, change: &ChangeId) -> Result<bool, Refusal> {
        self.call(0, Refusal::passes, || self.service.is_everywhere(change)).await
    }

    pub async fn health_checks(&self) -> Result<Vec<Existing>, Refusal> {
        let mut all = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.call(0, Refusal::passes, || self.service.health_checks(after.clone())).await?;
            all.extend(page.items);
            match page.next {
                None => return Ok(all),
                Some(next) if after.as_ref() == Some(&next) => break,
                Some(next) => after = Some(next),
            }
        }
        Err(Refusal::Denied("the listing of health checks does not come to an end".to_owned()))
    }

    pub async fn create_health_check(&self, check: &Check, reference: &str) -> Result<Box<str>, Refusal> {
        self.call(0, Refusal::passes, || self.service.create_health_check(check, reference)).await
    }

    pub async fn delete_health_check(&self, id: &str) -> Result<(), Refusal> {
        self.call(0, Refusal::passes, || self.service.delete_health_check(id)).await
    }

    async fn call<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        changes: u32,
        passes: impl Fn(&Refusal) -> bool,
        ask: impl Fn() -> F,
    ) -> Result<T, Refusal> {
        let mut tried = 0;
        loop {
            sleep(self.with_pace(|pace, now| pace.calls.take(1, now).max(pace.changes.take(changes, now)))).await;
            let refusal = match ask().await {
                Err(refusal) if passes(&refusal) => refusal,
                answered => return answered,
            };
            let pause = self.with_pace(|pace, now| {
                if refusal == Refusal::Throttled {
                    pace.calls.empty(now);
                    pace.changes.empty(now);
                }
                (tried + 1 < pace.tries).then(|| pace.pause_after(tried, fastrand::f64()))
            });
            let Some(pause) = pause else { return Err(refusal) };
            tracing::debug!("trying again in {pause:?}: {refusal}");
            sleep(pause).await;
            tried += 1;
        }
    }

    fn with_pace<T>(&self, f: impl FnOnce(&mut Pace, Duration) -> T) -> T {
        f(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner), self.started.elapsed())
    }
}

impl Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("service", &self.service).finish_non_exhaustive()
    }
}
