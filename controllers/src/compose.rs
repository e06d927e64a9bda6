//! One app of the apps document, put together from the entries of the store that speak of it.

use std::collections::BTreeMap;

use karman_contract::app::{App, Deny, Instance, InstanceState, Note};
use karman_contract::name::{AppId, ContentHash, InstanceId};
use karman_contract::read::{At, Node, Reason, Value};

use crate::layer;
use crate::store::entry::{AppFile, StateFile, Word};

/// What speaks of one app, from the lowest layer to the highest.
pub struct Layers<'a> {
    pub defaults: Option<&'a Node>,
    pub plan: Option<&'a Node>,
    pub app: &'a AppFile,
    pub state: Option<&'a StateFile>,
    /// What the store keeps from the app, besides its own list.
    pub denied: Vec<Deny>,
    pub instances: Option<&'a BTreeMap<InstanceId, Instance>>,
    /// Instances that an operator drains.
    pub draining: Option<&'a BTreeMap<InstanceId, Word>>,
}

/// Lays the layers over each other. `page` gives the hash of a page of the store.
///
/// Entries that are well formed each give an app; the reasons are there for what nobody foresaw.
pub fn compose(id: &AppId, layers: &Layers<'_>, page: impl Fn(&str) -> Option<ContentHash>) -> Result<App, Vec<Reason>> {
    let mut whole = Node { value: Value::Map(Vec::new()), place: None };
    for layer in [layers.defaults, layers.plan, Some(&layers.app.fields)].into_iter().flatten() {
        whole = layer::merge(&whole, layer);
    }
    layer::name_pages(&mut whole, page);
    layer::add_instances(&mut whole);

    let mut reasons = Vec::new();
    let app = App::read(id, &At::root(&whole), &mut reasons);
    let mut app = app.filter(|_| reasons.is_empty()).ok_or(reasons)?;
    if let Some(instances) = layers.instances {
        app.instances.clone_from(instances);
    }
    // One that is gone meanwhile needs no word any more.
    for instance in layers.draining.into_iter().flat_map(BTreeMap::keys) {
        if let Some(instance) = app.instances.get_mut(instance) {
            instance.state = InstanceState::Draining;
        }
    }
    app.deny.extend(layers.denied.iter().cloned());
    if let Some(state) = layers.state {
        app.state = state.state;
        let by = state.by.clone().unwrap_or_else(|| "a person".to_owned());
        app.note = Some(Note { by, why: state.why.clone() });
    }
    Ok(app)
}
