//! The messages of DDP, as they stand on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Connect {
    pub(super) version: String,
    pub(super) support: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Ping {
    pub(super) id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Sub {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "read only to refuse what is no array: no publication here has parameters")]
    pub(super) params: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct Unsub {
    pub(super) id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Method {
    pub(super) id: String,
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Vec<Value>,
    #[expect(dead_code, reason = "for latency compensation, which needs no help here")]
    pub(super) random_seed: Option<Value>,
}

#[derive(Serialize)]
#[serde(tag = "msg", rename_all = "lowercase")]
pub(super) enum Outgoing<'a> {
    Connected {
        session: String,
    },
    Failed {
        version: &'static str,
    },
    Ping,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    Added {
        collection: &'static str,
        id: &'a str,
        fields: Value,
    },
    Changed {
        collection: &'static str,
        id: &'a str,
        fields: Value,
    },
    Removed {
        collection: &'static str,
        id: &'a str,
    },
    Ready {
        subs: [String; 1],
    },
    Nosub {
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
    Result {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
    Updated {
        methods: [&'a str; 1],
    },
    Error {
        reason: &'static str,
        #[serde(rename = "offendingMessage", skip_serializing_if = "Option::is_none")]
        offending_message: Option<Value>,
    },
}

/// A `Meteor.Error` as it travels.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure {
    error: u16,
    reason: String,
    message: String,
    error_type: &'static str,
}

impl Failure {
    pub(super) fn new(error: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { error, message: format!("{reason} [{error}]"), reason, error_type: "Meteor.Error" }
    }
}
