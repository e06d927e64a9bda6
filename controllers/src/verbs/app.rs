//! `karman app ID`: one app as the proxy serves it, with what is live.

use karman_contract::answer::Refusal;
use karman_contract::name::AppId;
use karman_contract::read::Reason;
use karman_contract::status::AppStatus;
use serde::Serialize;
use serde_json::Value;

use super::table::table;
use super::{Asked, print, print_json, word};
use crate::admin::AdminError;
use crate::failure::Failure;
use crate::publish::report::{Mistake, Report};
use crate::row;

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    live: AppStatus<Value>,
    mistakes: Vec<&'a Mistake>,
    refused: &'a [Reason],
}

pub async fn run(id: &AppId, asked: &Asked) -> Result<(), Failure> {
    let report = asked.report().await;
    let mistakes = mistakes(id, report.as_ref());
    let refused = report.as_ref().and_then(|report| report.refused.get(id)).map(Vec::as_slice).unwrap_or_default();
    let live = match asked.admin.app(id).await {
        Err(AdminError::Refused(Refusal::NotFound { .. })) => {
            let mut message = format!("the proxy serves no app '{id}'");
            mistakes.iter().for_each(|mistake| message.push_str(&format!("\n{}", mistake.text)));
            return Err(Failure::data(message));
        }
        answer => asked.heard(answer)?,
    };
    if asked.json {
        return print_json(&Answer { live, mistakes, refused });
    }
    print(&shown(&live))?;
    for mistake in mistakes {
        print(&format!("\nthe last good version goes on:\n{}\n", mistake.text))?;
    }
    for reason in refused {
        print(&format!("\nthe proxy refused the newest version: {reason}\n"))?;
    }
    Ok(())
}

fn mistakes<'a>(id: &AppId, report: Option<&'a Report>) -> Vec<&'a Mistake> {
    report.into_iter().flat_map(|report| &report.mistakes).filter(|mistake| mistake.app.as_ref() == Some(id)).collect()
}

fn shown(live: &AppStatus<Value>) -> String {
    let text = |node: &Value, field: &str| match node.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let hosts = live.app.get("hosts").and_then(Value::as_array);
    let hosts: Vec<_> = hosts.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut head = vec![
        row!["app", live.id],
        row!["owner", text(&live.app, "owner")],
        row!["state", text(&live.app, "state")],
        row!["hosts", hosts.join(" ")],
    ];
    if let Some(note) = live.app.get("note") {
        head.push(row!["changed by", text(note, "by")]);
        head.push(row!["because", text(note, "why")]);
    }
    let mut rows = vec![row!["INSTANCE", "ADDRESS", "RELEASE", "STATE", "HEALTH", "IN FLIGHT", "TUNNELS"]];
    let nothing = Value::Null;
    for (id, status) in &live.instances {
        let instance = live.app.get("instances").and_then(|instances| instances.get(id.as_str())).unwrap_or(&nothing);
        let state = if instance.is_null() { "gone".to_owned() } else { text(instance, "state") };
        let health = if status.drained { "drained".to_owned() } else { word(status.health) };
        let (address, release) = (text(instance, "address"), text(instance, "release"));
        rows.push(row![id, address, release, state, health, status.in_flight, status.tunnels]);
    }
    let instances = if live.instances.is_empty() { "no instances: the app is down\n".to_owned() } else { table(&rows) };
    format!("{}\n{instances}", table(&head))
}
