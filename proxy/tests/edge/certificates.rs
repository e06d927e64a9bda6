//! Certificates that come, change and are refused, while clients shake hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rcgen::{KeyPair, date_time_ymd};
use serde_json::json;

use crate::authority::{Authority, leaf, shown};
use crate::rig::{App, Edge, HOST, exchange, instances_json, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_handshakes_and_from_the_answer_on_only_the_new_is_shown() {
    const CLIENTS_A_SECOND: u64 = 200;
    const CHANGES: u64 = 8;
    let (edge, authority) = (Edge::start().await, Authority::new());
    let versions: Vec<_> = (0..=CHANGES).map(|_| authority.issue(&[HOST])).collect();
    let leaves: Arc<Vec<_>> = Arc::new(versions.iter().map(leaf).collect());
    assert_eq!(edge.put_certificates(&[("c", versions[0].clone())]).await.status, 200);
    // What was answered, and what was sent: a handshake may show any between the two.
    let (answered, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (answered, sent, stop, https) = (Arc::clone(&answered), Arc::clone(&sent), Arc::clone(&stop), edge.https);
        async move {
            let mut shaking = Vec::new();
            let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / CLIENTS_A_SECOND));
            while !stop.load(SeqCst) {
                tick.tick().await;
                let client = authority.client(&["http/1.1"]);
                let (answered, sent, leaves) = (Arc::clone(&answered), Arc::clone(&sent), Arc::clone(&leaves));
                shaking.push(tokio::spawn(async move {
                    let from = answered.load(SeqCst);
                    let stream = client.connect(https, HOST).await.expect("no handshake fails");
                    let to = sent.load(SeqCst);
                    let found = leaves.iter().position(|leaf| *leaf == shown(&stream)).expect("it is one of ours") as u64;
                    assert!((from..=to).contains(&found), "{found} was shown between {from} and {to}");
                }));
            }
            let shaken = shaking.len();
            for handshake in shaking {
                handshake.await.unwrap();
            }
            shaken
        }
    });
    for (n, version) in versions.iter().enumerate().skip(1) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        sent.store(n as u64, SeqCst);
        assert_eq!(edge.put_certificates(&[("c", version.clone())]).await.status, 200);
        answered.store(n as u64, SeqCst);
    }
    stop.store(true, SeqCst);
    let shaken = load.await.unwrap();
    assert!(shaken > 100, "{shaken} handshakes met {CHANGES} changes");
}

#[tokio::test]
async fn a_bad_certificate_is_refused_with_every_reason_and_traffic_does_not_notice() {
    let (edge, app, authority) = (Edge::start().await, App::start("a"), Authority::new());
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.put_certificates(&[("good", authority.issue(&[HOST]))]).await.status, 200);
    let mut wrong_key = authority.issue(&["a.example.com"]);
    wrong_key["key"] = authority.issue(&["a.example.com"])["key"].clone();
    let key = KeyPair::generate().unwrap();
    let expired = authority.issue_with(&["a.example.com"], &key, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let future = authority.issue_with(&["a.example.com"], &key, |params| params.not_before = date_time_ymd(2090, 1, 1));
    let mut nameless = authority.issue(&["a.example.com"]);
    nameless["names"] = json!([]);
    let mut other = authority.issue(&["a.example.com"]);
    other["names"] = json!(["b.example.com"]);
    let garbage = json!({"names": ["a.example.com"], "chain": "?", "key": "?"});
    let bad = [
        ("wrong-key", wrong_key, "put.wrong-key.key"),
        ("expired", expired, "put.expired.chain"),
        ("future", future, "put.future.chain"),
        ("other", other, "put.other.names[0]"),
        ("garbage", garbage, "put.garbage.chain"),
    ];
    let put: serde_json::Map<_, _> = bad.iter().map(|(id, item, _)| ((*id).to_owned(), item.clone())).collect();
    let answer = edge.admin("PATCH", "/v1/certificates", &json!({"generation": 2, "base": 1, "put": put}).to_string()).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (422, Some("refused")));
    let places: Vec<String> =
        answer.json()["reasons"].as_array().unwrap().iter().map(|reason| reason["at"].as_str().unwrap().to_owned()).collect();
    assert_eq!(places.len(), bad.len(), "{places:?}");
    for (_, _, place) in &bad {
        assert!(places.contains(&(*place).to_owned()), "{place} is missing in {places:?}");
    }
    let answer = edge.put_certificates(&[("nameless", nameless)]).await;
    assert!(answer.text().contains("found 0 names"), "{}", answer.text());
    assert!(!answer.text().contains("PRIVATE"));

    assert_eq!(edge.generation_of("certificates").await, 1, "a refused document changes nothing");
    let stream = authority.client(&["http/1.1"]).connect(edge.https, HOST).await.unwrap();
    let answer = exchange(stream, &format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n")).await.unwrap();
    assert_eq!(answer.status, 200);
    let metrics = edge.probe("/metrics").await.text();
    assert!(metrics.contains(r#"karman_document_refusals_total{document="certificates",error="refused"} 2"#), "{metrics}");
    assert!(metrics.contains(r#"karman_certificates{state="valid"} 1"#), "{metrics}");
}

#[tokio::test]
async fn ten_thousand_certificates_come_in_one_delta_and_a_name_that_no_app_has_is_served() {
    const MANY: usize = 10_000;
    let (edge, authority) = (Edge::start().await, Authority::new());
    assert_eq!(edge.put_certificates(&[("first", authority.issue(&[HOST]))]).await.status, 200);
    // One key and one certificate for all: what is tried here is the table, not the making of keys.
    let all = authority.issue(&["*.many.example.com"]);
    let put: serde_json::Map<_, _> = (0..MANY)
        .map(|n| {
            (format!("m{n}"), json!({"names": [format!("m{n}.many.example.com")], "chain": all["chain"], "key": all["key"]}))
        })
        .collect();
    let answer = edge.admin("PATCH", "/v1/certificates", &json!({"generation": 2, "base": 1, "put": put}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let client = authority.client(&["http/1.1"]);
    for name in ["m0.many.example.com", "m9999.many.example.com", HOST] {
        client.connect(edge.https, name).await.unwrap();
    }
    let mut listed = 0;
    let mut after = String::new();
    loop {
        let page = edge.admin("GET", &format!("/v1/certificates?limit=700&after={after}"), "").await;
        assert!(!page.text().contains("PRIVATE") && !page.text().contains("BEGIN"), "a key is never told");
        let page = page.json();
        listed += page["certificates"].as_object().unwrap().len();
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(listed, MANY + 1);
    let removal = json!({"generation": 3, "base": 2, "remove": (0..MANY).map(|n| format!("m{n}")).collect::<Vec<_>>()});
    assert_eq!(edge.admin("PATCH", "/v1/certificates", &removal.to_string()).await.status, 428, "so much is asked for twice");
}

#[tokio::test]
async fn certificates_hold_over_a_restart_and_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (mut edge, authority) = (Edge::start().await, Authority::new());
    let item = authority.issue(&[HOST]);
    assert_eq!(edge.put_certificates(&[("c", item.clone())]).await.status, 200);
    let told = edge.admin("GET", "/v1/certificates", "").await.json()["certificates"]["c"].clone();
    assert_eq!((told["names"][0].as_str(), told["key_type"].as_str()), (Some(HOST), Some("ecdsa")), "{told}");
    for entry in std::fs::read_dir(edge.dir.path().join("state")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    crate::rig::end(&mut edge.process);
    edge.restart().await;
    let stream = authority.client(&["http/1.1"]).connect(edge.https, HOST).await.unwrap();
    assert_eq!(shown(&stream), leaf(&item));
    let said = std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap();
    assert!(!said.contains("PRIVATE"), "{said}");
}

#[tokio::test]
async fn an_app_without_a_certificate_is_counted_and_told_once() {
    let (edge, app, authority) = (Edge::start().await, App::start("a"), Authority::new());
    let body = format!(
        r#"{{"generation":1,"apps":{{"todos":{{"hosts":["{HOST}","*.apps.example.com"],"instances":{}}}}}}}"#,
        instances_json(&[("a", app.address)])
    );
    assert_eq!(edge.admin("PUT", "/v1/apps", &body).await.status, 200);
    let client = authority.client(&["http/1.1"]);
    for name in [HOST, "one.apps.example.com", "two.apps.example.com"] {
        assert_eq!(client.refused(edge.https, name).await, rustls::AlertDescription::UnrecognisedName);
    }
    until("three are counted", async || {
        edge.probe("/metrics").await.text().contains(r#"karman_handshakes_total{outcome="certificate-missing"} 3"#)
    })
    .await;
    let said = std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap();
    assert_eq!(said.matches("certificate-missing").count(), 1, "{said}");
}
