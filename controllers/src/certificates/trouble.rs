//! Why an order did not go on: whose fault it was, and what that means for the next try.

use std::fmt::{self, Display};

use jiff::SignedDuration;

use crate::failure::Failure;

/// What an order has to do about its trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same again at once: the CA wants a fresh nonce (RFC 8555 section 6.5), and the library has given up.
    Repeat,
    /// The same order may go on after a wait: the CA or the way to it failed, nothing was used up.
    GoOn,
    /// The order is lost or spent; a new one is made after a wait.
    StartAgain,
    /// The CA does not know the account any more.
    NewAccount,
    /// The CA does not take it as a renewal, for one that it has seen already, say: the same again, and not as a renewal.
    DropReplaces,
}

#[derive(Clone, Debug)]
pub struct Trouble {
    pub remedy: Remedy,
    /// What was found, and whose it is.
    pub what: String,
    /// How long the CA asked to be left alone.
    pub wait: Option<SignedDuration>,
    /// Whether this is the CA's trouble with everybody, not with this name.
    pub of_the_ca: bool,
}

impl Trouble {
    /// The name cannot be certified as things are: its owner, or we, have to do something.
    pub fn of_the_name(what: impl Into<String>) -> Self {
        Self { remedy: Remedy::StartAgain, what: what.into(), wait: None, of_the_ca: false }
    }

    /// Something failed that may work a little later, as it is.
    pub fn passing(what: impl Into<String>) -> Self {
        Self { remedy: Remedy::GoOn, what: what.into(), wait: None, of_the_ca: false }
    }
}

impl Trouble {
    /// Whether it was not the name that failed, but its CA, the way to it, or something of ours.
    pub fn is_elsewhere(&self) -> bool {
        self.of_the_ca || matches!(self.remedy, Remedy::GoOn | Remedy::Repeat)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::passing(failure.message)
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
