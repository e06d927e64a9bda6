//! The revision in hand, never used before it is on disk.

use std::io;

use jiff::Timestamp;

use crate::store::{Directory, Revision};

pub struct Ledger {
    store: Directory,
    revision: Revision,
}

impl Ledger {
    /// Opens the store's ledger; a store that has none was made just now.
    pub fn open(store: &Directory) -> io::Result<Self> {
        let revision = match store.revision()? {
            Some(revision) => revision,
            None => {
                let revision = Revision::new(now());
                store.write_revision(revision)?;
                revision
            }
        };
        Ok(Self { store: store.clone(), revision })
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The store's content has changed.
    pub fn advance(&mut self) -> io::Result<()> {
        self.write(self.revision.next())
    }

    /// The proxy has something else under our generation or a later one.
    pub fn go_past(&mut self, generation: u64) -> io::Result<()> {
        self.write(self.revision.past(generation))
    }

    /// An operator says that this store wins over the one of that epoch.
    pub fn begin_epoch_after(&mut self, epoch: u64) -> io::Result<()> {
        self.write(self.revision.past_epoch(epoch, now()))
    }

    fn write(&mut self, revision: Revision) -> io::Result<()> {
        self.store.write_revision(revision)?;
        self.revision = revision;
        Ok(())
    }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
