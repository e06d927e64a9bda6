//! An open line to the proxy that carries nothing: when it is cut, the proxy went away or was started anew.

use std::time::Duration;

use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::admin::{Admin, AdminError};

#[cfg(test)]
mod tests;

/// Something that cuts every line shall not make us run in circles.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Lifeline {
    line: Option<JoinHandle<()>>,
    opened: Option<Instant>,
}

impl Lifeline {
    /// Opens the line if it is not open, to the run of the proxy that began at `met`.
    pub fn hold(&mut self, admin: &Admin, met: Timestamp) {
        let is_early = self.opened.is_some_and(|opened| opened.elapsed() < AGAIN_AFTER);
        if self.line.is_none() && !is_early {
            self.line = Some(tokio::spawn(follow(admin.clone(), met)));
            self.opened = Some(Instant::now());
        }
    }

    /// Waits until the line is cut, or until it is time to open it again.
    pub async fn cut(&mut self) {
        match (&mut self.line, self.opened) {
            (Some(line), _) => drop(line.await),
            (None, Some(opened)) => {
                sleep_until(opened + AGAIN_AFTER).await;
                self.opened = None;
            }
            (None, None) => std::future::pending().await,
        }
        self.line = None;
    }
}

async fn follow(admin: Admin, met: Timestamp) {
    // The events themselves are for others.
    let answer = match admin.events(None).await {
        Ok(answer) => answer,
        // It went away since it was last spoken to.
        Err(AdminError::Gone(_)) => return,
        // A proxy that gives none is looked at now and then anyway.
        Err(_) => std::future::pending().await,
    };
    // It may have been started anew, as another release, before the line was open.
    if !admin.status().await.is_ok_and(|status| status.started_at == met) {
        return;
    }
    let mut body = answer.into_body();
    while let Some(Ok(_)) = body.frame().await {}
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.abort();
        }
    }
}
