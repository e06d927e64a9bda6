//! Which instance of an app a request goes to. Pure: health comes with the app's vitals, chance as an argument.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use karman_contract::app::{InstanceState, Sticky};

use crate::balance::{least_loaded, rendezvous};
use crate::caller::Absence;
use crate::sticky::Bound;
use crate::table::{App, Instance};
use crate::vitals::InstanceVitals;

/// How the sticky cookie and the choice go together; a field of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stickiness {
    /// The client brought no good cookie.
    New,
    /// The client went where it is bound.
    Hit,
    /// The instance that the client is bound to is still there, but takes no clients now.
    Moved,
    /// The instance that the client is bound to is gone.
    Lost,
}

impl Stickiness {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Hit => "hit",
            Self::Moved => "moved",
            Self::Lost => "lost",
        }
    }
}

/// What a request brings to the choice.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub bound: Option<Bound>,
    /// The SockJS session that must stay at one instance though its client keeps no cookies.
    pub session: Option<&'a str>,
    /// Instances that this request could not be sent to.
    pub tried: &'a [Arc<InstanceVitals>],
}

/// Chooses an instance, or says what the app lacks.
pub fn pick<'a>(
    app: &'a App,
    wish: Wish<'_>,
    random_below: impl FnMut(usize) -> usize,
) -> Result<(&'a Instance, Stickiness), Absence> {
    let untried = |instance: &Instance| !wish.tried.iter().any(|tried| Arc::ptr_eq(tried, &instance.vitals));
    let stickiness = match wish.bound.filter(|_| app.wire.sticky == Sticky::Cookie) {
        None => Stickiness::New,
        Some(bound) => match app.instances.iter().find(|instance| instance.tag == bound.tag) {
            None => Stickiness::Lost,
            Some(instance) if instance.keeps_clients(app.wire.drain.sticky) && instance.vitals.usable() && untried(instance) => {
                return Ok((instance, Stickiness::Hit));
            }
            Some(_) => Stickiness::Moved,
        },
    };
    let candidates = |usable: bool| -> Vec<&Instance> {
        app.instances.iter().filter(|i| i.takes_new_clients() && untried(i) && i.vitals.usable() == usable).collect()
    };
    // Where all that is left is in quarantine, trying it beats giving up.
    let mut open = candidates(true);
    if open.is_empty() {
        open = candidates(false);
    }
    keep_to_release(&mut open, wish.bound);
    let chosen = match wish.session {
        Some(session) => rendezvous(session, open.iter().map(|instance| instance.tag)),
        None => least_loaded(open.iter().map(|one| (one.vitals.load(), app.warmth(&one.vitals))), random_below),
    };
    match chosen.and_then(|index| open.get(index)) {
        Some(instance) => Ok((instance, stickiness)),
        None => Err(absence(app)),
    }
}

/// One page, one release: a client stays with the release that it loaded while that takes requests,
/// and never goes back to an older one than it has seen, unless nothing else is up. Otherwise, in a
/// roll, Meteor's client would load old code, meet a new server, and reload until the roll is over.
fn keep_to_release(open: &mut Vec<&Instance>, bound: Option<Bound>) {
    let Some(Bound { release: seen, .. }) = bound else { return };
    for fits in [|release: u64, seen: u64| release == seen, |release, seen| release > seen] {
        if open.iter().any(|instance| fits(instance.release, seen)) {
            return open.retain(|instance| fits(instance.release, seen));
        }
    }
}

/// What an app without a usable instance is: still starting, or down.
pub fn absence(app: &App) -> Absence {
    let starting = app.instances.iter().any(|instance| instance.state == InstanceState::Starting);
    let ready = app.instances.iter().any(Instance::takes_new_clients);
    if starting && !ready { Absence::Starting } else { Absence::Down }
}
