//! How each section of `edge.yaml` is read.

use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use ipnet::IpNet;
use karman_contract::app::read_net;
use karman_contract::read::{At, Fields, Node, Read, Reason, Value, quoted};
use tracing::Level;

use super::addresses::{Listening, Probing, refuse_address_twice};
use super::{Admin, Edge, Log, Settings, State};
use crate::access_log::Destination;

const THREADS_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 128;
/// What fits into a `sockaddr_un` with its closing NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

impl Read for Settings {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let edge = section(&mut fields, reasons, "edge");
        let listen = fields.required::<Listening>(reasons, "listen");
        let trusted_proxies = fields.or::<Vec<Net>>(reasons, "trusted_proxies", Vec::new());
        let admin = section(&mut fields, reasons, "admin");
        let probe = section::<Probing>(&mut fields, reasons, "probe");
        let state = section(&mut fields, reasons, "state");
        let threads = threads(&mut fields, reasons);
        let log = section(&mut fields, reasons, "log");
        let show_instance = fields.or(reasons, "show_instance", false);
        let limits = section(&mut fields, reasons, "limits");
        fields.finish(reasons);

        refuse_address_twice(listen.as_ref(), probe.as_ref(), reasons);
        Some(Self {
            edge: edge?,
            listen: listen?.ready()?,
            trusted_proxies: nets(trusted_proxies?),
            admin: admin?,
            probe: probe?.ready()?,
            state: state?,
            threads: threads?,
            log: log?,
            show_instance: show_instance?,
            limits: limits?,
        })
    }
}

/// Reads a section; an absent one is an empty one, so that its defaults stand in one place.
fn section<T: Read>(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>, name: &'static str) -> Option<T> {
    let absent = Node { value: Value::Map(Vec::new()), place: None };
    match fields.field(name) {
        Some(at) => T::read(&at, reasons),
        None => T::read(&At::root(&absent), reasons),
    }
}

fn threads(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<usize> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let threads = fields.integer(reasons, "threads", cores as u64, 1, THREADS_MAX as u64)?;
    usize::try_from(threads).ok()
}

impl Read for Edge {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let name = match fields.field("name") {
            Some(at) => Name::read(&at, reasons),
            None => {
                let host = host_name().parse();
                host.map_err(|e| at.refuse(reasons, format!("edge.name is required, the host's name will not do: {e}"))).ok()
            }
        };
        let region = fields.or(reasons, "region", Name("local".to_owned()));
        fields.finish(reasons);
        Some(Self { name: name?.0, region: region?.0 })
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Read for Admin {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let socket = fields.or(reasons, "socket", SocketPath("run/admin.sock".into()));
        fields.finish(reasons);
        Some(Self { socket: socket?.0 })
    }
}

impl Read for State {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let dir = fields.field("dir").map_or_else(|| Some("data/edge".into()), |at| path(&at, reasons));
        fields.finish(reasons);
        Some(Self { dir: dir? })
    }
}

impl Read for Log {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let mut fields = at.fields(reasons)?;
        let access = fields.field("access").map_or(Some(Destination::Stdout), |at| destination(&at, reasons));
        let level = fields.field("level").map_or(Some(Level::INFO), |at| at.word(reasons, &levels));
        fields.finish(reasons);
        Some(Self { access: access?, level: level? })
    }
}

fn destination(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Destination> {
    // Some editors and tools of YAML 1.1 turn a bare `off` into `false`.
    if at.node().value == Value::Bool(false) {
        return Some(Destination::Off);
    }
    match at.string(reasons, "stdout, off or a path")? {
        "off" => Some(Destination::Off),
        "stdout" => Some(Destination::Stdout),
        _ => path(at, reasons).map(Destination::File),
    }
}

pub(super) struct Net(IpNet);

impl Read for Net {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        read_net(at, reasons).map(Self)
    }
}

pub(super) fn nets(nets: Vec<Net>) -> Vec<IpNet> {
    nets.into_iter().map(|net| net.0).collect()
}

/// The name of an edge or a region: it stands in logs, events and the names of files.
struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("found {}, wanted 1 to {NAME_BYTES_MAX} of A-Z, a-z, 0-9, '.', '_' and '-'", quoted(text)))
    }
}

impl Read for Name {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.parse(reasons, "a name")
    }
}

struct SocketPath(PathBuf);

impl Read for SocketPath {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let path = path(at, reasons)?;
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_BYTES_MAX {
            at.refuse(
                reasons,
                format!("found {length} bytes, wanted at most {SOCKET_PATH_BYTES_MAX}: no socket has a longer path"),
            );
            return None;
        }
        Some(Self(path))
    }
}

fn path(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<PathBuf> {
    let text = at.string(reasons, "a path")?;
    if text.is_empty() || text.contains('\0') {
        at.refuse(reasons, format!("found {}, wanted a path", quoted(text)));
        return None;
    }
    Some(text.into())
}
