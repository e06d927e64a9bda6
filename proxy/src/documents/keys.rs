//! The keys document: whole only, and secret. Without one, the edge makes keys of its own and keeps them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use karman_contract::answer::{Applied, Outcome, Refusal};
use karman_contract::document::{DocumentName, KeysDocument, SecretKey, Stamp};
use karman_contract::status::{Confirmed, DocumentStatus};

use super::{Times, parse, said};
use crate::live::Live;
use crate::order::{Standing, judge_whole};
use crate::saved_state::Saved;
use crate::sticky::CookieKeys;
use crate::tls::TicketKeys;
use crate::vitals::lock;

/// The keys that this edge holds.
#[derive(Debug)]
pub struct HeldKeys {
    pub live: Arc<Live<CookieKeys>>,
    pub tickets: Arc<Live<TicketKeys>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    document: KeysDocument,
    saved: Saved,
    times: Times,
}

/// Below any that a publisher sends: its first document replaces what the edge made for itself.
const OWN: Stamp = Stamp { epoch: 0, generation: 0 };

impl HeldKeys {
    /// Loads the keys, or makes them and saves them, so that cookies and session tickets hold over a restart.
    pub fn load(dir: &Path) -> io::Result<(Self, Vec<String>)> {
        let (mut saved, mut loaded) = Saved::open(dir, DocumentName::Keys)?;
        let (document, warnings) = loop {
            let mut warnings = std::mem::take(&mut loaded.warnings);
            let Some((stamp, text)) = loaded.snapshot.take() else {
                let document = KeysDocument { cookie: vec![random_key()?], stamp: OWN, ticket: vec![random_key()?] };
                let json = serde_json::to_vec(&document)?;
                if let Err(e) = saved.save_whole(OWN, |out| drop(out.write_all(&json))) {
                    warnings.push(format!("the edge's own keys were not saved, clients will be bound anew after a restart: {e}"));
                }
                break (document, warnings);
            };
            match parse(&text) {
                Ok(document) => break (document, warnings),
                Err(reasons) => {
                    let why = format!("the saved keys of {stamp} cannot be used: {}", said(&reasons));
                    loaded = saved.fall_back(&why)?;
                }
            }
        };
        let live = Arc::new(Live::new(CookieKeys::new(&document)));
        let tickets = Arc::new(Live::new(TicketKeys::new(&document)));
        let state = Mutex::new(State { document, saved, times: Times::default() });
        Ok((Self { live, tickets, state }, warnings))
    }

    pub fn put(&self, document: KeysDocument) -> Result<Applied, Refusal> {
        let mut state = lock(&self.state);
        let (current, attempted) = (state.document.stamp, document.stamp);
        match judge_whole(Some(current), attempted, || document == state.document) {
            Standing::Next => {}
            Standing::Current => {
                return Ok(Applied { outcome: Outcome::Current, stamp: attempted, saved: state.times.saved.is_some() });
            }
            Standing::Stale | Standing::BaseMismatch => return Err(Refusal::Stale { current, attempted }),
        }
        self.live.publish(Arc::new(CookieKeys::new(&document)));
        self.tickets.publish(Arc::new(TicketKeys::new(&document)));
        let json = serde_json::to_vec(&document).unwrap_or_default();
        state.document = document;
        state.times = Times { applied: Some(Timestamp::now()), saved: None, ..state.times };
        let on_disk = state.saved.save_whole(attempted, |out| drop(out.write_all(&json)));
        match &on_disk {
            Ok(()) => state.times.saved = Some(Timestamp::now()),
            Err(e) => tracing::error!(error = %e, "the keys are live but not on disk: a restart would bring back older ones"),
        }
        Ok(Applied { outcome: Outcome::Applied, stamp: attempted, saved: on_disk.is_ok() })
    }

    pub fn confirm(&self, confirmed: &Confirmed) -> bool {
        let mut state = lock(&self.state);
        let stamp = Stamp { epoch: confirmed.epoch, generation: confirmed.generation };
        let agreed = state.document.stamp == stamp && state.document.hash() == confirmed.hash;
        if agreed {
            state.times.confirmed = Some(Timestamp::now());
        }
        agreed
    }

    pub fn times(&self) -> (Option<Stamp>, Times) {
        let state = lock(&self.state);
        (Some(state.document.stamp).filter(|stamp| *stamp != OWN), state.times)
    }

    /// What the edge made for itself is no document.
    pub fn status(&self) -> DocumentStatus {
        let state = lock(&self.state);
        if state.document.stamp == OWN {
            return DocumentStatus::default();
        }
        DocumentStatus {
            stamp: Some(state.document.stamp),
            hash: Some(state.document.hash()),
            applied_at: state.times.applied,
            saved_at: state.times.saved,
            confirmed_at: state.times.confirmed,
            unconfirmed: false,
        }
    }
}

fn random_key() -> io::Result<SecretKey> {
    let mut key = vec![0; SecretKey::BYTES_MIN];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(SecretKey(key))
}
