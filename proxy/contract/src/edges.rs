//! How many edges serve the same apps: `PUT /v1/edges` tells one of them.

use serde::{Deserialize, Serialize};

use crate::read::{At, Read, Reason};

/// What an instance takes a second, all of these edges share evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// This edge counted; 1 to [`Self::MAX`].
    pub serving: u32,
}

impl Edges {
    pub const MAX: u32 = 1_000;
}

impl Default for Edges {
    /// Whoever was told nothing takes itself for the only one.
    fn default() -> Self {
        Self { serving: 1 }
    }
}

impl Read for Edges {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let serving = fields.integer(reasons, "serving", 1, 1, Self::MAX);
        fields.finish(reasons);
        Some(Self { serving: serving? })
    }
}
