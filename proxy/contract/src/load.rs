//! `GET /v1/load?by=requests&limit=N&seconds=N`: which apps make the load of this edge, by two looks so far apart.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{AppId, Owner};
use crate::status::AppCounts;

/// What came to an edge between the two looks, and what it held at the second.
///
/// Sockets are those of all processes of the edge. Requests are those of the current one: after an upgrade the others
/// answer none but the last on connections that they have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Between the looks, in seconds.
    pub seconds: f64,
    /// How many apps the edge serves.
    pub apps: u64,
    /// How many of them did something between the looks, or held something at the second.
    pub busy: u64,
    /// Of all apps together, also of those that are not among the busiest.
    pub total: Rates,
    /// What all of them held at the second look; over its share if one of them was.
    pub live: AppCounts,
    /// Of requests for hosts that no app has.
    pub nobody: Rates,
    /// No more apps than were asked for, in the order that was asked for. No app is here that was idle.
    pub busiest: Vec<AppLoad>,
}

/// One app's part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppLoad {
    pub id: AppId,
    pub owner: Owner,
    pub rates: Rates,
    /// What it held at the second look.
    pub live: AppCounts,
    /// What `rates.refused` was, by its code, each a second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_by_code: BTreeMap<String, f64>,
}

/// Each a second, on average between the looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests that were answered, by whomever; a socket that was opened is one of them.
    pub requests: f64,
    /// Sockets that were opened.
    pub sockets: f64,
    /// Answers that the edge made itself, each with a [`Code`](crate::code::Code).
    pub refused: f64,
    /// Answers of instances with a status of 500 or more.
    pub failed: f64,
    /// Bytes of bodies and sockets from clients to the app. Those of a request count when it ends.
    pub bytes_in: f64,
    pub bytes_out: f64,
}

/// Which apps come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Busiest {
    #[default]
    Requests,
    /// By new ones, then by open ones.
    Sockets,
    InFlight,
    /// By what was refused or failed.
    Refused,
}

impl Load {
    /// The most apps that are told at once.
    pub const APPS_MAX: usize = 1_000;
    pub const APPS: usize = 20;
    /// The longest time between the looks.
    pub const SECONDS_MAX: u64 = 10;
    pub const SECONDS: u64 = 2;
}

impl Busiest {
    pub const NAMES: [&str; 4] = ["requests", "sockets", "in-flight", "refused"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl FromStr for Busiest {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Requests, Self::Sockets, Self::InFlight, Self::Refused];
        let found = all.into_iter().find(|busiest| busiest.as_str() == name);
        found.ok_or_else(|| format!("found '{name}', wanted one of {}", Self::NAMES.join(", ")))
    }
}
