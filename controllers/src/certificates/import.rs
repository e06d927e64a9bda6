//! Certificates of another proxy, found in the layout in which it keeps them, so that a fleet can move in before its DNS does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

mod caddy;
mod certbot;
#[cfg(test)]
mod tests;
mod traefik;

/// A chain and a key that lay together, not checked yet.
pub struct Found {
    /// Where they lay, for messages.
    pub place: String,
    pub chain: String,
    pub key: String,
}

/// What a look at a folder brought.
#[derive(Default)]
pub struct Harvest {
    pub found: Vec<Found>,
    /// What looked like a certificate and could not be read, and why.
    pub unreadable: Vec<String>,
}

/// A larger file than this holds no certificate; Traefik has all of them in one.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the layout of certbot (`live/`), Caddy (`certificates/`) or Traefik (`acme.json`), whichever is there.
pub fn read(dir: &Path) -> Result<Harvest, Failure> {
    // Its certificates lie in a folder of the same name as Caddy's.
    if dir.join("apps").is_dir() {
        let dir = dir.display();
        return Err(Failure::usage(format!("{dir}: a store of Karman's own; 'karman backup' and 'karman restore' move one")));
    }
    let traefik = if dir.is_file() { dir.to_owned() } else { dir.join("acme.json") };
    let mut harvest = Harvest::default();
    let is_known = if traefik.is_file() {
        traefik::read(&traefik, &mut harvest);
        true
    } else if dir.join("live").is_dir() {
        certbot::read(&dir.join("live"), &mut harvest);
        true
    } else if dir.join("certificates").is_dir() {
        caddy::read(&dir.join("certificates"), &mut harvest);
        true
    } else {
        false
    };
    if is_known {
        return Ok(harvest);
    }
    Err(Failure::usage(format!(
        "{}: no layout that is known here: certbot has live/NAME/fullchain.pem (/etc/letsencrypt), \
         Caddy certificates/CA/NAME/NAME.crt (its data folder), Traefik acme.json",
        dir.display()
    )))
}

impl Harvest {
    fn take(&mut self, chain: &Path, key: &Path) {
        match (text_of(chain), text_of(key)) {
            (Ok(chain_text), Ok(key)) => {
                self.found.push(Found { place: chain.display().to_string(), chain: chain_text, key });
            }
            (chain, key) => self.unreadable.extend([chain.err(), key.err()].into_iter().flatten()),
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let why = |why: String| format!("{}: {why}", path.display());
    let length = fs::metadata(path).map_err(|error| why(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(why(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| why(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| why("it is not text: PEM is wanted, not DER".to_owned()))
}

/// The folders in a folder, in the order of their names.
fn folders_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
