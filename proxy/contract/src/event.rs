//! Events: changes of state that an operator may want to hear of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::name::{AppId, Host, InstanceId};

/// One line of `GET /v1/events`. Fields that do not apply are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 in each run of the proxy; `Last-Event-ID` resumes after it.
    pub id: u64,
    pub at: Timestamp,
    pub edge: String,
    pub event: EventKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// How many events a proxy keeps for those who come back.
pub const EVENTS_KEPT: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    InstanceUnhealthy,
    InstanceRecovered,
    InstanceDraining,
    InstanceDrained,
    InstanceFailed,
    AppDown,
    AppUp,
    AppWanted,
    AppHot,
    CertificateMissing,
    CertificateIssued,
    CertificateFailing,
    CertificateExpiring,
    DocumentApplied,
    DocumentRefused,
    DocumentHeld,
    DocumentUnconfirmed,
    ClientBlocked,
    ClientUnblocked,
    LimitNear,
    LimitHit,
    EdgeStarting,
    EdgeReady,
    EdgeDraining,
    EdgeUpgraded,
    EdgeStopped,
    LogDropped,
    /// Some events were missed: read the state anew.
    Reset,
}
