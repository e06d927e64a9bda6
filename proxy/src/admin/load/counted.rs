//! What is counted of an app until a look, and what that makes between two of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use karman_contract::code::Code;
use karman_contract::load::Rates;

use crate::vitals::AppVitals;

/// What was counted of an app until a look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) requests: u64,
    /// Of these, by a status of 500 or more.
    errors: u64,
    pub(super) opened: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// The answers that the edge made itself, by their codes; none if there was no request either.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Option<Box<[u64; Code::ALL.len()]>>);

/// What was counted between the looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Did {
    pub(super) counted: Counted,
    pub(super) refusals: Refusals,
}

pub(super) fn counted(vitals: &AppVitals) -> (Counted, Refusals) {
    let counted = Counted::of(vitals);
    // Of 100,000 apps most are never asked: of these no more is read from memory than has to be.
    let refusals = if counted.requests == 0 { Refusals::default() } else { Refusals::of(vitals) };
    (counted, refusals)
}

impl Counted {
    pub(super) fn of(vitals: &AppVitals) -> Self {
        let count = |of: &AtomicU64| of.load(Relaxed);
        let [.., errors] = &vitals.requests;
        Self {
            requests: vitals.requests.iter().map(count).sum(),
            errors: count(errors),
            opened: count(&vitals.books.opened),
            bytes_in: count(&vitals.books.bytes_in),
            bytes_out: count(&vitals.books.bytes_out),
        }
    }
}

impl Refusals {
    fn of(vitals: &AppVitals) -> Self {
        let counts: [u64; Code::ALL.len()] =
            std::array::from_fn(|code| vitals.refusals.get(code).map_or(0, |count| count.load(Relaxed)));
        Self(counts.iter().any(|count| *count > 0).then(|| Box::new(counts)))
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = self.0.iter().flat_map(|counts| counts.iter());
        Code::ALL.iter().zip(counts).map(|(code, count)| (*code, *count)).filter(|(_, count)| *count > 0)
    }

    fn since(mut self, before: &Self) -> Self {
        if let (Some(now), Some(before)) = (&mut self.0, &before.0) {
            now.iter_mut().zip(before.iter()).for_each(|(now, before)| *now = now.saturating_sub(*before));
        }
        self
    }

    fn add(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            let all = self.0.get_or_insert_default();
            all.iter_mut().zip(other.iter()).for_each(|(all, count)| *all += count);
        }
    }
}

impl Did {
    pub(super) fn since((before, refused_before): &(Counted, Refusals), vitals: &AppVitals) -> Self {
        let (now, refused) = counted(vitals);
        let counted = Counted {
            requests: now.requests.saturating_sub(before.requests),
            errors: now.errors.saturating_sub(before.errors),
            opened: now.opened.saturating_sub(before.opened),
            bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
        };
        Self { counted, refusals: refused.since(refused_before) }
    }

    pub(super) fn add(&mut self, other: &Self) {
        let (all, one) = (&mut self.counted, other.counted);
        all.requests += one.requests;
        all.errors += one.errors;
        all.opened += one.opened;
        all.bytes_in += one.bytes_in;
        all.bytes_out += one.bytes_out;
        self.refusals.add(&other.refusals);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refusals.each().map(|(_, count)| count).sum()
    }

    /// What instances answered with a status of 500 or more.
    pub(super) fn failed(&self) -> u64 {
        let own: u64 = self.refusals.each().filter(|(code, _)| code.status() >= 500).map(|(_, count)| count).sum();
        self.counted.errors.saturating_sub(own)
    }

    pub(super) fn rates(&self, seconds: f64) -> Rates {
        let Counted { requests, opened, bytes_in, bytes_out, .. } = self.counted;
        Rates {
            requests: rate(requests, seconds),
            sockets: rate(opened, seconds),
            refused: rate(self.refused(), seconds),
            failed: rate(self.failed(), seconds),
            bytes_in: rate(bytes_in, seconds),
            bytes_out: rate(bytes_out, seconds),
        }
    }
}

pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    thousandths(count as f64 / seconds)
}

/// More digits tell nobody anything.
pub(super) fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
