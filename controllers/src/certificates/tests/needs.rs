//! Which certificates are needed, and which nobody can have.

use std::collections::BTreeMap;

use karman_contract::app::{App, AppState};
use karman_contract::name::AppId;
use karman_contract::read;
use karman_contract::yaml::{parse_yaml, read_yaml};

use crate::certificates::need::{Need, Unable, needs};
use crate::certificates::settings::{Ca, Method, Settings};

fn app(hosts: &str) -> App {
    let node = parse_yaml(&format!("{{hosts: [{hosts}], instances: {{}}}}")).unwrap();
    let mut reasons = Vec::new();
    App::read(&"todos".parse().unwrap(), &read::At::root(&node), &mut reasons).unwrap()
}

fn settings(text: &str) -> Settings {
    read_yaml("platform.yaml", text).unwrap()
}

fn needed(apps: &[App], settings: &Settings) -> BTreeMap<String, Need> {
    let id: AppId = "todos".parse().unwrap();
    needs(apps.iter().map(|app| (&id, app)), Some(&"apps.example.net".parse().unwrap()), settings)
}

fn way(hosts: &str, settings: &Settings) -> Result<Method, Unable> {
    needed(&[app(hosts)], settings).into_values().next().unwrap().way
}

const ONE_CA: &str = "cas: [{name: ca, directory: 'https://ca.example/dir'}]";

#[test]
fn each_host_of_a_live_app_has_its_own() {
    let settings = settings(ONE_CA);
    let mut stopped = app("stopped.example.com");
    stopped.state = AppState::Suspended;
    let mut asleep = app("asleep.example.com");
    asleep.state = AppState::Asleep;
    let ids: Vec<_> = needed(&[app("b.example.com, a.example.com"), stopped, asleep], &settings).into_keys().collect();
    assert_eq!(ids, ["a.example.com", "asleep.example.com", "b.example.com"]);
}

#[test]
fn the_platforms_wildcard_stands_for_the_names_below_it() {
    let settings = settings("{cas: [{name: ca, directory: 'https://ca.example/dir'}], dns: {zones: [example.net], hook: [x]}}");
    let needed = needed(&[app("todos.apps.example.net, deep.todos.apps.example.net, own.example.com")], &settings);
    let found: Vec<_> = needed.iter().map(|(id, need)| (id.as_str(), need.way.clone())).collect();
    let expected = [
        ("_wildcard.apps.example.net", Ok(Method::Dns01)),
        ("deep.todos.apps.example.net", Ok(Method::Http01)),
        ("own.example.com", Ok(Method::Http01)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn some_names_nobody_can_have() {
    let settings = settings(ONE_CA);
    for host in ["todos.localhost", "localhost", "127.0.0.1", "a_b.example.com", "printer.local"] {
        assert_eq!(way(host, &settings), Err(Unable::NotPublic), "{host}");
    }
    assert_eq!(way("'*.example.com'", &settings), Err(Unable::NoZone));
    assert_eq!(way("todos.example.com", &settings), Ok(Method::Http01));
}

#[test]
fn the_local_ca_certifies_anything() {
    let settings = settings("cas: [local]");
    assert_eq!(settings.cas, [Ca::Local]);
    for host in ["todos.localhost", "127.0.0.1", "'*.example.com'"] {
        assert_eq!(way(host, &settings), Ok(Method::None), "{host}");
    }
}

#[test]
fn settings_name_everything_that_is_wrong_with_them() {
    let text = "cas: [local, {name: Local CA, directory: 'http://ca'}, elsewhere]\nmethod: smoke\nresolvers: [here]\ndns: {zones: [], hook: []}\n";
    let mistakes = read_yaml::<Settings>("platform.yaml", text).unwrap_err().to_string();
    for part in
        ["1 to 32 of a-z", "https://", "'local', or a CA", "http-01, tls-alpn-01, dns-01", "resolvers[0]", "'hook' is a program"]
    {
        assert!(mistakes.contains(part), "{part} is missing in:\n{mistakes}");
    }
}
