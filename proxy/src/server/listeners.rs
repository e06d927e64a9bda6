//! The listeners: bound as the settings name them, or taken over.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use karman_contract::status::Bound;
use tokio::net::TcpListener;

use super::{StartError, failed};
use crate::admin::Admin;
use crate::handover::{Inherited, LISTEN_HTTP, LISTEN_HTTPS, PROBE_ADDRESS};
use crate::listener::{self, Door};

/// The listeners of clients, and the one for probes.
pub(super) type Listeners = (Arc<Admin>, Vec<Door>, Option<TcpListener>);

/// Binds what the settings name, or takes it over where the running proxy has bound the same.
pub(super) fn bind(mut admin: Admin, inherited: Option<&Inherited>) -> Result<Listeners, StartError> {
    let settings = &admin.edge.settings;
    let one = |name: &str, address: SocketAddr| {
        let bound = match inherited.and_then(|inherited| inherited.listener(name, address)) {
            Some(listener) => listener.and_then(TcpListener::from_std),
            None => listener::bind(address),
        };
        bound.map_err(failed(format!("listen at {address}, named by '{name}'")))
    };
    let all = |name: &'static str, addresses: &[SocketAddr]| {
        addresses.iter().map(|address| one(name, *address)).collect::<Result<Vec<_>, _>>()
    };
    let (http, https) = (all(LISTEN_HTTP, &settings.listen.http)?, all(LISTEN_HTTPS, &settings.listen.https)?);
    let probe = settings.probe.address.map(|address| one(PROBE_ADDRESS, address)).transpose()?;
    let text = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    if let Some(address) = https.first().and_then(|listener| listener.local_addr().ok()) {
        let _ = admin.edge.https_port.set(address.port());
    }
    let texts = |listeners: &[TcpListener]| listeners.iter().map(text).collect();
    admin.bound = Bound { http: texts(&http), https: texts(&https), probe: probe.as_ref().map(text) };
    let door = |(listener, is_https)| Door::new(listener, is_https).map_err(failed("wait at a listener"));
    let listeners = http.into_iter().map(|http| (http, false)).chain(https.into_iter().map(|https| (https, true)));
    Ok((Arc::new(admin), listeners.map(door).collect::<Result<_, _>>()?, probe))
}

/// A second handle on the same socket: one to accept from, one to hand over.
pub(super) fn duplicate(listener: Option<&TcpListener>) -> Result<Option<TcpListener>, StartError> {
    let duplicate = |listener: &TcpListener| {
        let fd = listener.as_fd().try_clone_to_owned()?;
        TcpListener::from_std(std::net::TcpListener::from(fd))
    };
    listener.map(duplicate).transpose().map_err(failed("duplicate a listener"))
}
