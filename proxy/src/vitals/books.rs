//! What is counted of sockets and only grows: how many, who ended them, and what they carried.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    Client,
    App,
    Drain,
    Idle,
    Limit,
    EdgeShutdown,
    Error,
}

impl ClosedBy {
    pub const ALL: [Self; 7] = [Self::Client, Self::App, Self::Drain, Self::Idle, Self::Limit, Self::EdgeShutdown, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
            Self::Drain => "drain",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::EdgeShutdown => "edge-shutdown",
            Self::Error => "error",
        }
    }
}

/// The numbers of an app, whose bytes include those of its requests, or of one of its instances.
#[derive(Debug, Default)]
pub struct Books {
    pub opened: AtomicU64,
    closed: [AtomicU64; ClosedBy::ALL.len()],
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
}

impl Books {
    pub fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub fn close(&self, by: ClosedBy) {
        self.closed(by).fetch_add(1, Relaxed);
    }

    /// From the client to the app, and from the app to the client.
    pub fn carry(&self, bytes_in: u64, bytes_out: u64) {
        for (count, bytes) in [(&self.bytes_in, bytes_in), (&self.bytes_out, bytes_out)] {
            if bytes > 0 {
                count.fetch_add(bytes, Relaxed);
            }
        }
    }

    pub fn closed(&self, by: ClosedBy) -> &AtomicU64 {
        &self.closed[by as usize]
    }
}
