//! A whole service for tests, in this process: strict zones behind throttles, conflicts and lost answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;

use super::health::{Check, Existing};
use super::plan::Change;
use super::record::{Name, Record};
use super::service::{ChangeId, Cursor, Page, Refusal, Service};
use super::strict::StrictZone;

/// Records on a page: few, so that a listing has many.
const PAGE: usize = 3;

#[derive(Debug)]
pub(super) struct StrictService(pub(super) Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) zone: StrictZone,
    pub(super) checks: BTreeMap<String, (Existing, Check)>,
    /// What the next calls that change records are answered with, before any is made.
    pub(super) refusals: VecDeque<Refusal>,
    /// What the next calls that list records are answered with.
    pub(super) list_refusals: VecDeque<Refusal>,
    /// The sizes of the batches that were tried.
    pub(super) batches: Vec<usize>,
    /// How often a change is still on its way when it is asked for.
    pub(super) pending: usize,
    /// The next change is made, and its answer is lost.
    pub(super) lose_answer: bool,
}

impl StrictService {
    pub(super) fn new(zone: &str) -> Self {
        Self(Mutex::new(State {
            zone: StrictZone::new(zone),
            checks: BTreeMap::new(),
            refusals: VecDeque::new(),
            list_refusals: VecDeque::new(),
            batches: Vec::new(),
            pending: 0,
            lose_answer: false,
        }))
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Service for StrictService {
    async fn zone_name(&self, _zone: &str) -> Result<Name, Refusal> {
        Ok(self.with(|state| state.zone.name.clone()))
    }

    async fn records(&self, _zone: &str, after: Option<Cursor>) -> Result<Page<Record, Cursor>, Refusal> {
        self.with(|state| {
            if let Some(refusal) = state.list_refusals.pop_front() {
                return Err(refusal);
            }
            let mut records = state.zone.records.clone();
            records.sort_by_key(|record| place(&cursor(record)));
            records.retain(|record| after.as_ref().is_none_or(|after| place(&cursor(record)) >= place(after)));
            let next = records.get(PAGE).map(cursor);
            records.truncate(PAGE);
            Ok(Page { items: records, next })
        })
    }

    async fn change(&self, _zone: &str, changes: &[Change]) -> Result<ChangeId, Refusal> {
        self.with(|state| {
            if let Some(refusal) = state.refusals.pop_front() {
                return Err(refusal);
            }
            state.batches.push(changes.len());
            state.zone.change(changes).map_err(Refusal::Invalid)?;
            match std::mem::take(&mut state.lose_answer) {
                true => Err(Refusal::Unreachable("the connection was reset".to_owned())),
                false => Ok(ChangeId(format!("change-{}", state.batches.len()))),
            }
        })
    }

    async fn is_everywhere(&self, _change: &ChangeId) -> Result<bool, Refusal> {
        self.with(|state| {
            let done = state.pending == 0;
            state.pending = state.pending.saturating_sub(1);
            Ok(done)
        })
    }

    async fn health_checks(&self, _after: Option<String>) -> Result<Page<Existing, String>, Refusal> {
        let items = self.with(|state| state.checks.values().map(|(existing, _)| existing.clone()).collect());
        Ok(Page { items, next: None })
    }

    async fn create_health_check(&self, check: &Check, reference: &str) -> Result<Box<str>, Refusal> {
        self.with(|state| {
            let id: Box<str> = format!("check-{}", state.checks.len() + 1).into();
            let existing = Existing { id, reference: reference.to_owned() };
            let made = state.checks.entry(reference.to_owned()).or_insert_with(|| (existing, check.clone()));
            if made.1 != *check {
                return Err(Refusal::Denied("another check was made with these words".to_owned()));
            }
            state.zone.health_checks.insert(made.0.id.clone());
            Ok(made.0.id.clone())
        })
    }

    async fn delete_health_check(&self, id: &str) -> Result<(), Refusal> {
        self.with(|state| {
            if state.zone.records.iter().any(|record| record.health_check.as_deref() == Some(id)) {
                return Err(Refusal::Denied("a record names the check".to_owned()));
            }
            state.checks.retain(|_, (existing, _)| &*existing.id != id);
            Ok(())
        })
    }
}

fn cursor(record: &Record) -> Cursor {
    Cursor {
        name: record.key.name.to_string(),
        kind: Some(record.key.kind.as_str().to_owned()),
        id: record.routing.id().map(ToOwned::to_owned),
    }
}

/// The order of a listing: by labels from the right, then by type and identifier.
fn place(cursor: &Cursor) -> (Vec<String>, Option<String>, Option<String>) {
    (cursor.name.rsplit('.').map(ToOwned::to_owned).collect(), cursor.kind.clone(), cursor.id.clone())
}
