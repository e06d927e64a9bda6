//! The revision of a directory: counted by its publisher, in `.karman/revision.json`.

use std::io;

use async_trait::async_trait;
use karman_contract::document::Stamp;

use super::write::overwrite;
use super::{Directory, read_text};
use crate::store::ledger::epoch_after;
use crate::store::{Ledger, StoreError};

/// The longest stamp has 68 bytes, and a sector of a disk, which is written whole or not at all, at least 512.
const LENGTH: usize = 80;

pub struct FileLedger {
    store: Directory,
    stamp: Stamp,
}

impl FileLedger {
    /// Opens the directory's ledger; a directory that has none was made just now, which is its epoch.
    pub fn open(store: &Directory) -> Result<Self, StoreError> {
        let path = store.own_path("revision.json");
        let stamp = match read_text(&path) {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|error| {
                StoreError::Refused(format!("{}: {error}; without this file the store takes a new epoch", path.display()))
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(path.display(), &error)),
        };
        let mut ledger = Self { store: store.clone(), stamp: stamp.unwrap_or_default() };
        if stamp.is_none() {
            ledger.write(Stamp { epoch: epoch_after(0), generation: 0 })?;
        }
        Ok(ledger)
    }

    /// On disk before a proxy hears of it.
    fn write(&mut self, stamp: Stamp) -> Result<(), StoreError> {
        let path = self.store.own_path("revision.json");
        let written = serde_json::to_string(&stamp).map_err(io::Error::from).and_then(|text| {
            // As long as any: it is written with each change, and where no length changes that is one block.
            overwrite(&path, format!("{text:LENGTH$}\n").as_bytes())
        });
        written.map_err(|error| StoreError::io(path.display(), &error))?;
        self.stamp = stamp;
        Ok(())
    }
}

#[async_trait]
impl Ledger for FileLedger {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    async fn advance(&mut self, _: u64) -> Result<(), StoreError> {
        self.write(Stamp { generation: self.stamp.generation + 1, ..self.stamp })
    }

    async fn go_past(&mut self, generation: u64) -> Result<(), StoreError> {
        self.write(Stamp { generation: self.stamp.generation.max(generation) + 1, ..self.stamp })
    }

    async fn begin_epoch_after(&mut self, epoch: u64) -> Result<(), StoreError> {
        self.write(Stamp { epoch: epoch_after(epoch.max(self.stamp.epoch)), generation: 1 })
    }
}
