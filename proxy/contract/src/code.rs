//! The codes of answers that the edge makes itself: each has one status and one meaning.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::read::{At, Read, Reason};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal,)*) => {
        /// Why the edge answered by itself: one log field, one metric label, one header value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The HTTP status that goes with the code.
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// No app of this edge has this host.
    UnknownHost "unknown-host" 404,
    /// The certificate of this connection does not cover the request's host.
    Misdirected "misdirected" 421,
    BadRequest "bad-request" 400,
    UriTooLong "uri-too-long" 414,
    HeadersTooLarge "headers-too-large" 431,
    BodyTooLarge "body-too-large" 413,
    RequestTimeout "request-timeout" 408,
    MethodNotAllowed "method-not-allowed" 405,
    /// The client's network is on a deny list.
    Blocked "blocked" 403,
    /// No instance is usable.
    AppDown "app-down" 503,
    AppStarting "app-starting" 503,
    AppAsleep "app-asleep" 503,
    AppMaintenance "app-maintenance" 503,
    AppStopped "app-stopped" 503,
    /// For the log and the owner; a visitor is told `app-stopped`.
    AppSuspended "app-suspended" 503,
    OverLimit "over-limit" 429,
    QueueFull "queue-full" 503,
    QueueTimeout "queue-timeout" 503,
    HoldTimeout "hold-timeout" 504,
    ConnectRefused "connect-refused" 502,
    ConnectTimeout "connect-timeout" 504,
    FirstByteTimeout "first-byte-timeout" 504,
    IdleTimeout "idle-timeout" 504,
    InstanceReset "instance-reset" 502,
    InstanceGarbage "instance-garbage" 502,
    Overloaded "overloaded" 503,
    /// This edge is about to stop.
    Draining "draining" 503,
    Internal "internal" 500,
}

impl Code {
    /// What a visitor is told: nobody learns a customer's billing state.
    pub fn shown_to_visitors(self) -> Self {
        match self {
            Self::AppSuspended => Self::AppStopped,
            code => code,
        }
    }
}

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_name(text)
            .ok_or_else(|| format!("found {}, wanted the code of an answer, such as 'app-down'", crate::read::quoted(text)))
    }
}

impl Read for Code {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.parse(reasons, "the code of an answer")
    }
}
