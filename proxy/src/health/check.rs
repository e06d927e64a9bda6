//! The active checks that a document asks for: a request to an instance now and then, and what its answer says.

use std::sync::{Arc, Weak};
use std::time::Duration;

use karman_contract::app::{Expect, HealthCheck};
use karman_contract::event::EventKind;
use karman_contract::name::{AppId, InstanceId};
use pingora_error::ErrorType;
use tokio::task::AbortHandle;

use super::{Health, about, jitter};
use crate::events::About;
use crate::table::{App, Instance};
use crate::upstream::{ask, is_reset};
use crate::vitals::{InstanceVitals, lock};

/// Active checks in a row that must fail before an instance that was healthy is down.
const CHECKS_FAILED_MAX: u32 = 2;

/// An active check that runs until this is dropped.
#[derive(Debug)]
pub struct RunningCheck {
    check: HealthCheck,
    host: String,
    task: AbortHandle,
}

impl Drop for RunningCheck {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who is asked for what, and by which name.
struct Asked {
    app: AppId,
    id: InstanceId,
    check: HealthCheck,
    host: String,
}

impl Health {
    /// Starts, restarts or stops the instance's active check, so that it is what the document says.
    pub(super) fn check_as_asked(self: &Arc<Self>, app: &App, instance: &Instance) {
        let host = app.wire.hosts.first().map(|host| host.name().to_owned()).unwrap_or_default();
        let mut running = lock(&instance.vitals.check);
        match (&app.wire.health, running.as_ref()) {
            (Some(check), Some(running)) if running.check == *check && running.host == host => {}
            (Some(check), _) => {
                instance.vitals.checked(true, None);
                let asked = Asked { app: app.id.clone(), id: instance.id.clone(), check: check.clone(), host: host.clone() };
                let task = tokio::spawn(Arc::clone(self).check_on(Arc::downgrade(&instance.vitals), asked));
                *running = Some(RunningCheck { check: check.clone(), host, task: task.abort_handle() });
            }
            (None, Some(_)) => {
                *running = None;
                instance.vitals.checked(false, None);
            }
            (None, None) => {}
        }
    }

    /// Asks an instance again and again, for as long as anybody knows of it.
    async fn check_on(self: Arc<Self>, vitals: Weak<InstanceVitals>, asked: Asked) {
        let mut failed = CHECKS_FAILED_MAX - 1;
        while let Some(vitals) = vitals.upgrade() {
            if !vitals.is_given_up() {
                let healthy = self.ask(&vitals, &asked.host, &asked.check).await;
                failed = if healthy { 0 } else { failed.saturating_add(1) };
                self.checked(&asked.app, &asked.id, &vitals, healthy, failed);
            }
            drop(vitals);
            let interval = Duration::from_secs(asked.check.interval_seconds.into());
            tokio::time::sleep(interval.mul_f64(jitter(fastrand::f64()))).await;
        }
    }

    /// Whether the instance answers its check as it should.
    async fn ask(&self, vitals: &InstanceVitals, host: &str, check: &HealthCheck) -> bool {
        let timeout = Duration::from_secs(check.timeout_seconds.into());
        match tokio::time::timeout(timeout, ask(vitals.address, host, &check.path)).await {
            Ok(Ok(status)) => match &check.expect {
                Expect::Any => true,
                Expect::Statuses(statuses) => statuses.contains(&status),
            },
            Ok(Err(e)) => {
                if *e.etype() == ErrorType::ConnectError || is_reset(&e) {
                    self.failed_once(vitals);
                }
                false
            }
            Err(_) => false,
        }
    }

    fn checked(&self, app: &AppId, id: &InstanceId, vitals: &InstanceVitals, healthy: bool, failed: u32) {
        if !healthy && failed < CHECKS_FAILED_MAX {
            return;
        }
        if vitals.checked(false, Some(healthy)) {
            let kind = if healthy { EventKind::InstanceRecovered } else { EventKind::InstanceUnhealthy };
            let cause = (!healthy).then(|| "its health check fails".to_owned());
            self.events.tell(kind, About { cause, ..about(app, id) });
        }
        let down = |app: &&Arc<App>| healthy && app.vitals.is_down();
        if let Some(app) = self.apps.pin().get(app.as_str()).filter(down) {
            self.app_is_up(app);
        }
    }
}
