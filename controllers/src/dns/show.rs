//! What a plan would do and what a pass did, as a person wants to read it.

use serde_json::{Value, json};

use super::controller::{Pass, View};
use super::plan::{Change, Group};
use super::record::RecordType;
use super::settings::Settings;

/// The lines of a plan: `+` is made, `~` changed, `-` removed, `!` left alone, `=` kept.
pub fn plan(view: &View, settings: &Settings) -> String {
    let View { zone, checks, plan } = view;
    let mut text = format!("zone {zone} ({}), owner {}\n\n", settings.zone, settings.owner);
    for (region, (check, _)) in &checks.create {
        text.push_str(&format!("+ health check of {region}: https://{}:{}{}\n", check.host, check.port, check.path));
    }
    for group in &plan.groups {
        lines(group).for_each(|line| text.push_str(&format!("{line}\n")));
    }
    for foreign in &plan.foreign {
        text.push_str(&format!("! {}: {}\n", foreign.key, foreign.why));
    }
    for key in &plan.kept {
        text.push_str(&format!("= {key}: wanted no more, and kept; '--policy sync' removes it\n"));
    }
    for id in &checks.surplus {
        text.push_str(&format!("= health check {id}: wanted no more; '--policy sync' removes it once no record names it\n"));
    }
    let (made, changed, removed) = counts(plan.groups.iter());
    text.push_str(&format!("\n{made} to make, {changed} to change, {removed} to remove; {} left alone\n", plan.foreign.len()));
    text
}

pub fn plan_json(view: &View) -> Value {
    let View { zone, checks, plan } = view;
    json!({
        "zone": zone,
        "health_checks": checks.create.keys().collect::<Vec<_>>(),
        "changes": plan.groups.iter().flat_map(lines).collect::<Vec<_>>(),
        "left_alone": plan.foreign.iter().map(|foreign| json!({"at": foreign.key.to_string(), "why": foreign.why})).collect::<Vec<_>>(),
        "kept": plan.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What a pass did, and what it could not do.
pub fn pass(pass: &Pass) -> String {
    let Pass { zone, changes, checks_made, checks_removed, .. } = pass;
    let mut text = format!("zone {zone}: {changes} changes, {checks_made} health checks made, {checks_removed} removed\n");
    wrongs(pass).iter().for_each(|wrong| text.push_str(&format!("! {wrong}\n")));
    text
}

pub fn pass_json(pass: &Pass) -> Value {
    json!({
        "zone": pass.zone,
        "changes": pass.changes,
        "settled": pass.is_settled(),
        "wrongs": wrongs(pass),
        "kept": pass.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What is not as it is wanted, and why.
fn wrongs(pass: &Pass) -> Vec<String> {
    let foreign = pass.foreign.iter().map(|foreign| format!("{}: {}", foreign.key, foreign.why));
    let aside = pass.aside.iter().map(|(key, why)| format!("{key}: refused, and tried again alone: {why}"));
    let held = pass.held.iter().map(|held| format!("{} names are wanted no more: {held}", pass.kept.len()));
    foreign.chain(aside).chain(held).collect()
}

/// Marks are not for people.
fn lines(group: &Group) -> impl Iterator<Item = String> {
    group.changes.iter().filter(|change| is_shown(change)).map(|change| {
        let sign = match change {
            Change::Create(_) => '+',
            Change::Upsert(_) => '~',
            Change::Delete(_) => '-',
        };
        format!("{sign} {}", change.record())
    })
}

fn is_shown(change: &Change) -> bool {
    change.record().key.kind != RecordType::Txt
}

fn counts<'a>(groups: impl Iterator<Item = &'a Group>) -> (usize, usize, usize) {
    groups.flat_map(|group| &group.changes).filter(|change| is_shown(change)).fold(
        (0, 0, 0),
        |(made, changed, removed), change| match change {
            Change::Create(_) => (made + 1, changed, removed),
            Change::Upsert(_) => (made, changed + 1, removed),
            Change::Delete(_) => (made, changed, removed + 1),
        },
    )
}
