//! What one turn gave: figures with their units, series over time, and errors by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::Latency;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) values: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) series: Vec<Series>,
    /// What went wrong, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) errors: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
}

/// Points of (x, y), in the order of x.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    Kilobytes,
    Megabytes,
    /// Of things that one would rather not have.
    Count,
    /// Of things of which neither more nor fewer are better.
    Number,
    PerSecond,
    /// A share of what should be nothing, in percent.
    Share,
}

/// Which of two figures one would rather have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    Neither,
}

impl Unit {
    pub(crate) fn better(self) -> Better {
        match self {
            Self::PerSecond => Better::More,
            Self::Number => Better::Neither,
            _ => Better::Less,
        }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Microseconds => " us",
            Self::Milliseconds => " ms",
            Self::Seconds => " s",
            Self::Kilobytes => " kB",
            Self::Megabytes => " MB",
            Self::Count | Self::Number => "",
            Self::PerSecond => "/s",
            Self::Share => " %",
        }
    }
}

impl Reading {
    pub(crate) fn put(&mut self, name: &str, unit: Unit, value: f64) {
        self.values.push(Value { name: name.to_owned(), unit, value });
    }

    /// CPU time for each of `count` things, in microseconds.
    pub(crate) fn put_cpu(&mut self, name: &str, spent: Duration, count: u64) {
        self.put(name, Unit::Microseconds, spent.as_secs_f64() * 1e6 / count.max(1) as f64);
    }

    /// The median, p99 and p99.9.
    pub(crate) fn put_latency(&mut self, of: &str, latency: &Latency) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            self.put(&format!("{of} {name}"), Unit::Milliseconds, latency.at(share).as_secs_f64() * 1e3);
        }
    }

    pub(crate) fn put_series(&mut self, name: &str, points: Vec<(f64, f64)>) {
        self.series.push(Series { name: name.to_owned(), points });
    }

    pub(crate) fn count_error(&mut self, kind: impl Into<String>, count: u64) {
        if count > 0 {
            *self.errors.entry(kind.into()).or_default() += count;
        }
    }

    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }
}
