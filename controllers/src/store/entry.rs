//! One entry of the store, read once into what the controllers work with.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::app::{AppState, Deny, INSTANCES_MAX, Instance, read_net};
use karman_contract::document::{PAGE_BYTES_MAX, Page};
use karman_contract::name::{AppId, ContentHash, Host, InstanceId};
use karman_contract::read::{At, Node, Place, Read, Reason, Value, quoted};
use karman_contract::yaml::{FileMistakes, parse_yaml};

use super::{Key, Kind};
use crate::certificates::settings::Settings;
use crate::dns;
use crate::layer::{check_app, check_shared, field};

/// An entry that is well formed in itself.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file as messages name it, such as `apps/todos.yaml`.
    pub file: String,
    pub text: String,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Platform(Platform),
    /// Defaults or a plan: any field of an app but its hosts and instances.
    Layer(Node),
    App(AppFile),
    State(StateFile),
    Instances(BTreeMap<InstanceId, Instance>),
    /// Instances that are drained, and who wants that.
    Draining(BTreeMap<InstanceId, Word>),
    Page(ContentHash, Arc<Page>),
    Deny(DenyFile),
    /// What its controller alone reads.
    Other,
}

/// The settings of the controllers. It grows with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// The domain below which the platform's own names live.
    pub domain: Option<Host>,
    /// What the controller `certificates` goes by.
    pub certificates: Option<Settings>,
    /// The regions, and the zone that leads to them.
    pub dns: Option<dns::settings::Settings>,
}

/// An app as its operator wrote it, on top of the defaults and its plan.
#[derive(Clone, Debug)]
pub struct AppFile {
    pub plan: Option<PlanName>,
    /// The fields of the contract's app; well formed, and not complete without the layers below.
    pub fields: Node,
}

/// The plan that an app is on, and where its file says so.
#[derive(Clone, Debug)]
pub struct PlanName {
    pub name: String,
    pub place: Option<Place>,
}

/// A network that is kept from an app, or from all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct DenyFile {
    /// `None` keeps it from all apps.
    pub app: Option<AppId>,
    pub by: Option<String>,
    pub deny: Deny,
}

/// Who wants something, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word {
    pub by: Option<String>,
    pub why: Option<String>,
}

/// What a verb said about an app; it goes before what the app's own file says.
#[derive(Clone, Debug, PartialEq)]
pub struct StateFile {
    pub state: AppState,
    pub by: Option<String>,
    pub why: Option<String>,
    /// From then on this entry counts no more.
    pub until: Option<Timestamp>,
}

impl Entry {
    /// Reads the text of a file, or says everything that is wrong with it.
    pub fn read(key: &Key, file: &str, text: String) -> Result<Self, FileMistakes> {
        match Content::read(key, &text) {
            Ok(content) => Ok(Self { file: file.to_owned(), text, content }),
            Err(reasons) => Err(FileMistakes::new(file, text, reasons)),
        }
    }

    /// Mistakes that show only together with other entries, shown in this one's text.
    pub fn mistakes(&self, reasons: Vec<Reason>) -> FileMistakes {
        FileMistakes::new(&self.file, &self.text, reasons)
    }

    /// Whether both were read from the same file with the same text.
    pub fn same(&self, other: &Self) -> bool {
        self.file == other.file && self.text == other.text
    }

    pub fn app(&self) -> Option<&AppFile> {
        if let Content::App(app) = &self.content { Some(app) } else { None }
    }

    pub fn state(&self) -> Option<&StateFile> {
        if let Content::State(state) = &self.content { Some(state) } else { None }
    }

    pub fn deny(&self) -> Option<&DenyFile> {
        if let Content::Deny(deny) = &self.content { Some(deny) } else { None }
    }

    pub fn instances(&self) -> Option<&BTreeMap<InstanceId, Instance>> {
        if let Content::Instances(instances) = &self.content { Some(instances) } else { None }
    }

    pub fn draining(&self) -> Option<&BTreeMap<InstanceId, Word>> {
        if let Content::Draining(instances) = &self.content { Some(instances) } else { None }
    }

    pub fn page(&self) -> Option<(ContentHash, Arc<Page>)> {
        if let Content::Page(hash, page) = &self.content { Some((*hash, Arc::clone(page))) } else { None }
    }

    /// From when on this state counts no more.
    pub fn until(&self) -> Option<Timestamp> {
        self.state()?.until
    }

    pub fn plan(&self) -> Option<&PlanName> {
        self.app()?.plan.as_ref()
    }

    /// Whether an app's own file lists its instances.
    pub fn lists_instances(&self) -> bool {
        self.app().is_some_and(|app| field(&app.fields, "instances").is_some_and(|node| node.value != Value::Null))
    }

    /// The fields of an app that this entry sets, if it is a layer of one.
    pub fn layer(&self) -> Option<&Node> {
        match &self.content {
            Content::Layer(node) => Some(node),
            Content::App(app) => Some(&app.fields),
            _ => None,
        }
    }
}

impl Content {
    fn read(key: &Key, text: &str) -> Result<Self, Vec<Reason>> {
        if key.kind == Kind::Page {
            return read_page(text).map_err(|why| vec![Reason::new("", why)]);
        }
        let mut node = parse_yaml(text).map_err(|reason| vec![reason])?;
        let mut reasons = Vec::new();
        let is_named_freely = matches!(key.kind, Kind::Certificate | Kind::Order | Kind::Deny | Kind::Edge | Kind::Status);
        if !key.kind.is_single() && !is_named_freely && key.id.parse::<AppId>().is_err() {
            let why = format!("the file is named {}, wanted 1 to 63 of a-z, 0-9 and '-'", quoted(&key.id));
            reasons.push(Reason::new("", why));
        }
        let content = match key.kind {
            Kind::Platform => Platform::read(&At::root(&node), &mut reasons).map(Self::Platform),
            Kind::Defaults | Kind::Plan => {
                check_shared(&node, &mut reasons);
                Some(Self::Layer(node))
            }
            Kind::App => {
                let plan = take_plan(&mut node, &mut reasons);
                check_app(&node, &mut reasons);
                node.shrink_to_fit();
                Some(Self::App(AppFile { plan, fields: node }))
            }
            Kind::State => StateFile::read(&At::root(&node), &mut reasons).map(Self::State),
            Kind::Instances => read_instances(&At::root(&node), &mut reasons).map(Self::Instances),
            Kind::Draining => At::root(&node).map(&mut reasons).map(Self::Draining),
            Kind::Deny => DenyFile::read(&At::root(&node), &mut reasons).map(Self::Deny),
            Kind::Certificate | Kind::Order | Kind::Keys | Kind::Accepted | Kind::Edge | Kind::Status => Some(Self::Other),
            Kind::Page => None,
        };
        content.filter(|_| reasons.is_empty()).ok_or(reasons)
    }
}

impl Read for Platform {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let domain = fields.optional(reasons, "domain");
        let certificates = fields.optional(reasons, "certificates");
        let dns = fields.optional(reasons, "dns");
        fields.finish(reasons);
        Some(Self { domain: domain?, certificates: certificates?, dns: dns? })
    }
}

impl Read for DenyFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let app = fields.optional(reasons, "app");
        let net = match fields.field("net") {
            Some(at) => read_net(&at, reasons),
            None => {
                at.refuse(reasons, "the field 'net' is required");
                None
            }
        };
        let until = read_until(&fields.field("until"), reasons);
        let by = fields.optional(reasons, "by");
        let why = fields.optional(reasons, "why");
        fields.finish(reasons);
        Some(Self { app: app?, by: by?, deny: Deny { net: net?, until: until?, why: why? } })
    }
}

impl Read for Word {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let (by, why) = (fields.optional(reasons, "by"), fields.optional(reasons, "why"));
        fields.finish(reasons);
        Some(Self { by: by?, why: why? })
    }
}

impl Read for StateFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let state = fields.required(reasons, "state");
        let by = fields.optional(reasons, "by");
        let why = fields.optional(reasons, "why");
        let until = read_until(&fields.field("until"), reasons);
        fields.finish(reasons);
        Some(Self { state: state?, by: by?, why: why?, until: until? })
    }
}

fn read_until(at: &Option<At<'_>>, reasons: &mut Vec<Reason>) -> Option<Option<Timestamp>> {
    match at {
        Some(at) => at.parse(reasons, "a time such as '2026-12-01T00:00:00Z'").map(Some),
        None => Some(None),
    }
}

fn read_instances(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<BTreeMap<InstanceId, Instance>> {
    let instances: BTreeMap<_, _> = at.map(reasons)?;
    if instances.len() > INSTANCES_MAX {
        at.refuse(reasons, format!("found {} instances, wanted at most {INSTANCES_MAX}", instances.len()));
    }
    Some(instances)
}

fn read_page(text: &str) -> Result<Content, String> {
    match text.len() {
        0 => Err("the page is empty".to_owned()),
        length if length > PAGE_BYTES_MAX => Err(format!("found {length} bytes, wanted at most {PAGE_BYTES_MAX}")),
        _ => Ok(Content::Page(ContentHash::of(text.as_bytes()), Arc::new(Page(text.to_owned())))),
    }
}

/// `plan` is the store's field, not the contract's: what is left is an app as the contract knows it.
fn take_plan(node: &mut Node, reasons: &mut Vec<Reason>) -> Option<PlanName> {
    let Value::Map(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|(field, _)| field.name == "plan")?;
    let (_, plan) = entries.remove(index);
    match plan.value {
        Value::String(name) => Some(PlanName { name, place: plan.place }),
        Value::Null => None,
        _ => {
            let why = "wanted the name of a plan: 'gold' stands in plans/gold.yaml".to_owned();
            reasons.push(Reason { at: "plan".to_owned(), why, place: plan.place });
            None
        }
    }
}
