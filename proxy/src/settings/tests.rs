//! What a file of settings gives, and what is said about one with mistakes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use karman_contract::yaml::{FileMistakes, read_yaml};
use tracing::Level;

use super::*;

fn read(text: &str) -> Settings {
    read_yaml("edge.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mistakes(text: &str) -> FileMistakes {
    read_yaml::<Settings>("edge.yaml", text).expect_err("the settings have mistakes")
}

/// The settings of the contract's page, with every section.
const WHOLE: &str = r#"
edge:   {name: edge-1, region: eu-west-1}
listen:
  http:  ["0.0.0.0:8080", "127.0.0.1:0", "127.0.0.1:0"]
  https: ["[::]:8443"]
  proxy_protocol: {from: ["10.0.0.0/8"]}
trusted_proxies: ["10.1.2.3/8", "192.0.2.7"]
admin:  {socket: run/admin.sock}
probe:  {address: "127.0.0.1:9090"}
state:  {dir: data/edge}
threads: 2
log:    {access: logs/access.log, level: debug}
show_instance: true
limits: {connections: 5, grace_seconds: 1}
"#;

#[test]
fn every_section_becomes_ready_types() {
    let settings = read(WHOLE);
    assert_eq!(settings.edge, Edge { name: "edge-1".into(), region: "eu-west-1".into() });
    assert_eq!(settings.listen.http.len(), 3, "port 0 may be asked for as often as one likes");
    assert_eq!(settings.listen.https, ["[::]:8443".parse().unwrap()]);
    assert_eq!(settings.listen.proxy_protocol.as_ref().unwrap().from, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(settings.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()]);
    assert_eq!(settings.probe.address, Some("127.0.0.1:9090".parse().unwrap()));
    assert_eq!(settings.threads, 2);
    assert_eq!(settings.log, Log { access: Destination::File("logs/access.log".into()), level: Level::DEBUG });
    assert!(settings.show_instance);
    assert_eq!(settings.limits.connections, 5);
    assert_eq!(settings.limits.grace, Duration::from_secs(1));
    assert_eq!(settings.limits.tries, Limits::default().tries);
}

#[test]
fn only_an_address_is_required() {
    let settings = read("listen: {http: ['127.0.0.1:8080']}");
    assert!(!settings.edge.name.is_empty());
    assert_eq!(settings.edge.region, "local");
    assert_eq!(settings.listen.proxy_protocol, None);
    assert_eq!(settings.trusted_proxies, []);
    assert_eq!(settings.admin.socket, Path::new("run/admin.sock"));
    assert_eq!(settings.probe.address, None);
    assert_eq!(settings.state.dir, Path::new("data/edge"));
    assert!(settings.threads >= 1);
    assert_eq!(settings.log, Log { access: Destination::Stdout, level: Level::INFO });
    assert!(!settings.show_instance);
    assert_eq!(settings.limits, Limits::default());
}

#[test]
fn the_access_log_goes_where_the_word_says() {
    for (word, wanted) in [
        ("stdout", Destination::Stdout),
        ("off", Destination::Off),
        ("'off'", Destination::Off),
        ("false", Destination::Off),
        ("/var/log/x", Destination::File("/var/log/x".into())),
    ] {
        let settings = read(&format!("listen: {{http: ['127.0.0.1:0']}}\nlog: {{access: {word}}}"));
        assert_eq!(settings.log.access, wanted, "access: {word}");
    }
}

#[test]
fn every_mistake_is_named_in_one_run_with_its_place() {
    let found = mistakes(
        "edge: {name: 'a b', colour: red}\n\
         listen:\n  http: ['localhost:8080', '0.0.0.0:80', '127.0.0.1:80']\n  proxy_protocol: {from: []}\n\
         trusted_proxies: [10.0.0.0/33]\n\
         admin: {socket: ''}\n\
         probe: {address: 0.0.0.0:80}\n\
         state: data/edge\n\
         threads: 0\n\
         log: {access: 7, level: loud}\n\
         limits: {connections: 0, held_request: 1}\n",
    )
    .to_string();
    let wanted = [
        "edge.yaml:1:14: edge.name: found 'a b', wanted 1 to 128 of",
        "edge.yaml:1:21: edge.colour: there is no such field; known here: name, region",
        "edge.yaml:3:10: listen.http[0]: found 'localhost:8080', wanted an IP address and a port",
        "edge.yaml:3:42: listen.http[2]: 127.0.0.1:80 is taken by listen.http[1]",
        "listen.proxy_protocol: found no network under 'from'",
        "edge.yaml:5:19: trusted_proxies[0]: found '10.0.0.0/33', wanted a network",
        "admin.socket: found '', wanted a path",
        "probe.address: 0.0.0.0:80 is taken by listen.http[1]",
        "state: found 'data/edge', wanted a map of fields",
        "threads: found 0, wanted a number from 1 to 1024",
        "log.access: found 7, wanted stdout, off or a path",
        "log.level: found 'loud', wanted one of error, warn, info, debug, trace",
        "limits.connections: found 0, wanted a number from 1 to",
        "limits.held_request: there is no such field; known here: connections,",
    ];
    for reason in wanted {
        assert!(found.contains(reason), "'{reason}' is missing in:\n{found}");
    }
    assert_eq!(found.matches("edge.yaml:").count(), wanted.len(), "{found}");
    assert!(found.contains("\n    9 | threads: 0\n      |          ^\n"), "the line is shown, with a caret:\n{found}");
}

#[test]
fn settings_without_a_listener_are_refused() {
    for (text, wanted) in [
        ("", "the field 'listen' is required"),
        ("listen: {}", "listen: found no address, wanted at least one under 'http' or 'https'"),
        ("listen:", "listen: found nothing, wanted a map of fields"),
        ("listen: [", "this is not YAML"),
    ] {
        let found = mistakes(text).to_string();
        assert!(found.contains(wanted), "{text}: {found}");
    }
}

#[test]
fn a_socket_path_that_no_socket_can_have_is_refused() {
    let found = mistakes(&format!("listen: {{http: ['127.0.0.1:0']}}\nadmin: {{socket: /{}}}", "x".repeat(107)));
    assert!(found.to_string().contains("found 108 bytes, wanted at most 107"), "{found}");
}

#[test]
fn a_file_that_is_not_text_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.yaml");
    let said = |path: &Path| load(path).expect_err("there are no settings").to_string();
    assert!(said(&path).contains("edge.yaml: No such file"), "{}", said(&path));
    fs::write(&path, b"\xff\xfe").unwrap();
    assert!(said(&path).contains("valid UTF-8"), "{}", said(&path));
    fs::write(&path, "#".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
    assert!(said(&path).contains("larger than"), "{}", said(&path));
}

fn config_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

#[test]
fn every_example_of_config_loads() {
    let mut examples = 0;
    for entry in fs::read_dir(config_dir()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("edge") && name.ends_with(".yaml") {
            load(&path).unwrap_or_else(|e| panic!("{e}"));
            examples += 1;
        }
    }
    assert!(examples >= 2, "found {examples} examples");
}

#[test]
fn the_full_example_spells_out_every_default() {
    let path = config_dir().join("edge.yaml");
    let full = load(&path).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(full.limits, Limits::default());
    assert_eq!((full.show_instance, full.log), (false, Log { access: Destination::Stdout, level: Level::INFO }));
    assert_eq!(full.admin.socket, Path::new("run/admin.sock"));
    assert_eq!(full.state.dir, Path::new("data/edge"));

    // The reader itself knows all fields: it lists them when one is not among them.
    let text = fs::read_to_string(&path).unwrap();
    let sections = ["edge", "listen", "admin", "probe", "state", "log", "limits"];
    let asked: String = sections.iter().map(|section| format!("{section}: {{none: 0}}\n")).collect();
    let found = mistakes(&format!("none: 0\n{asked}"));
    let lists = found.reasons.iter().filter_map(|reason| reason.why.split_once("known here: "));
    let mut count = 0;
    for field in lists.flat_map(|(_, fields)| fields.split(", ")) {
        assert!(text.contains(&format!("{field}:")), "{field} is not in config/edge.yaml");
        count += 1;
    }
    assert!(count > 30, "found only {count} fields");
}
