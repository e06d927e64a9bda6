//! The four documents that are pushed into a proxy, whole or by delta, and their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::app::{App, words};
use crate::name::{AppId, ContentHash, HostPattern};
use crate::read::{At, Fields, Node, Read, Reason, quoted};

words! {
    /// Which of the four documents.
    #[derive(PartialOrd, Ord)]
    DocumentName { Apps "apps", Pages "pages", Certificates "certificates", Keys "keys", }
}

impl Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place of a document in the order of its kind; it never goes back.
///
/// The epoch is the time in seconds at which the store was made, the generation the store's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    pub epoch: u64,
    pub generation: u64,
}

impl Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} generation {}", self.epoch, self.generation)
    }
}

/// What a document is a map of.
pub trait Item: Clone + PartialEq + Serialize + Send + Sync + 'static {
    type Key: Clone + Ord + FromStr<Err: Display> + Display + Serialize + Send + Sync + 'static;

    const DOCUMENT: DocumentName;

    fn read(key: &Self::Key, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self>;
}

impl Item for App {
    type Key = AppId;

    const DOCUMENT: DocumentName = DocumentName::Apps;

    fn read(id: &AppId, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        Self::read(id, at, reasons)
    }
}

/// A whole document: `{"epoch":0,"generation":42,"apps":{...}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<I: Item> {
    pub stamp: Stamp,
    pub items: BTreeMap<I::Key, I>,
    /// Goes through the guard against mass removal; not part of the content.
    pub force: bool,
}

/// A change on top of one generation: `{"epoch":0,"generation":43,"base":42,"put":{...},"remove":[...]}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<I: Item> {
    pub stamp: Stamp,
    /// The generation, of the same epoch, that this delta changes.
    pub base: u64,
    pub put: BTreeMap<I::Key, I>,
    pub remove: BTreeSet<I::Key>,
    pub force: bool,
}

pub type AppsDocument = Document<App>;
pub type AppsDelta = Delta<App>;
pub type PagesDocument = Document<Page>;
pub type PagesDelta = Delta<Page>;

impl<I: Item> Document<I> {
    pub fn new(stamp: Stamp, items: BTreeMap<I::Key, I>) -> Self {
        Self { stamp, items, force: false }
    }

    /// SHA-256, in hex, over the canonical form: keys sorted, defaults filled in, no white space.
    pub fn hash(&self) -> String {
        hash_items::<I>(self.stamp, self.items.iter())
    }

    /// Writes the canonical form.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        write_items::<I>(&mut text, self.stamp, self.items.iter());
        String::from_utf8(text).unwrap_or_default()
    }
}

impl<I: Item> Read for Document<I> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let force = fields.or(reasons, "force", false);
        let items = match fields.field(I::DOCUMENT.as_str()) {
            Some(at) => at.map_with(reasons, I::read),
            None => {
                at.refuse(reasons, format!("the field '{}' is required", I::DOCUMENT));
                None
            }
        };
        fields.finish(reasons);
        Some(Self { stamp: stamp?, items: items?, force: force? })
    }
}

impl<I: Item> Read for Delta<I> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let base = fields.required::<u64>(reasons, "base");
        let force = fields.or(reasons, "force", false);
        let put = match fields.field("put") {
            Some(at) => at.map_with(reasons, I::read),
            None => Some(BTreeMap::new()),
        };
        let remove = match fields.field("remove") {
            Some(at) => at.list::<KeyOf<I>>(reasons),
            None => Some(Vec::new()),
        };
        fields.finish(reasons);
        let (stamp, base, put, remove) = (stamp?, base?, put?, remove?);
        if stamp.generation <= base {
            at.refuse(
                reasons,
                format!("found generation {} on base {base}, wanted a higher generation than its base", stamp.generation),
            );
        }
        let remove: BTreeSet<_> = remove.into_iter().map(|key| key.0).collect();
        for key in remove.iter().filter(|key| put.contains_key(key)) {
            at.refuse(reasons, format!("{} stands in 'put' and in 'remove'", quoted(&key.to_string())));
        }
        Some(Self { stamp, base, put, remove, force: force? })
    }
}

impl<I: Item> Serialize for Delta<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Delta", 6)?;
        fields.serialize_field("base", &self.base)?;
        fields.serialize_field("epoch", &self.stamp.epoch)?;
        fields.serialize_field("force", &self.force)?;
        fields.serialize_field("generation", &self.stamp.generation)?;
        fields.serialize_field("put", &self.put)?;
        fields.serialize_field("remove", &self.remove)?;
        fields.end()
    }
}

fn read_stamp(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<Stamp> {
    let epoch = fields.or(reasons, "epoch", 0);
    let generation = fields.required(reasons, "generation");
    Some(Stamp { epoch: epoch?, generation: generation? })
}

struct KeyOf<I: Item>(I::Key);

impl<I: Item> Read for KeyOf<I> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.parse(reasons, "a key").map(Self)
    }
}

/// Writes the canonical form of a document whose items come one by one, in the order of their keys.
pub fn write_items<'a, I: Item>(
    out: &mut (impl std::io::Write + ?Sized),
    stamp: Stamp,
    items: impl Iterator<Item = (&'a I::Key, &'a I)>,
) {
    struct Items<T>(std::cell::Cell<Option<T>>);

    impl<'a, I: Item, T: Iterator<Item = (&'a I::Key, &'a I)>> Serialize for Items<(T, std::marker::PhantomData<I>)> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.take().into_iter().flat_map(|(items, _)| items))
        }
    }

    // A sink that cannot fail and values that always serialize: nothing to report.
    let items = Items(std::cell::Cell::new(Some((items, std::marker::PhantomData::<I>))));
    let mut fields = [(I::DOCUMENT.as_str(), None), ("epoch", Some(stamp.epoch)), ("generation", Some(stamp.generation))];
    fields.sort_unstable_by_key(|(name, _)| *name);
    let mut separator = '{';
    for (name, number) in fields {
        let _ = write!(out, "{separator}\"{name}\":");
        let _ = match number {
            Some(number) => write!(out, "{number}"),
            None => serde_json::to_writer(&mut *out, &items).map_err(Into::into),
        };
        separator = ',';
    }
    let _ = write!(out, "}}");
}

/// The hash of a document whose items come one by one, in the order of their keys.
pub fn hash_items<'a, I: Item>(stamp: Stamp, items: impl Iterator<Item = (&'a I::Key, &'a I)>) -> String {
    // serde_json writes in tiny pieces; the hash wants large ones.
    let mut sink = std::io::BufWriter::with_capacity(64 * 1024, Hashing(Sha256::new()));
    write_items::<I>(&mut sink, stamp, items);
    match sink.into_inner() {
        Ok(Hashing(hash)) => hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    }
}

struct Hashing(Sha256);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An owner's or the platform's own page, by the hash of its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Page(pub String);

/// The largest page.
pub const PAGE_BYTES_MAX: usize = 65_536;

impl Item for Page {
    type Key = ContentHash;

    const DOCUMENT: DocumentName = DocumentName::Pages;

    fn read(hash: &ContentHash, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let text = at.string(reasons, "the text of a page")?;
        if text.len() > PAGE_BYTES_MAX {
            at.refuse(reasons, format!("found {} bytes, wanted at most {PAGE_BYTES_MAX}", text.len()));
            return None;
        }
        let found = ContentHash::of(text.as_bytes());
        if found != *hash {
            at.refuse(reasons, format!("the text has the hash {found}"));
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

/// The certificate document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificatesDocument {
    /// Thumbprints of the ACME accounts whose http-01 challenges any edge may answer.
    pub accounts: Vec<String>,
    pub certificates: BTreeMap<String, Certificate>,
    pub challenges: Challenges,
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// A chain, leaf first, with its key, for the names it is served for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    pub chain: String,
    pub key: Secret,
    pub names: Vec<HostPattern>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Challenges {
    pub alpn: BTreeMap<String, ChallengeCertificate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChallengeCertificate {
    pub chain: String,
    pub key: Secret,
}

/// A change of the certificate document.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificatesDelta {
    pub stamp: Stamp,
    pub base: u64,
    pub put: BTreeMap<String, Certificate>,
    pub remove: BTreeSet<String>,
    pub accounts: Option<Vec<String>>,
    pub challenges: Option<Challenges>,
    pub force: bool,
}

/// Text that a Debug never shows.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Read for Secret {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        // The found text may be a key: a reason never repeats it.
        match &at.node().value {
            crate::read::Value::String(text) => Some(Self(text.clone())),
            _ => {
                at.refuse(reasons, "wanted a private key in PEM");
                None
            }
        }
    }
}

impl Read for Certificate {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let chain = fields.required(reasons, "chain");
        let key = fields.required(reasons, "key");
        let names = fields.required(reasons, "names");
        fields.finish(reasons);
        Some(Self { chain: chain?, key: key?, names: names? })
    }
}

impl Read for ChallengeCertificate {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let chain = fields.required(reasons, "chain");
        let key = fields.required(reasons, "key");
        fields.finish(reasons);
        Some(Self { chain: chain?, key: key? })
    }
}

impl Read for Challenges {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let alpn = match fields.field("alpn") {
            Some(at) => at.map(reasons),
            None => Some(BTreeMap::new()),
        };
        fields.finish(reasons);
        Some(Self { alpn: alpn? })
    }
}

impl Read for CertificatesDocument {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let accounts = fields.or(reasons, "accounts", Vec::new());
        let certificates = fields.field("certificates").map_or_else(|| Some(BTreeMap::new()), |at| at.map(reasons));
        let challenges = fields.or(reasons, "challenges", Challenges::default());
        let force = fields.or(reasons, "force", false);
        fields.finish(reasons);
        force?;
        Some(Self { accounts: accounts?, certificates: certificates?, challenges: challenges?, stamp: stamp? })
    }
}

impl Read for CertificatesDelta {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let base = fields.required(reasons, "base");
        let put = fields.field("put").map_or_else(|| Some(BTreeMap::new()), |at| at.map(reasons));
        let remove = fields.or(reasons, "remove", Vec::new());
        let accounts = fields.optional(reasons, "accounts");
        let challenges = fields.optional(reasons, "challenges");
        let force = fields.or(reasons, "force", false);
        fields.finish(reasons);
        Some(Self {
            stamp: stamp?,
            base: base?,
            put: put?,
            remove: remove?.into_iter().collect(),
            accounts: accounts?,
            challenges: challenges?,
            force: force?,
        })
    }
}

/// The secrets that every node of an edge shares: the first of each list signs, all verify.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeysDocument {
    /// Sign the sticky cookie.
    pub cookie: Vec<SecretKey>,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Encrypt TLS session tickets.
    pub ticket: Vec<SecretKey>,
}

/// Random bytes, written in base64; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub Vec<u8>);

impl SecretKey {
    pub const BYTES_MIN: usize = 32;
    pub const BYTES_MAX: usize = 128;
}

/// The most keys of one kind: verifying tries them all.
pub const KEYS_MAX: usize = 8;

impl Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Read for SecretKey {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let wanted = || format!("wanted {} to {} random bytes in base64", Self::BYTES_MIN, Self::BYTES_MAX);
        let bytes = match &at.node().value {
            crate::read::Value::String(text) => STANDARD.decode(text).ok(),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len()));
        if bytes.is_none() {
            at.refuse(reasons, wanted());
        }
        bytes.map(Self)
    }
}

impl Read for KeysDocument {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let cookie = fields.required::<Vec<SecretKey>>(reasons, "cookie");
        let ticket = fields.or::<Vec<SecretKey>>(reasons, "ticket", Vec::new());
        fields.finish(reasons);
        let (cookie, ticket) = (cookie?, ticket?);
        if cookie.is_empty() {
            at.refuse(reasons, "'cookie' is empty, wanted at least one key");
        }
        for (name, keys) in [("cookie", &cookie), ("ticket", &ticket)] {
            if keys.len() > KEYS_MAX {
                at.refuse(reasons, format!("'{name}' has {} keys, wanted at most {KEYS_MAX}", keys.len()));
            }
        }
        Some(Self { cookie, stamp: stamp?, ticket })
    }
}

/// Reads a value from JSON text; for tests and for tools that hold a document in a string.
pub fn from_json<T: Read>(text: &str) -> Result<T, Vec<Reason>> {
    let node: Node = crate::read::parse_json(text.as_bytes())
        .map_err(|e| vec![Reason::new("", format!("line {} column {}: {}", e.line, e.column, e.why))])?;
    crate::read::read(&node)
}
