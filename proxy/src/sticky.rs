//! The sticky cookie: which instance a client is bound to, sealed so that only an edge can write it.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use karman_contract::document::{KeysDocument, SecretKey};
use karman_contract::name::AppId;
use sha2::Sha256;

/// The cookie's name where the connection is not secure.
pub const COOKIE: &str = "karman";
/// The cookie's name on HTTPS; browsers take it only with Secure, Path=/ and no Domain.
pub const COOKIE_SECURE: &str = "__Host-karman";

/// More cookies of our name than this in one request are not looked at.
const COOKIES_TRIED: usize = 4;

const FORMAT: u8 = 1;
const PAYLOAD: usize = 1 + 8 + 8;
const MAC: usize = 16;

/// The instance that a client is bound to, and the release it saw there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub release: u64,
    pub tag: u64,
}

/// The keys that seal cookies: the first signs, all verify. Never shown.
#[derive(Clone)]
pub struct CookieKeys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl CookieKeys {
    pub fn new(document: &KeysDocument) -> Self {
        Self(document.cookie.iter().filter_map(|SecretKey(key)| Hmac::new_from_slice(key).ok()).collect())
    }

    /// The cookie's value for a client of this app. `None` without a key.
    pub fn seal(&self, app: &AppId, bound: Bound) -> Option<String> {
        let key = self.0.first()?;
        let mut bytes = [0; PAYLOAD + MAC];
        bytes[0] = FORMAT;
        bytes[1..9].copy_from_slice(&bound.release.to_be_bytes());
        bytes[9..17].copy_from_slice(&bound.tag.to_be_bytes());
        let mac = keyed(key, app, &bytes[..PAYLOAD]).finalize().into_bytes();
        bytes[PAYLOAD..].copy_from_slice(&mac[..MAC]);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a cookie's value says, if one of the keys sealed it for this app.
    pub fn open(&self, app: &AppId, value: &str) -> Option<Bound> {
        let mut bytes = [0; PAYLOAD + MAC];
        let length = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        if length != bytes.len() || bytes[0] != FORMAT {
            return None;
        }
        let (payload, mac) = bytes.split_at(PAYLOAD);
        self.0.iter().find(|key| keyed(key, app, payload).verify_truncated_left(mac).is_ok())?;
        let number = |from: usize| payload.get(from..from + 8)?.try_into().ok().map(u64::from_be_bytes);
        Some(Bound { release: number(1)?, tag: number(9)? })
    }

    /// The binding in a request's `Cookie` fields, if one of them holds a good one.
    pub fn find<'h>(&self, app: &AppId, name: &str, fields: impl Iterator<Item = &'h [u8]>) -> Option<Bound> {
        fields
            .flat_map(pairs)
            .filter(|(found, _)| *found == name.as_bytes())
            .take(COOKIES_TRIED)
            .find_map(|(_, value)| self.open(app, std::str::from_utf8(value).ok()?))
    }
}

/// A cookie of one app is nothing to another: the app is part of what is signed.
fn keyed(key: &Hmac<Sha256>, app: &AppId, payload: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(app.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(payload);
    mac
}

/// The pairs of a `Cookie` field (RFC 6265 section 5.4); a name is matched exactly, never as a part.
fn pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').map(|pair| {
        let pair = pair.trim_ascii();
        match pair.iter().position(|byte| *byte == b'=') {
            Some(equals) => (pair[..equals].trim_ascii_end(), pair[equals + 1..].trim_ascii_start()),
            None => (&b""[..], pair),
        }
    })
}

/// What the app gets to see of a `Cookie` field. `None`: it holds no cookie of ours and stays as it is.
pub fn without_ours(field: &[u8]) -> Option<Vec<u8>> {
    let ours = |name: &[u8]| name == COOKIE.as_bytes() || name == COOKIE_SECURE.as_bytes();
    if !pairs(field).any(|(name, _)| ours(name)) {
        return None;
    }
    // What is kept stays as it was, so that the field cannot grow.
    let kept = field.split(|byte| *byte == b';');
    let kept = kept.filter(|pair| !pair.trim_ascii().is_empty() && !pairs(pair).any(|(name, _)| ours(name)));
    let mut whole = Vec::with_capacity(field.len());
    for pair in kept {
        if !whole.is_empty() {
            whole.push(b';');
        }
        whole.extend_from_slice(if whole.is_empty() { pair.trim_ascii_start() } else { pair });
    }
    whole.truncate(whole.trim_ascii_end().len());
    Some(whole)
}

/// The `Set-Cookie` field that binds a client.
pub fn set_cookie(value: &str, secure: bool) -> String {
    if secure {
        format!("{COOKIE_SECURE}={value}; Path=/; HttpOnly; Secure; SameSite=Lax")
    } else {
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax")
    }
}
