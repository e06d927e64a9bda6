//! The times of quarantine.

use karman_contract::document::{AppsDocument, from_json};
use karman_contract::status::Edge;
use tokio::net::TcpListener;

use super::*;
use crate::documents::Table;

#[test]
fn quarantine_doubles_up_to_half_a_minute_with_jitter() {
    for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (u32::MAX, 30)] {
        assert_eq!(quarantine(failures, 0.5), Duration::from_secs(seconds), "{failures}");
    }
    assert_eq!(quarantine(1, 0.0), Duration::from_millis(800));
    assert_eq!(quarantine(1, 1.0), Duration::from_millis(1_200));
}

/// An app with an instance at each of these addresses, and who judges it.
fn judged(addresses: &[SocketAddr]) -> (Arc<Health>, Arc<App>) {
    let instances = addresses.iter().enumerate().map(|(n, address)| format!(r#""i-{n}":{{"address":"{address}"}}"#));
    let instances = instances.collect::<Vec<_>>().join(",");
    let json = format!(r#"{{"generation":1,"apps":{{"x":{{"hosts":["x.example.com"],"instances":{{{instances}}}}}}}}}"#);
    let document: AppsDocument = from_json(&json).unwrap();
    let (table, _) = Apps::default().replaced_by(document).unwrap();
    let app = Arc::clone(table.get("x").unwrap());
    let events = Arc::new(Events::new(Edge { name: "e".to_owned(), region: "local".to_owned() }));
    (Arc::new(Health::new(Arc::new(Live::new(table)), events, Duration::from_secs(60))), app)
}

/// Its instance was found well, and watched no longer, while a request on its way failed: it says that the app is down.
#[tokio::test]
async fn an_app_that_is_down_is_watched_whoever_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (health, app) = judged(&[listener.local_addr().unwrap()]);
    health.app_is_down(&app);
    let back = async {
        while app.vitals.is_down() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it is asked whether it is back");
}

/// A process that is started anew under load is back after a second or two.
#[tokio::test]
async fn a_crowd_that_finds_an_instance_gone_leaves_it_alone_no_longer_than_one_does() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (health, app) = judged(&[gone.local_addr().unwrap(), other.local_addr().unwrap()]);
    let address = gone.local_addr().unwrap();
    drop(gone);
    let instance = &app.instances[0];
    let start = Instant::now();
    for _ in 0..100 {
        health.connect_failed(&app, &instance.id, &instance.vitals, "it refused a connection");
    }
    assert_eq!(instance.vitals.failures.load(Relaxed), 1);
    let asked_in_vain = async {
        while instance.vitals.failures.load(Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let back = TcpListener::bind(address).await.unwrap();
        while !instance.vitals.usable() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        back
    };
    tokio::time::timeout(Duration::from_secs(20), asked_in_vain).await.expect("it is used again");
    assert!(start.elapsed() < Duration::from_secs(8), "a second and two, and their jitter: {:?}", start.elapsed());
}

/// Fifty changes a minute of an app's document, or more, are none of its instance's business.
#[tokio::test]
async fn a_change_of_the_document_is_no_reason_to_wait_longer() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (health, app) = judged(&[gone.local_addr().unwrap(), other.local_addr().unwrap()]);
    drop(gone);
    let instance = &app.instances[0];
    health.connect_failed(&app, &instance.id, &instance.vitals, "it refused a connection");
    let change = Change { before: Some(Arc::clone(&app)), after: Some(Arc::clone(&app)) };
    let asked = async {
        while instance.vitals.failures.load(Relaxed) < 3 {
            health.follow(&change);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // A second and two, and their jitter; a busy machine may be late.
    tokio::time::timeout(Duration::from_secs(10), asked).await.expect("it is asked whether it is back");
}

/// The last of the others goes: from now on there is nothing to wait for but this one.
#[tokio::test]
async fn an_app_that_goes_down_has_its_instances_asked_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (health, app) = judged(&[gone.local_addr().unwrap(), other.local_addr().unwrap()]);
    drop(gone);
    let instance = &app.instances[0];
    // It would be left alone for half a minute.
    instance.vitals.failures.store(9, Relaxed);
    health.connect_failed(&app, &instance.id, &instance.vitals, "it refused a connection");
    tokio::task::yield_now().await;
    drop(other);
    health.app_is_down(&app);
    let asked = async {
        while instance.vitals.failures.load(Relaxed) < 12 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.expect("it is asked whether it is back");
}
