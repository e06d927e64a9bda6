//! Writing several files as one: all or none of them, also after a power cut.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::Directory;
use super::lock::{Lock, Locked};
use super::write::{remove, write_durably, write_secretly};
use crate::store::lease::Fence;
use crate::store::{Expect, Key, Seen, StoreError, Transaction, Write};

/// Other writers are quick: whoever waits this long (20 ms a try) waits for one that is stopped.
const LOCK_TRIES: usize = 250;

/// What is about to be done to a file: written before it is done, so that it can be finished.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// The file's name within the directory.
    file: String,
    secret: bool,
    /// `None` removes it.
    text: Option<String>,
}

impl Directory {
    pub(super) fn write_together(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if let Some(mistake) = transaction.mistake() {
            return Err(StoreError::Refused(mistake));
        }
        let failed = |error| StoreError::io(self.root().display(), &error);
        let lock = self.writers_lock().map_err(failed)?;
        self.finish_left_over().map_err(failed)?;
        if let Some(lease) = transaction.under
            && !matches!(&lease.fence, Fence::Lock(lock) if lock.is_in_place())
        {
            return Err(StoreError::LeaseLost(lease.name.clone()));
        }
        let mut steps = Vec::new();
        for write in &transaction.writes {
            let seen = self.see(&write.key);
            if !as_expected(&write.expect, &seen) {
                return Err(StoreError::Changed(write.key.clone()));
            }
            steps.extend(self.steps(write, &seen));
        }
        match steps.as_slice() {
            [] => {}
            [step] => self.take(step).map_err(failed)?,
            steps => {
                self.plan(steps).map_err(failed)?;
                self.finish_left_over().map_err(failed)?;
            }
        }
        for Write { key, text, .. } in &transaction.writes {
            self.record(&lock, key, &transaction.author, text.as_deref()).map_err(failed)?;
        }
        Ok(())
    }

    /// Held by whoever writes, so that what is compared is still so when it is replaced.
    pub(super) fn writers_lock(&self) -> io::Result<Lock> {
        match Lock::take_within(&self.own_path("writers.lock"), LOCK_TRIES)? {
            Locked::Ours(lock) => Ok(lock),
            Locked::Theirs(holder) => {
                let holder = holder.unwrap_or_else(|| "another process".to_owned());
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("{holder} is writing and does not come to an end")))
            }
        }
    }

    /// Finishes what a writer had begun when it died, before anybody sees the half of it.
    pub(super) fn finish_commit(&self) -> Result<(), StoreError> {
        if !self.plan_path().exists() {
            return Ok(());
        }
        let failed = |error| StoreError::io(self.root().display(), &error);
        let _lock = self.writers_lock().map_err(failed)?;
        self.finish_left_over().map_err(failed)
    }

    fn finish_left_over(&self) -> io::Result<()> {
        let path = self.plan_path();
        let of_the_plan = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        // Ours, and as large as what was written together.
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text.map_err(of_the_plan)?,
        };
        let steps: Vec<Step> = serde_json::from_slice(&text).map_err(|error| of_the_plan(error.into()))?;
        steps.iter().try_for_each(|step| self.take(step))?;
        remove(&path)
    }

    /// Secrets may be among it.
    fn plan(&self, steps: &[Step]) -> io::Result<()> {
        write_secretly(&self.plan_path(), &serde_json::to_vec(steps)?)
    }

    fn take(&self, step: &Step) -> io::Result<()> {
        let path = self.root().join(&step.file);
        match &step.text {
            Some(text) if step.secret => write_secretly(&path, text.as_bytes()),
            Some(text) => write_durably(&path, text.as_bytes()),
            None => remove(&path),
        }
    }

    /// Keeps to the file that is there, unless JSON is to be replaced by YAML.
    fn steps(&self, write: &Write, seen: &Seen) -> Vec<Step> {
        let Write { key, text, .. } = write;
        let secret = key.kind.is_secret();
        let present = self.files_of(key);
        let Some(text) = text else {
            return present.into_iter().map(|file| Step { file, secret, text: None }).collect();
        };
        let stands = seen.text().filter(|stands| !stands.file.ends_with(".json") || is_json(text));
        let file = stands.map_or_else(|| new_file(key, text), |stands| stands.file.clone());
        let others = present.into_iter().filter(|name| *name != file).map(|file| Step { file, secret, text: None });
        let mut steps: Vec<_> = others.collect();
        steps.push(Step { file, secret, text: Some(text.clone()) });
        steps
    }

    fn plan_path(&self) -> std::path::PathBuf {
        self.own_path("commit.json")
    }
}

fn as_expected(expect: &Expect, seen: &Seen) -> bool {
    match (expect, seen) {
        (Expect::Anything, _) | (Expect::Absent, Seen::Nothing) => true,
        (Expect::Version(version), Seen::Text(text)) => *version == text.version,
        _ => false,
    }
}

fn new_file(key: &Key, text: &str) -> String {
    match key.kind.extensions() {
        [only] => format!("{key}.{only}"),
        _ => format!("{key}.{}", if is_json(text) { "json" } else { "yaml" }),
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}
