//! One previous process as the current one knows it: where it listens, what it last said, and what it is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::wire::{Carried, Done, Order, Report};
use super::{SUFFIX, line, millis};
use crate::vitals::{Which, lock};

/// How long a previous process may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long it may take to take in a document of 100,000 apps.
const CHANGE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Known {
    path: PathBuf,
    report: Mutex<Report>,
    /// Whether the report is what it says now, or what it said before it fell silent.
    answers: AtomicBool,
}

impl Known {
    /// Whoever listens at one of the [`sockets`]. `None`: a process that died has left it behind.
    pub(super) async fn at(path: PathBuf) -> Option<Self> {
        let (report, answers) = match call::<Report>(&path, &Order::Report).await {
            Ok(report) => (report.sorted(), true),
            Err(e) if is_gone(&e) => {
                drop(std::fs::remove_file(&path));
                return None;
            }
            Err(e) => {
                tracing::warn!(path = %path.display(), error = %e, "a previous process does not answer: until it does nothing counts as drained");
                (Report::of_silent(pid_of(&path)), false)
            }
        };
        Some(Self { path, report: Mutex::new(report), answers: answers.into() })
    }

    pub(super) fn answers(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// What it last said, as `see` sees it.
    pub(super) fn said<T>(&self, see: impl FnOnce(&Report) -> T) -> T {
        see(&lock(&self.report))
    }

    /// Asks what it holds and has counted by now; gives what it said before and what it says. `None` without an answer.
    /// Of a process that is gone nothing is left, not even its socket: that is the error.
    pub(super) async fn ask(&self) -> Result<Option<(Report, Report)>, Gone> {
        let answer = call::<Report>(&self.path, &Order::Report).await;
        if answer.as_ref().is_err_and(is_gone) {
            let _ = std::fs::remove_file(&self.path);
            self.answers.store(false, Relaxed);
            return Err(Gone);
        }
        let report = self.heard(answer).map(Report::sorted).ok();
        Ok(report.map(|report| (std::mem::replace(&mut *lock(&self.report), report.clone()), report)))
    }

    /// Has it close so many tunnels of an instance; how many of these it may have closed.
    pub(super) async fn close(&self, of: &Which, count: usize, spread: Duration, within: Duration) -> usize {
        let order = Order::Close { of: of.clone(), count, spread_ms: millis(spread), within_ms: millis(within) };
        let before = self.said(|report| report.carried_of(of).iter().map(|carried| carried.tunnels as usize).sum());
        match self.heard(call::<Carried>(&self.path, &order).await) {
            Ok(carried) => {
                lock(&self.report).put(carried);
                count.min(before)
            }
            Err(_) => 0,
        }
    }

    /// Has it close so many of those that have been open for at least that long; how many it did.
    pub(super) async fn close_old(&self, count: usize, spread: Duration, after: Duration) -> usize {
        let order = Order::CloseOld { count, spread_ms: millis(spread), after_ms: millis(after) };
        call::<usize>(&self.path, &order).await.unwrap_or(0)
    }

    /// Has it take in a change of the apps: a whole document, or a delta.
    pub(super) async fn change(&self, whole: bool, body: &[u8]) -> io::Result<()> {
        let order = Order::Change { whole, bytes: body.len() };
        line::call::<Done>(&self.path, &order, body, CHANGE_MAX).await.map(|Done {}| ())
    }

    /// Tells it that the apps are confirmed. A release that does not know the word is none the worse.
    pub(super) async fn confirm(&self) {
        let _ = call::<Done>(&self.path, &Order::Confirm).await;
    }

    /// Has it close its tunnels and end, within a time or at the pace of its apps.
    pub(super) async fn quit(&self, within: Option<Duration>) {
        let order = Order::Quit { within_ms: within.map(millis) };
        if let Err(e) = call::<Done>(&self.path, &order).await {
            tracing::warn!(path = %self.path.display(), error = %e, "a previous process could not be told to quit");
        }
    }

    fn heard<A>(&self, answer: io::Result<A>) -> io::Result<A> {
        self.answers.store(answer.is_ok(), Relaxed);
        answer
    }
}

/// That nobody listens any more.
pub(super) struct Gone;

async fn call<A: DeserializeOwned>(path: &Path, order: &Order) -> io::Result<A> {
    line::call(path, order, &[], ANSWER_MAX).await
}

fn is_gone(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// The process that listens at a previous one's socket; 0 if its name does not say.
fn pid_of(path: &Path) -> u32 {
    path.to_str().and_then(|path| path.rsplit('.').next()?.parse().ok()).unwrap_or(0)
}

/// The sockets of previous processes beside the admin socket, some of them left behind by processes that died.
pub(super) fn sockets(admin_socket: &Path) -> io::Result<Vec<PathBuf>> {
    let dir = admin_socket.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = admin_socket.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let prefix = format!("{name}{SUFFIX}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let is_one =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(|pid| pid.parse::<u32>().is_ok());
        if is_one {
            found.push(entry.path());
        }
    }
    Ok(found)
}
