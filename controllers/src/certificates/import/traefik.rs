//! Traefik: one `acme.json` with all certificates of all resolvers, each PEM in base64 once more.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Found, Harvest, text_of};

#[derive(Deserialize)]
struct Resolver {
    #[serde(rename = "Certificates", default)]
    certificates: Option<Vec<Stored>>,
}

#[derive(Deserialize)]
struct Stored {
    domain: Domain,
    certificate: String,
    key: String,
}

#[derive(Deserialize)]
struct Domain {
    main: String,
}

pub(super) fn read(path: &Path, harvest: &mut Harvest) {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(why) => return harvest.unreadable.push(why),
    };
    let resolvers: BTreeMap<String, Resolver> = match serde_json::from_str(&text) {
        Ok(resolvers) => resolvers,
        Err(error) => {
            // The error's own words could repeat a piece of a key.
            let (line, column) = (error.line(), error.column());
            return harvest.unreadable.push(format!("{}:{line}:{column}: not what Traefik writes", path.display()));
        }
    };
    for (resolver, stored) in resolvers {
        for Stored { domain, certificate, key } in stored.certificates.unwrap_or_default() {
            let place = format!("{}: {resolver}: {}", path.display(), domain.main);
            let [chain, key] = [certificate, key].map(|text| text_in(&text));
            match (chain, key) {
                (Some(chain), Some(key)) => harvest.found.push(Found { place, chain, key }),
                _ => harvest.unreadable.push(format!("{place}: wanted PEM in base64")),
            }
        }
    }
}

fn text_in(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()
}
