//! Layers: the fields of an app as one file sets them, laid one over the other.

use karman_contract::app::App;
use karman_contract::name::{AppId, ContentHash};
use karman_contract::read::{At, Key as Field, Node, Place, Reason, Value, quoted};

/// Fields that no two apps can share, so that no layer below the app's own file may set them.
const OWN: [&str; 2] = ["hosts", "instances"];

/// Lays `upper` over `lower`: maps merge by key, everything else is replaced.
/// A field with nothing behind it (`health:`) takes away what the lower layer said.
pub fn merge(lower: &Node, upper: &Node) -> Node {
    let Value::Map(above) = &upper.value else { return upper.clone() };
    let mut merged = entries(lower).to_vec();
    for (field, node) in above {
        match merged.iter_mut().find(|(below, _)| below.name == field.name) {
            Some((_, below)) => *below = merge(below, node),
            None => merged.push((field.clone(), merge(&empty(), node))),
        }
    }
    merged.retain(|(_, node)| node.value != Value::Null);
    Node { value: Value::Map(merged), place: upper.place }
}

/// Finds what is wrong with defaults or a plan alone, so that it is named in its own file.
pub fn check_shared(node: &Node, reasons: &mut Vec<Reason>) {
    let (own, mut shared): (Vec<_>, Vec<_>) =
        entries(node).iter().cloned().partition(|(field, _)| OWN.contains(&field.name.as_str()));
    for (field, _) in own {
        let why = "stands in the app's own file: no two apps share it".to_owned();
        reasons.push(Reason { at: field.name, why, place: field.place });
    }
    if !matches!(node.value, Value::Map(_)) {
        return At::root(node).wanted(reasons, "a map of fields");
    }
    let host = unplaced(Value::String("shared.invalid".to_owned()));
    shared.push((Field::from("hosts".to_owned()), unplaced(Value::List(vec![host]))));
    check_app(&Node { value: Value::Map(shared), place: node.place }, reasons);
}

/// Finds what is wrong with an app's own file alone. Layers that are well formed each stay so
/// when one is laid over the other.
pub fn check_app(node: &Node, reasons: &mut Vec<Reason>) {
    let Ok(anyone) = "app".parse::<AppId>() else { return };
    let mut whole = merge(&empty(), node);
    name_pages(&mut whole, |_| Some(ContentHash::of(b"")));
    add_instances(&mut whole);
    App::read(&anyone, &At::root(&whole), reasons);
}

/// An app whose instances stand in another entry, or nowhere yet, has none here.
pub fn add_instances(node: &mut Node) {
    if let Value::Map(entries) = &mut node.value
        && !entries.iter().any(|(field, _)| field.name == "instances")
    {
        entries.push((Field::from("instances".to_owned()), empty()));
    }
}

/// Puts hashes where the fields name pages of the store, such as `pages/down.html`.
/// A page without a hash is left out: the edge's own is shown.
pub fn name_pages(node: &mut Node, hash: impl Fn(&str) -> Option<ContentHash>) {
    let Value::Map(fields) = &mut node.value else { return };
    for (_, pages) in fields.iter_mut().filter(|(field, _)| field.name == "pages") {
        let Value::Map(pages) = &mut pages.value else { continue };
        pages.retain_mut(|(_, page)| {
            let Some(id) = page_id(page) else { return true };
            let hash = hash(id).map(|hash| hash.to_string());
            let known = hash.is_some();
            page.value = hash.map_or(Value::Null, Value::String);
            known
        });
    }
}

/// What is to be said about pages that these fields name and `exists` does not know.
pub fn missing_pages(node: &Node, exists: impl Fn(&str) -> bool) -> Vec<Reason> {
    let pages = field(node, "pages").map(entries).unwrap_or_default();
    let missing = pages.iter().filter_map(|(code, page)| {
        let id = page_id(page).filter(|id| !exists(id))?;
        let name = quoted(&format!("pages/{id}.html"));
        let why = format!("there is no {name}; the edge's own page is shown until there is");
        Some(Reason { at: format!("pages.{}", code.name), why, place: page.place })
    });
    missing.collect()
}

/// The `down` of `pages/down.html`; anything else is not the name of a page.
fn page_id(page: &Node) -> Option<&str> {
    let Value::String(text) = &page.value else { return None };
    text.strip_prefix("pages/")?.strip_suffix(".html").filter(|id| !id.is_empty() && !id.contains('/'))
}

/// The value of one field.
pub fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    entries(node).iter().find(|(field, _)| field.name == name).map(|(_, node)| node)
}

/// Where one field stands in its file.
pub fn place_of(node: &Node, name: &str) -> Option<Place> {
    entries(node).iter().find(|(field, _)| field.name == name).and_then(|(field, _)| field.place)
}

/// The entries of a map; none of anything else.
pub fn entries(node: &Node) -> &[(Field, Node)] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}

fn empty() -> Node {
    unplaced(Value::Map(Vec::new()))
}

fn unplaced(value: Value) -> Node {
    Node { value, place: None }
}
