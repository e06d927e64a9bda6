//! Which instance, at which address: what tells instances apart within a process, and between the processes of an edge.

use std::net::SocketAddr;

use karman_contract::name::{AppId, InstanceId};
use serde::{Deserialize, Serialize};

use super::InstanceVitals;

/// An instance, the same in all processes, whichever vitals count it there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Which {
    pub app: AppId,
    pub instance: InstanceId,
    pub address: SocketAddr,
}

impl Which {
    pub fn of(vitals: &InstanceVitals) -> Self {
        Self { app: vitals.app.clone(), instance: vitals.id.clone(), address: vitals.address }
    }

    pub fn is(&self, vitals: &InstanceVitals) -> bool {
        (&self.app, &self.instance, self.address) == (&vitals.app, &vitals.id, vitals.address)
    }
}
