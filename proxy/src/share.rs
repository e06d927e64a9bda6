//! This edge's share of what an instance takes: others that serve the same apps send it clients too.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use karman_contract::edges::Edges;

use crate::kept;

/// How many edges there are, as far as this one was told. It outlives the process.
#[derive(Debug)]
pub struct Share {
    path: PathBuf,
    serving: AtomicU32,
}

impl Share {
    /// Takes up what was told last. Who was told nothing, or cannot read it, takes itself for the only edge:
    /// whoever publishes the apps says it anew.
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("edges.json");
        let told = kept::read::<Edges>(&path).unwrap_or_else(|e| {
            tracing::error!(path = %path.display(), error = %e, "how many edges there are cannot be read: this one takes itself for the only one");
            None
        });
        let serving = told.unwrap_or_default().serving.clamp(1, Edges::MAX);
        Self { path, serving: AtomicU32::new(serving) }
    }

    pub fn tell(&self, edges: Edges) -> io::Result<()> {
        kept::write(&self.path, &edges)?;
        self.serving.store(edges.serving, Relaxed);
        Ok(())
    }

    pub fn edges(&self) -> Edges {
        Edges { serving: self.serving.load(Relaxed) }
    }

    /// Of so many a second at all edges, how many here.
    pub fn of(&self, per_second: u32) -> f64 {
        f64::from(per_second) / f64::from(self.edges().serving)
    }
}
