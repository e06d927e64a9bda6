//! Whether the app table is known to be true: whoever publishes it has said so lately, or nobody has.
//!
//! While nobody has, an address that fails once is given up: by now it may be another tenant's.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karman_contract::document::DocumentName;
use karman_contract::event::EventKind;

use super::Health;
use crate::clock;
use crate::documents::Table;
use crate::events::About;
use crate::table::Instance;
use crate::vitals::{InstanceVitals, lock};

/// When the table was last heard to be true. Times are those of [`clock::now`], which no wrong clock can
/// set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    /// How long one word is good for.
    lasts: Duration,
    /// The start counts as one: what comes from disk has as long to be confirmed.
    heard: Duration,
    /// Whether it was told that the table is unconfirmed.
    told: bool,
}

/// What a look at the time says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Look again after this time.
    Again(Duration),
    /// The table has become unconfirmed.
    Lost,
    /// It is unconfirmed, as was said before.
    StillLost,
}

impl Trust {
    pub(super) fn new(lasts: Duration, now: Duration) -> Self {
        Self { lasts, heard: now, told: false }
    }

    fn is_unconfirmed(&self, now: Duration) -> bool {
        self.told || now.saturating_sub(self.heard) >= self.lasts
    }

    fn look(&mut self, now: Duration) -> Look {
        if !self.is_unconfirmed(now) {
            return Look::Again(self.lasts - now.saturating_sub(self.heard));
        }
        if std::mem::replace(&mut self.told, true) { Look::StillLost } else { Look::Lost }
    }

    /// Somebody who publishes the table said so. Returns whether it was unconfirmed.
    fn hear(&mut self, now: Duration) -> bool {
        let was_unconfirmed = self.is_unconfirmed(now);
        self.heard = now;
        self.told = false;
        was_unconfirmed
    }
}

impl Health {
    /// Whether nobody has confirmed the app table for `limits.unconfirmed_seconds`.
    pub fn is_unconfirmed(&self) -> bool {
        self.apps.pin().stamp().is_some() && lock(&self.trust).is_unconfirmed(clock::now())
    }

    /// Says when the table becomes unconfirmed, for as long as the process is the edge's current one.
    pub async fn doubt(self: Arc<Self>, is_current: impl Fn() -> bool) {
        while is_current() {
            let look = self.look_for_doubt();
            let wait = if let Look::Again(left) = look { left.min(LOOK_EVERY) } else { LOOK_EVERY };
            tokio::time::sleep(wait).await;
        }
    }

    fn look_for_doubt(&self) -> Look {
        let table = self.apps.pin();
        let Some(stamp) = table.stamp() else { return Look::Again(LOOK_EVERY) };
        let mut trust = lock(&self.trust);
        let look = trust.look(clock::now());
        if look == Look::Lost {
            // Whoever failed before and has not come back may not come back as somebody else.
            let failed = |instance: &&Instance| instance.vitals.failures.load(Relaxed) > 0;
            for instance in table.iter().flat_map(|app| app.instances.iter().filter(failed)) {
                instance.vitals.give_up(true);
            }
            let lasts = trust.lasts.as_secs();
            let cause = format!(
                "{}: nobody has confirmed it for {lasts} s; it is served on, without addresses that fail",
                DocumentName::Apps
            );
            let about = About { cause: Some(cause), generation: Some(stamp.generation), ..About::default() };
            self.events.tell(EventKind::DocumentUnconfirmed, about);
        }
        look
    }

    /// The table was confirmed, or is new: what was given up may be used again.
    pub fn confirmed(self: &Arc<Self>) {
        let mut trust = lock(&self.trust);
        if !trust.hear(clock::now()) {
            return;
        }
        let table = self.apps.pin();
        let mut given_up = 0;
        for app in table.iter() {
            for instance in app.instances.iter().filter(|instance| instance.vitals.give_up(false)) {
                given_up += 1;
                self.watch(app.id.clone(), instance.id.clone(), Arc::clone(&instance.vitals));
            }
        }
        tracing::info!(instances = given_up, "the apps are confirmed again: what was given up is tried again");
    }

    /// An instance refused a connection or reset one.
    pub fn failed_once(&self, vitals: &InstanceVitals) {
        // Under the lock, so that a confirmation comes before this or takes it back.
        let trust = lock(&self.trust);
        if trust.is_unconfirmed(clock::now()) {
            vitals.give_up(true);
        }
    }
}

/// The longest time from a table's becoming unconfirmed to the word about it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
