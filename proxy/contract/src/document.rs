//! The four documents that are pushed into a proxy, whole or by delta, and their order.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;
use std::str::FromStr;

mod certificates;
mod keys;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

pub use certificates::{Acme, AcmeChange, Certificate, ChallengeCertificate, Challenges, Secret};
pub use keys::{KEYS_MAX, KeysDocument, SecretKey};

use crate::app::{App, words};
use crate::name::{AppId, ContentHash};
use crate::read::{Apart, At, Fields, Read, Reason, Unreadable, quoted, read_apart};

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
    /// What the document carries beside its items.
    type Beside: Beside;

    const DOCUMENT: DocumentName;

    fn read(key: &Self::Key, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self>;
}

/// The fields that a document has beside its items; `()` where it has none.
pub trait Beside: Clone + Debug + Default + PartialEq + Send + Sync + 'static {
    /// What a delta says of them. What it does not name stays as it is.
    type Change: Clone + Debug + Default + PartialEq + Send + Sync + 'static;

    fn read(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<Self>;

    fn read_change(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<Self::Change>;

    fn changed_by(&self, change: Self::Change) -> Self;

    /// The change that makes `next` of this.
    fn change_to(&self, next: &Self) -> Self::Change;

    /// The fields by name, as the canonical form has them.
    fn to_fields(&self) -> Vec<(&'static str, Json)>;

    /// The fields that the change names.
    fn change_to_fields(change: &Self::Change) -> Vec<(&'static str, Json)>;
}

impl Beside for () {
    type Change = ();

    fn read(_fields: &mut Fields<'_>, _reasons: &mut Vec<Reason>) -> Option<Self> {
        Some(())
    }

    fn read_change(_fields: &mut Fields<'_>, _reasons: &mut Vec<Reason>) -> Option<()> {
        Some(())
    }

    fn changed_by(&self, (): ()) -> Self {}

    fn change_to(&self, (): &()) {}

    fn to_fields(&self) -> Vec<(&'static str, Json)> {
        Vec::new()
    }

    fn change_to_fields((): &()) -> Vec<(&'static str, Json)> {
        Vec::new()
    }
}

impl Item for App {
    type Key = AppId;
    type Beside = ();

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
    pub beside: I::Beside,
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
    pub beside: <I::Beside as Beside>::Change,
    pub force: bool,
}

pub type AppsDocument = Document<App>;
pub type AppsDelta = Delta<App>;
pub type PagesDocument = Document<Page>;
pub type PagesDelta = Delta<Page>;
pub type CertificatesDocument = Document<Certificate>;
pub type CertificatesDelta = Delta<Certificate>;

impl<I: Item> Document<I> {
    pub fn new(stamp: Stamp, items: BTreeMap<I::Key, I>) -> Self {
        Self { stamp, items, beside: I::Beside::default(), force: false }
    }

    /// SHA-256, in hex, over the canonical form: keys sorted, defaults filled in, no white space.
    pub fn hash(&self) -> String {
        hash_items::<I>(self.stamp, self.beside.to_fields(), self.items.iter())
    }

    /// Writes the canonical form.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        write_items::<I>(&mut text, self.stamp, self.beside.to_fields(), self.items.iter());
        String::from_utf8(text).unwrap_or_default()
    }
}

impl<I: Item> Read for Document<I> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        Self::read_with(at, |at, reasons| at.map_with(reasons, I::read), reasons)
    }

    fn read_json(text: &[u8]) -> Result<Self, Unreadable> {
        let mut reasons = Vec::new();
        let Apart { rest, items } = read_apart(text, I::DOCUMENT.as_str(), I::read, &mut reasons)?;
        let read_items = |at: &At<'_>, reasons: &mut Vec<Reason>| match items {
            Some(items) => items,
            // It is no map, and the tree says what it is.
            None => at.map_with(reasons, I::read),
        };
        match Self::read_with(&At::root(&rest), read_items, &mut reasons) {
            Some(document) if reasons.is_empty() => Ok(document),
            _ => Err(Unreadable::Refused(reasons)),
        }
    }
}

impl<I: Item> Document<I> {
    fn read_with(
        at: &At<'_>,
        read_items: impl FnOnce(&At<'_>, &mut Vec<Reason>) -> Option<BTreeMap<I::Key, I>>,
        reasons: &mut Vec<Reason>,
    ) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let force = fields.or(reasons, "force", false);
        let items = match fields.field(I::DOCUMENT.as_str()) {
            Some(at) => read_items(&at, reasons),
            None => {
                at.refuse(reasons, format!("the field '{}' is required", I::DOCUMENT));
                None
            }
        };
        let beside = I::Beside::read(&mut fields, reasons);
        fields.finish(reasons);
        Some(Self { stamp: stamp?, items: items?, beside: beside?, force: force? })
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
        let beside = I::Beside::read_change(&mut fields, reasons);
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
        Some(Self { stamp, base, put, remove, beside: beside?, force: force? })
    }
}

impl<I: Item> Serialize for Delta<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("base", &self.base)?;
        fields.serialize_entry("epoch", &self.stamp.epoch)?;
        fields.serialize_entry("force", &self.force)?;
        fields.serialize_entry("generation", &self.stamp.generation)?;
        fields.serialize_entry("put", &self.put)?;
        fields.serialize_entry("remove", &self.remove)?;
        for (name, value) in I::Beside::change_to_fields(&self.beside) {
            fields.serialize_entry(name, &value)?;
        }
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

/// Writes the canonical form of a document whose items come one by one, in the order of their keys. `beside` are the
/// fields that it carries beside them.
pub fn write_items<'a, I: Item>(
    out: &mut (impl std::io::Write + ?Sized),
    stamp: Stamp,
    beside: Vec<(&'static str, Json)>,
    items: impl Iterator<Item = (&'a I::Key, impl Serialize)>,
) {
    struct Items<I, T>(Cell<Option<T>>, PhantomData<I>);

    impl<'a, I: Item, B: Serialize, T: Iterator<Item = (&'a I::Key, B)>> Serialize for Items<I, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut entries = serializer.serialize_map(None)?;
            for (key, item) in self.0.take().into_iter().flatten() {
                entries.serialize_entry(key, &item)?;
            }
            entries.end()
        }
    }

    // A sink that cannot fail and values that always serialize: nothing to report.
    let items = Items(Cell::new(Some(items)), PhantomData::<I>);
    let mut fields = vec![(I::DOCUMENT.as_str(), None)];
    fields.extend([("epoch", stamp.epoch), ("generation", stamp.generation)].map(|(name, number)| (name, Some(number.into()))));
    fields.extend(beside.into_iter().map(|(name, value)| (name, Some(value))));
    fields.sort_unstable_by_key(|(name, _): &(_, Option<Json>)| *name);
    let mut separator = '{';
    for (name, value) in fields {
        let _ = write!(out, "{separator}\"{name}\":");
        let _ = match value {
            Some(value) => write!(out, "{value}"),
            None => serde_json::to_writer(&mut *out, &items).map_err(Into::into),
        };
        separator = ',';
    }
    let _ = write!(out, "}}");
}

/// The hash of a document whose items come one by one, in the order of their keys.
pub fn hash_items<'a, I: Item>(
    stamp: Stamp,
    beside: Vec<(&'static str, Json)>,
    items: impl Iterator<Item = (&'a I::Key, impl Serialize)>,
) -> String {
    // serde_json writes in tiny pieces; the hash wants large ones.
    let mut sink = std::io::BufWriter::with_capacity(64 * 1024, Hashing(Sha256::new()));
    write_items::<I>(&mut sink, stamp, beside, items);
    match sink.into_inner() {
        Ok(Hashing(hash)) => in_hex(hash),
        Err(_) => String::new(),
    }
}

/// The hash of a document whose canonical form is this text.
pub fn hash_text(canonical: &str) -> String {
    in_hex(Sha256::new_with_prefix(canonical))
}

fn in_hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
    type Beside = ();

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

/// Reads a value from JSON text; for tests and for tools that hold a document in a string.
pub fn from_json<T: Read>(text: &str) -> Result<T, Vec<Reason>> {
    Ok(T::read_json(text.as_bytes())?)
}
