//! The times of quarantine.

use karman_contract::document::{AppsDocument, from_json};
use karman_contract::status::Edge;

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

/// Its instance was found well, and watched no longer, while a request on its way failed: it says that the app is down.
#[tokio::test]
async fn an_app_that_is_down_is_watched_whoever_said_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let json = format!(
        r#"{{"generation":1,"apps":{{"x":{{"hosts":["x.example.com"],"instances":{{"a":{{"address":"{}","state":"ready"}}}}}}}}}}"#,
        listener.local_addr().unwrap()
    );
    let document: AppsDocument = from_json(&json).unwrap();
    let (table, _) = Apps::default().replaced_by(document).unwrap();
    let app = Arc::clone(table.get("x").unwrap());
    let events = Arc::new(Events::new(Edge { name: "e".to_owned(), region: "local".to_owned() }));
    let health = Arc::new(Health::new(Arc::new(Live::new(table)), events, Duration::from_secs(60)));
    health.app_is_down(&app);
    let back = async {
        while app.vitals.is_down() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it is asked whether it is back");
}
