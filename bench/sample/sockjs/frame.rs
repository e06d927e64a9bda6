//! The frames of SockJS: `o`, `h`, `a["...",...]` and `c[code,"reason"]` to the client, `["...",...]` from it.

use std::fmt::{self, Display, Formatter};

use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Open,
    Heartbeat,
    Messages(Vec<String>),
    Close(u16, &'static str),
}

impl Frame {
    pub(crate) const NORMAL_CLOSURE: Self = Self::Close(1000, "Normal closure");
    pub(crate) const ANOTHER_CONNECTION: Self = Self::Close(2010, "Another connection still open");
    pub(crate) const NO_HEARTBEAT: Self = Self::Close(3000, "No response from heartbeat");
}

impl Display for Frame {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("o"),
            Self::Heartbeat => f.write_str("h"),
            Self::Messages(messages) => write!(f, "a{}", json!(messages)),
            Self::Close(code, reason) => write!(f, "c{}", json!([code, reason])),
        }
    }
}

/// Why a client's frame cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Broken {
    /// It is no JSON.
    Syntax,
    /// It is no string and no array of them.
    Shape,
}

/// The messages in a client's frame; a lone string will do as well.
pub(crate) fn read(text: &str) -> Result<Vec<String>, Broken> {
    match serde_json::from_str(text) {
        Ok(Value::String(message)) => Ok(vec![message]),
        Ok(value) => serde_json::from_value(value).map_err(|_| Broken::Shape),
        Err(_) => Err(Broken::Syntax),
    }
}
