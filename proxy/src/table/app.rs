//! One app of the table, and its instances.

use std::sync::Arc;
use std::time::Duration;

use karman_contract::app::{App as Wire, DrainSticky, InstanceState};
use karman_contract::name::{AppId, InstanceId};
use sha2::{Digest, Sha256};

use crate::balance::warmth;
use crate::vitals::{AppVitals, InstanceVitals, Which};

/// An app, ready to be routed to.
#[derive(Debug)]
pub struct App {
    pub id: AppId,
    /// As its document says it.
    pub wire: Wire,
    pub instances: Vec<Instance>,
    pub vitals: Arc<AppVitals>,
}

/// An instance of an app in one table; its vitals outlive the table.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub release: u64,
    pub state: InstanceState,
    /// Names the instance within its app in a cookie, without telling its id.
    pub tag: u64,
    pub vitals: Arc<InstanceVitals>,
}

impl Instance {
    /// Whether a client that was never here may be sent here.
    pub fn takes_new_clients(&self) -> bool {
        self.state == InstanceState::Ready && !self.vitals.is_given_up()
    }

    /// Whether it takes new clients now.
    pub fn takes(&self) -> bool {
        self.takes_new_clients() && self.vitals.usable()
    }

    /// Whether a client that is bound to this instance stays.
    pub fn keeps_clients(&self, sticky: DrainSticky) -> bool {
        match self.state {
            InstanceState::Ready => true,
            InstanceState::Draining => sticky == DrainSticky::Keep,
            InstanceState::Starting => false,
        }
    }
}

impl App {
    /// Takes over the vitals of the app and of the instances that stay at their addresses.
    pub(super) fn new(id: AppId, wire: Wire, before: Option<&Self>) -> Self {
        let instances = wire
            .instances
            .iter()
            .map(|(instance, wire)| {
                let before = before.and_then(|app| app.instance(instance));
                let vitals = match before.filter(|before| before.vitals.address == wire.address) {
                    Some(before) => Arc::clone(&before.vitals),
                    None => Arc::new(InstanceVitals::new(id.clone(), instance.clone(), wire.address)),
                };
                Instance { id: instance.clone(), release: wire.release, state: wire.state, tag: tag(instance), vitals }
            })
            .collect();
        let vitals = before.map_or_else(Arc::default, |before| Arc::clone(&before.vitals));
        Self { id, wire, instances, vitals }
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        // Instances stand in the order of their ids.
        let index = self.instances.binary_search_by(|instance| instance.id.cmp(id)).ok()?;
        self.instances.get(index)
    }

    /// How much of its share one of its instances takes, 0 to 1: less while it is new.
    pub fn warmth(&self, vitals: &InstanceVitals) -> f64 {
        warmth(vitals.ready_for(), Duration::from_secs(self.wire.warm_seconds.into()))
    }

    /// Whether an instance beside these takes new clients now.
    pub fn takes_beside(&self, these: &[Arc<InstanceVitals>]) -> bool {
        self.instances.iter().any(|one| one.takes() && !these.iter().any(|other| Arc::ptr_eq(other, &one.vitals)))
    }

    /// Whether this instance, at this address, is still part of the app.
    pub fn has(&self, vitals: &Arc<InstanceVitals>) -> bool {
        self.instances.iter().any(|instance| Arc::ptr_eq(&instance.vitals, vitals))
    }

    /// All that counts something of an instance at its address: it may have left the app and come back.
    pub fn vitals_of<'a>(&'a self, of: &'a Which) -> impl Iterator<Item = Arc<InstanceVitals>> + 'a {
        let departed = self.vitals.departed().into_iter().map(|(_, vitals)| vitals);
        let all = self.instances.iter().map(|instance| Arc::clone(&instance.vitals)).chain(departed);
        all.filter(|vitals| of.is(vitals))
    }

    /// Whether one release is taking over from another: some instances come or go, and none serves.
    pub fn is_rolling(&self) -> bool {
        !self.instances.is_empty() && !self.instances.iter().any(Instance::takes_new_clients)
    }
}

fn tag(id: &InstanceId) -> u64 {
    let digest = Sha256::digest(id.as_str());
    digest.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte))
}
