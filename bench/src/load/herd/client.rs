//! The life of one Meteor client: connect, subscribe, stay, and come back when the socket is lost.

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::events::Happened;
use super::timing::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, retry_delay};
use super::transport::{Transport, load_page, open};
use super::{Log, Terms};

/// Never returns.
pub(super) async fn live(client: u32, terms: &Terms, log: &Log) {
    let mut cookie = None;
    log.note(client, Happened::Came);
    if let Some(page) = &terms.page
        && let Err(e) = load_page(terms, page, &mut cookie).await
    {
        log.note(client, Happened::Refused { why: format!("page: {e}") });
    }
    let mut retries = 0;
    loop {
        match open(terms, &mut cookie).await {
            Ok(mut transport) => {
                // As Meteor does: the count starts anew with a socket that opened, whatever comes of it.
                retries = 0;
                log.note(client, Happened::Opened { polling: transport.is_polling() });
                converse(client, terms, log, &mut transport, &mut cookie).await;
                log.note(client, Happened::Lost);
            }
            Err(why) => log.note(client, Happened::Refused { why }),
        }
        sleep(retry_delay(retries, fastrand::f64())).await;
        retries += 1;
    }
}

/// Speaks DDP until the socket is lost.
async fn converse(client: u32, terms: &Terms, log: &Log, transport: &mut Transport, cookie: &mut Option<String>) {
    let mut said = vec![r#"{"msg":"connect","version":"1","support":["1","pre2","pre1"]}"#.to_owned()];
    let subscription = |(n, name): (usize, &String)| format!(r#"{{"msg":"sub","id":"s{n}","name":"{name}","params":[]}}"#);
    said.extend(terms.subscriptions.iter().enumerate().map(subscription));
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    if transport.say(&said, cookie).await.is_err() {
        return;
    }
    let mut missing = terms.subscriptions.len();
    let mut instance = String::new();
    let mut pinged = false;
    if missing == 0 {
        log.note(client, Happened::Live { instance: String::new() });
    }
    loop {
        let patience = if pinged { HEARTBEAT_TIMEOUT } else { HEARTBEAT_INTERVAL };
        let Ok(heard) = timeout_at(Instant::now() + patience, transport.hear(cookie)).await else {
            if pinged || transport.say(&[r#"{"msg":"ping"}"#], cookie).await.is_err() {
                return;
            }
            pinged = true;
            continue;
        };
        let Some(messages) = heard else { return };
        pinged = false;
        let mut answers = Vec::new();
        for message in messages {
            let Ok(message) = serde_json::from_str::<Value>(&message) else { continue };
            match message["msg"].as_str() {
                Some("ping") => answers.push(pong(&message)),
                Some("added") if message["collection"] == "instance" => {
                    message["fields"]["instance"].as_str().unwrap_or_default().clone_into(&mut instance);
                }
                Some("ready") => {
                    missing = missing.saturating_sub(message["subs"].as_array().map_or(0, Vec::len));
                    if missing == 0 {
                        log.note(client, Happened::Live { instance: instance.clone() });
                    }
                }
                _ => {}
            }
        }
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        if !answers.is_empty() && transport.say(&answers, cookie).await.is_err() {
            return;
        }
    }
}

fn pong(ping: &Value) -> String {
    match ping["id"].as_str() {
        Some(id) => serde_json::json!({"msg": "pong", "id": id}).to_string(),
        None => r#"{"msg":"pong"}"#.to_owned(),
    }
}
