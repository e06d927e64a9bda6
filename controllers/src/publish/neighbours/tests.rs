//! Who is counted: whoever's entry changes, whatever its clock says.

use super::*;

#[tokio::test]
async fn an_edge_counts_while_its_entry_changes() {
    let start = Instant::now();
    let mut neighbours = Neighbours::default();
    let mut look = |seconds: u64, entries: &[(&str, &str)]| {
        let found = entries.iter().map(|(name, text)| (Key::new(Kind::Edge, name), (*text).to_owned())).collect();
        neighbours.count(found, start + Duration::from_secs(seconds)).serving
    };
    assert_eq!(look(0, &[]), 1, "this one is there, whoever knows");
    assert_eq!(look(10, &[("edge-1", "a"), ("edge-2", "a"), ("edge-3", "a")]), 3);
    assert_eq!(look(60, &[("edge-1", "b"), ("edge-2", "b"), ("edge-3", "a")]), 3);
    assert_eq!(look(100, &[("edge-1", "c"), ("edge-2", "c"), ("edge-3", "a")]), 2, "it says nothing any more");
    assert_eq!(look(110, &[("edge-1", "d"), ("edge-2", "c"), ("edge-3", "b")]), 3, "it is back");
    assert_eq!(look(120, &[("edge-1", "e")]), 1, "they are gone");
}
