//! The fields of the documents, by their paths: what a proxy says that it knows, and a publisher may send it.
//!
//! Paths are those of a [`Reason`](crate::read::Reason), with `*` in place of an id, a name or an index.
//! A field with fields of its own is named by them alone. Stamps and the parts of a delta are not here:
//! no document can do without them.

/// What every proxy knows, also one of before proxies said what they know.
pub const FIRST: &[&str] = &[
    "accounts",
    "apps.*.deny.*.net",
    "apps.*.deny.*.until",
    "apps.*.deny.*.why",
    "apps.*.drain.sticky",
    "apps.*.drain.window_seconds",
    "apps.*.health.expect",
    "apps.*.health.interval_seconds",
    "apps.*.health.path",
    "apps.*.health.timeout_seconds",
    "apps.*.hosts",
    "apps.*.https",
    "apps.*.instances.*.address",
    "apps.*.instances.*.release",
    "apps.*.instances.*.state",
    "apps.*.limits.body_bytes",
    "apps.*.limits.connections",
    "apps.*.limits.queue",
    "apps.*.limits.queue_seconds",
    "apps.*.limits.requests_in_flight",
    "apps.*.limits.requests_per_second_per_client",
    "apps.*.limits.sockets",
    "apps.*.limits.sockets_per_second",
    "apps.*.limits.sockets_per_second_per_client",
    "apps.*.note.by",
    "apps.*.note.why",
    "apps.*.on_crash.hold_seconds",
    "apps.*.on_crash.then",
    "apps.*.owner",
    "apps.*.pages.*",
    "apps.*.sockjs.info",
    "apps.*.sockjs.prefix",
    "apps.*.state",
    "apps.*.sticky",
    "apps.*.timeouts.connect_seconds",
    "apps.*.timeouts.first_byte_seconds",
    "apps.*.timeouts.idle_seconds",
    "apps.*.timeouts.tunnel_idle_seconds",
    "apps.*.warm_seconds",
    "certificates.*.chain",
    "certificates.*.key",
    "certificates.*.names",
    "challenges.alpn.*.chain",
    "challenges.alpn.*.key",
    "cookie",
    "pages.*",
    "ticket",
];

/// What came later: the place for a field that is new.
///
/// The canonical form has such a field only where it says something else than its default. So the hash of
/// a document that does not use it is the same for the programs of before, whichever side they are on.
pub const LATER: &[&str] = &[];

/// Fields without which, and without those below them, an app is still what it should be: what people read, and what only
/// makes it faster or gentler. An app that uses another one which its proxy does not know keeps its last good version there.
pub const HARMLESS: &[&str] = &["apps.*.note", "apps.*.pages", "apps.*.sockjs.info", "apps.*.warm_seconds"];

/// Whether a proxy that does not know this field may be sent the app without it.
pub fn is_harmless(path: &str) -> bool {
    let is_below = |field: &str| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    HARMLESS.iter().any(|field| is_below(field))
}

/// All fields that this package reads.
pub fn all() -> impl Iterator<Item = &'static str> {
    FIRST.iter().chain(LATER).copied()
}
