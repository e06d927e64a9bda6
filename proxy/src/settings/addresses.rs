//! The addresses that the process listens on, and that no two of them are the same.

use std::net::SocketAddr;

use karman_contract::read::{At, Place, Read, Reason, quoted};

use super::read::{Net, nets};
use super::{Listen, Probe, ProxyProtocol};

/// `listen` as it is read: an address that is wrong is left out, the others are still compared.
pub(super) struct Listening {
    http: Vec<Address>,
    https: Vec<Address>,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Read for Listening {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let http = fields.or::<Vec<Address>>(reasons, "http", Vec::new());
        let https = fields.or::<Vec<Address>>(reasons, "https", Vec::new());
        let proxy_protocol = fields.optional(reasons, "proxy_protocol");
        fields.finish(reasons);
        let (http, https) = (http?, https?);
        if http.is_empty() && https.is_empty() {
            at.refuse(reasons, "found no address, wanted at least one under 'http' or 'https'");
        }
        Some(Self { http, https, proxy_protocol: proxy_protocol? })
    }
}

impl Listening {
    pub(super) fn ready(self) -> Option<Listen> {
        let ready = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.socket).collect::<Option<_>>();
        Some(Listen { http: ready(self.http)?, https: ready(self.https)?, proxy_protocol: self.proxy_protocol })
    }
}

impl Read for ProxyProtocol {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let from = fields.required::<Vec<Net>>(reasons, "from");
        fields.finish(reasons);
        let from = nets(from?);
        if from.is_empty() {
            at.refuse(reasons, "found no network under 'from': every connection would be refused");
        }
        Some(Self { from })
    }
}

pub(super) struct Probing {
    address: Option<Address>,
}

impl Read for Probing {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let address = fields.optional(reasons, "address");
        fields.finish(reasons);
        Some(Self { address: address? })
    }
}

impl Probing {
    pub(super) fn ready(self) -> Option<Probe> {
        match self.address {
            Some(address) => Some(Probe { address: Some(address.socket?) }),
            None => Some(Probe { address: None }),
        }
    }
}

/// The second of two listeners on one address could not be bound: better said here, with the line.
pub(super) fn refuse_address_twice(listen: Option<&Listening>, probe: Option<&Probing>, reasons: &mut Vec<Reason>) {
    let mut addresses: Vec<(String, &Address)> = Vec::new();
    if let Some(listen) = listen {
        addresses.extend(listen.http.iter().enumerate().map(|(i, address)| (format!("listen.http[{i}]"), address)));
        addresses.extend(listen.https.iter().enumerate().map(|(i, address)| (format!("listen.https[{i}]"), address)));
    }
    addresses.extend(probe.and_then(|probe| probe.address.as_ref()).map(|address| ("probe.address".to_owned(), address)));

    for (index, (at, address)) in addresses.iter().enumerate() {
        let taken = addresses.iter().take(index).find(|(_, earlier)| overlap(earlier.socket, address.socket));
        if let (Some((earlier, _)), Some(socket)) = (taken, address.socket) {
            let why = format!("{socket} is taken by {earlier}");
            reasons.push(Reason { at: at.clone(), why, place: address.place });
        }
    }
}

/// Whether both cannot be bound at once. `[::]` and `0.0.0.0` may get along: that is the system's to say.
fn overlap(one: Option<SocketAddr>, other: Option<SocketAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let same_family = one.is_ipv4() == other.is_ipv4();
    let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_family && same_ip
}

/// `None` where a reason was given already.
struct Address {
    socket: Option<SocketAddr>,
    place: Option<Place>,
}

impl Read for Address {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let wanted = "an IP address and a port, such as '0.0.0.0:8080' or '[::]:8080'";
        let socket = at.string(reasons, wanted).and_then(|text| {
            let refuse = |_| at.refuse(reasons, format!("found {}, wanted {wanted}", quoted(text)));
            text.parse().map_err(refuse).ok()
        });
        Some(Self { socket, place: at.node().place })
    }
}
