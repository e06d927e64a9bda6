//! Where an etcd cluster is: `etcd://[user@]host:port[,host:port][/prefix]`, or `etcds://` with TLS.

use std::env;
use std::fmt::{self, Display};
use std::fs;

use etcd_client::{Certificate, Identity, TlsOptions};

/// A path below which everything of ours stands.
const PREFIX: &str = "karman";

#[derive(Clone)]
pub struct Address {
    pub(super) endpoints: Vec<String>,
    pub(super) prefix: String,
    /// The name and the password, which comes from the environment: arguments are seen by all users.
    pub(super) user: Option<(String, String)>,
    pub(super) tls: Option<TlsOptions>,
}

impl Address {
    /// Reads what follows `etcd://` (or, with TLS, `etcds://`). Password and files of TLS come from
    /// `KARMAN_ETCD_PASSWORD`, `KARMAN_ETCD_CA`, `KARMAN_ETCD_CERT` and `KARMAN_ETCD_KEY`.
    pub fn parse(rest: &str, is_tls: bool) -> Result<Self, String> {
        let wanted = "wanted etcd://host:port[,host:port][/prefix]";
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err("a password is not for the command line: put it into KARMAN_ETCD_PASSWORD".to_owned());
            }
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let is_host = |host: &str| {
            host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
        };
        if let Some(wrong) = hosts.split(',').find(|host| !is_host(host)) {
            return Err(format!("found '{}', {wanted}", wrong.escape_debug()));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) {
            return Err(format!("found the prefix '{}', wanted letters, digits and '-', '_', '.', '/'", prefix.escape_debug()));
        }
        let scheme = if is_tls { "https" } else { "http" };
        let user = match user {
            Some(user) => {
                let password =
                    env::var("KARMAN_ETCD_PASSWORD").map_err(|_| "KARMAN_ETCD_PASSWORD holds no password".to_owned())?;
                Some((user.to_owned(), password))
            }
            None => None,
        };
        Ok(Self {
            endpoints: hosts.split(',').map(|host| format!("{scheme}://{host}")).collect(),
            prefix: format!("/{prefix}"),
            user,
            tls: is_tls.then(tls).transpose()?,
        })
    }
}

fn tls() -> Result<TlsOptions, String> {
    let mut options = TlsOptions::new();
    if let Some(ca) = file("KARMAN_ETCD_CA")? {
        options = options.ca_certificate(Certificate::from_pem(ca));
    }
    match (file("KARMAN_ETCD_CERT")?, file("KARMAN_ETCD_KEY")?) {
        (Some(certificate), Some(key)) => Ok(options.identity(Identity::from_pem(certificate, key))),
        (None, None) => Ok(options),
        _ => Err("KARMAN_ETCD_CERT and KARMAN_ETCD_KEY go together: one of them is missing".to_owned()),
    }
}

fn file(variable: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = env::var_os(variable) else { return Ok(None) };
    fs::read(&path).map(Some).map_err(|error| format!("{variable}: {}: {error}", path.display()))
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "etcds" } else { "etcd" };
        let hosts = self.endpoints.iter().filter_map(|endpoint| endpoint.split("://").nth(1));
        write!(f, "{scheme}://{}{}", hosts.collect::<Vec<_>>().join(","), self.prefix)
    }
}
