//! The keys by which CAs know this platform: `keys/acme-CA`, an account, and `keys/local-ca`, the CA of one machine.

use karman_contract::read::{At, Read, Reason};
use serde::Serialize;

use crate::certificates::acme::Credentials;
use crate::certificates::local::LocalCa;
use crate::failure::Failure;
use crate::sealing::{CannotOpen, Sealed, Sealing};

/// The id in the store of the account at a CA.
pub fn id_of_account(ca: &str) -> String {
    format!("{ACCOUNT}{ca}")
}

/// What the ids of accounts begin with.
pub const ACCOUNT: &str = "acme-";
/// The id in the store of the local CA.
pub const LOCAL_CA: &str = "local-ca";

/// An account as the store has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountFile {
    /// Where the account was opened; another directory needs another account.
    pub directory: String,
    /// What edges answer http-01 challenges with; while the key is being replaced, that of the next key too.
    pub thumbprints: Vec<String>,
    pub credentials: Sealed,
    /// An operator wants the account to have another key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rotate: bool,
}

/// How many keys of an account edges answer for: the present one, and those before it.
const THUMBPRINTS_MAX: usize = 3;

impl AccountFile {
    pub fn new(
        ca: &str,
        directory: &str,
        thumbprint: &str,
        credentials: &Credentials,
        sealing: &Sealing,
    ) -> Result<Self, Failure> {
        let credentials = sealing.seal(&format!("keys/{}", id_of_account(ca)), credentials.0.as_bytes())?;
        Ok(Self { directory: directory.to_owned(), thumbprints: vec![thumbprint.to_owned()], credentials, rotate: false })
    }

    /// Goes on answering for keys that the account had before.
    pub fn remember(&mut self, before: &[String]) {
        for thumbprint in before {
            if !self.thumbprints.contains(thumbprint) && self.thumbprints.len() < THUMBPRINTS_MAX {
                self.thumbprints.push(thumbprint.clone());
            }
        }
    }

    pub fn open(&self, ca: &str, sealing: &Sealing) -> Result<Credentials, CannotOpen> {
        sealing.reveal_text(&format!("keys/{}", id_of_account(ca)), &self.credentials).map(Credentials)
    }
}

/// The local CA as the store has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocalCaFile {
    /// PEM; this is what browsers have to trust.
    pub root: String,
    pub key: Sealed,
}

impl LocalCaFile {
    pub fn new(ca: &LocalCa, sealing: &Sealing) -> Result<Self, Failure> {
        Ok(Self { root: ca.root.clone(), key: sealing.seal(&place_of_local_ca(), ca.key.as_bytes())? })
    }

    pub fn open(&self, sealing: &Sealing) -> Result<LocalCa, CannotOpen> {
        Ok(LocalCa { root: self.root.clone(), key: sealing.reveal_text(&place_of_local_ca(), &self.key)? })
    }
}

fn place_of_local_ca() -> String {
    format!("keys/{LOCAL_CA}")
}

impl Read for AccountFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let directory = fields.required(reasons, "directory");
        let thumbprints = fields.required(reasons, "thumbprints");
        let credentials = fields.required(reasons, "credentials");
        let rotate = fields.or(reasons, "rotate", false);
        fields.finish(reasons);
        Some(Self { directory: directory?, thumbprints: thumbprints?, credentials: credentials?, rotate: rotate? })
    }
}

impl Read for LocalCaFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let root = fields.required(reasons, "root");
        let key = fields.required(reasons, "key");
        fields.finish(reasons);
        Some(Self { root: root?, key: key? })
    }
}
