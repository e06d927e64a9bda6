//! A scenario: one question, and how it is put to one contender in one round.

use std::io;

use super::Reading;
use crate::contender::Kind;

/// What a file of `scenarios/` gives to the lab.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What operators type, and the stem of the files with its results.
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// In the order of their turns; the first is the one that the others are compared with.
    pub(crate) contenders: &'static [Kind],
    /// Measures one contender, which it starts itself, from a standstill.
    pub(crate) measure: fn(&Turn) -> io::Result<Reading>,
    /// How many, unless the run says otherwise: fewer where one is long, so that the whole lab takes less than 30 minutes.
    pub(crate) rounds: u32,
    /// Drawn from the series that the readings hold.
    pub(crate) plots: &'static [Plot],
    /// For figures whose names begin so: why Karman is behind there, where it is, and what would change it.
    pub(crate) remarks: &'static [(&'static str, &'static str)],
}

/// One picture: panels above each other on one axis of time.
#[derive(Debug)]
pub(crate) struct Plot {
    /// The stem of its file, after the scenario's name.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) panels: &'static [Panel],
}

/// One panel: a line for each contender whose readings have this series.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) series: &'static str,
    pub(crate) y: &'static str,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) kind: Kind,
    /// The share of the scenario's full size.
    pub(crate) scale: f64,
}

impl Turn {
    /// So much of `full` as the scale says, and at least `least`.
    pub(crate) fn scaled(&self, full: u32, least: u32) -> u32 {
        ((f64::from(full) * self.scale).round() as u32).max(least)
    }
}
