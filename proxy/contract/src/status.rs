//! What the admin socket tells about the proxy and about one app.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::{DocumentName, Stamp};
use crate::drain::Drain;
use crate::edges::Edges;
use crate::name::{AppId, CertificateId, HostPattern, InstanceId};

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The version of the contract that this proxy speaks.
    pub contract: u32,
    pub edge: Edge,
    pub started_at: Timestamp,
    pub draining: bool,
    /// By whose order clients are moved elsewhere; absent while they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// How many edges share what an instance takes, as this one was told; absent where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Edges>,
    pub connections: u64,
    pub tunnels: u64,
    pub bound: Bound,
    pub documents: BTreeMap<DocumentName, DocumentStatus>,
    pub processes: Vec<Process>,
    /// Fields and calls of the contract that this proxy accepts and keeps, but does not act on yet.
    #[serde(default)]
    pub not_yet: Vec<String>,
    /// The [fields](crate::fields) of the documents that this proxy knows. Absent from one that knows only the
    /// [first](crate::fields::FIRST) ones.
    #[serde(default)]
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    pub name: String,
    pub region: String,
}

/// The addresses actually bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    pub http: Vec<String>,
    pub https: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

/// A document that the proxy holds. All fields are absent for one that it never got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DocumentStatus {
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Of the apps: nobody has confirmed them for `limits.unconfirmed_seconds`. They are served on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unconfirmed: bool,
}

fn is_false(yes: &bool) -> bool {
    !yes
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub role: Role,
    pub tunnels: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Current,
    Previous,
}

/// `GET /v1/apps/ID`: the app as its document says, and what is live. `A` is the app's form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppStatus<A> {
    pub id: AppId,
    pub app: A,
    /// Absent from a proxy of the release before.
    #[serde(default)]
    pub live: AppCounts,
    pub instances: BTreeMap<InstanceId, InstanceStatus>,
}

/// What is live about an app, beside its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppCounts {
    /// Client connections whose last request was for this app, without those that are sockets now.
    pub connections: u64,
    pub in_flight: u64,
    /// Requests that wait for their turn.
    pub queued: u64,
    /// Requests and clients that wait for an instance.
    pub held: u64,
    /// New sockets that wait for their instance to take them.
    pub waiting: u64,
    pub sockets: u64,
    /// The edge is short of something, and the owner uses more of it than a fair share.
    pub over_share: bool,
}

/// `GET /v1/certificates?after=ID&limit=N`: a page of the certificates, by id; never a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificatesPage {
    #[serde(flatten)]
    pub stamp: Stamp,
    pub certificates: BTreeMap<CertificateId, CertificateStatus>,
    /// The id after which the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CertificateId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub names: Vec<HostPattern>,
    /// SHA-256 of the leaf in DER, in hex.
    pub fingerprint: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub key_type: KeyType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    Ecdsa,
    Rsa,
    Ed25519,
}

/// What the edge has counted of an instance's sockets since it knows it. An upgrade goes on counting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCounts {
    pub opened: u64,
    /// By who ended them: client, app, drain, idle, limit, edge-shutdown, error. Who has ended none is not named.
    #[serde(default)]
    pub closed: BTreeMap<String, u64>,
    /// From clients to the app.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// How long the oldest of the open ones has been open; absent if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    pub in_flight: u64,
    pub tunnels: u64,
    /// Of its tunnels, the open ones and those before.
    #[serde(default)]
    pub sockets: SocketCounts,
    pub health: Health,
    /// True only when no process of this edge holds a socket or a request of a draining or removed instance.
    pub drained: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Up,
    /// It refused or timed out lately; asked again soon.
    Quarantined,
    /// Its active check fails, or its address failed while the apps were unconfirmed.
    Down,
    /// Its active check was not answered yet.
    Unknown,
}

/// `GET /v1/apps`: one page of the document. `A` is the app's form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppsPage<A> {
    #[serde(flatten)]
    pub stamp: Stamp,
    pub apps: BTreeMap<AppId, A>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<AppId>,
}

/// `POST /v1/confirm`: what the publisher believes the proxy to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirm(pub BTreeMap<DocumentName, Confirmed>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    #[serde(default)]
    pub epoch: u64,
    pub generation: u64,
    pub hash: String,
}

/// The answer to a confirm: the documents that are not as said; empty on success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfirmAnswer {
    pub differs: Vec<DocumentName>,
}
