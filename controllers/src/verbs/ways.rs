//! Every edge of a store, as far as it can be asked from here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Asked, Published};
use crate::admin::Admin;
use crate::publish::ssh::Forward;
use crate::publish::target::Target;

/// How long an edge may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What to do about an edge that will never answer again.
pub const GONE: &str = "if it is gone for good: 'karman edge forget'";

/// By the edge's name, or else by where it is reached.
pub type Ways = BTreeMap<String, Result<Way, Silence>>;

/// How an edge is asked.
pub struct Way {
    admin: Admin,
    /// The edge that has to answer there; none where nobody said which.
    edge: Option<String>,
    /// Lives as long as the edge may be asked.
    forward: Option<Forward>,
}

/// Why an edge said nothing.
#[derive(Clone)]
pub enum Silence {
    /// It may answer a little later.
    Trouble(String),
    /// Its socket is not on this machine.
    Elsewhere(String),
}

/// Every edge that somebody publishes to, and the one at the socket.
pub async fn ways(asked: &Asked) -> Ways {
    let mut edges = Ways::new();
    let mut sockets: BTreeSet<PathBuf> = BTreeSet::new();
    for Published { report, .. } in asked.publishers().await.edges.into_values() {
        // Its publisher does not know its name while it is not there.
        let edge = report.edge.map(|edge| edge.name);
        let way = match report.at_socket.parse() {
            Ok(Target::Socket(socket)) => {
                sockets.insert(std::fs::canonicalize(&socket).unwrap_or_else(|_| socket.clone()));
                Ok(Way { admin: Admin::new(socket), edge: edge.clone(), forward: None })
            }
            Ok(target @ Target::Ssh { .. }) => Forward::to(&target)
                .map(|forward| Way { admin: Admin::new(forward.socket()), edge: edge.clone(), forward: Some(forward) })
                .map_err(|error| Silence::Elsewhere(format!("{target}: {error}"))),
            Err(why) => Err(Silence::Elsewhere(why)),
        };
        edges.insert(edge.unwrap_or(report.at_socket), way);
    }
    // Each may take its time to be there, and none waits for another.
    let naming: JoinSet<_> = edges.into_iter().map(|(name, way)| named(name, way)).collect();
    let mut edges: Ways = naming.join_all().await.into_iter().collect();
    let own = asked.admin.socket();
    if !sockets.contains(&std::fs::canonicalize(own).unwrap_or_else(|_| own.to_owned())) {
        let way = || Ok(Way { admin: asked.admin.clone(), edge: None, forward: None });
        edges.entry(own.display().to_string()).or_insert_with(way);
    }
    edges
}

/// Waits for a way by ssh. It leads to one edge, which says its name where its publisher has not said it yet.
async fn named(mut name: String, mut way: Result<Way, Silence>) -> (String, Result<Way, Silence>) {
    if let Ok(Way { admin, edge, forward: Some(forward) }) = &mut way {
        forward.wait_until_up().await;
        if edge.is_none()
            && let Ok(Ok(status)) = within(admin.status()).await
        {
            name.clone_from(&status.edge.name);
            *edge = Some(status.edge.name);
        }
    }
    (name, way)
}

impl Way {
    /// Whom to ask. Every machine has a socket of that path, and this may be another edge's.
    pub async fn admin(&self) -> Result<&Admin, Silence> {
        if let Some(edge) = &self.edge {
            let found = within(self.admin.status()).await?.map_err(|error| Silence::Trouble(error.to_string()))?.edge.name;
            if found != *edge {
                return Err(Silence::Elsewhere(format!("at {} is {found}", self.admin.socket().display())));
            }
        }
        Ok(&self.admin)
    }
}

pub async fn within<T>(answer: impl Future<Output = T>) -> Result<T, Silence> {
    timeout(ANSWER_MAX, answer).await.map_err(|_| Silence::Trouble(format!("nothing within {} s", ANSWER_MAX.as_secs())))
}
