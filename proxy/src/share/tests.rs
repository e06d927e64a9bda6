//! What was told outlives the process; what cannot be read leaves the edge alone.

use std::fs;

use super::*;

#[test]
fn a_share_is_what_was_told_last_also_to_the_process_before() {
    let dir = tempfile::tempdir().unwrap();
    let share = Share::open(dir.path());
    assert!((share.of(200) - 200.0).abs() < 0.01, "nothing was told");
    share.tell(Edges { serving: 3 }).unwrap();
    for share in [share, Share::open(dir.path())] {
        assert!((share.of(200) - 66.67).abs() < 0.01);
        assert!(share.of(0) <= 0.0, "no limit stays none");
    }
    fs::write(dir.path().join("edges.json"), "{").unwrap();
    assert_eq!(Share::open(dir.path()).edges().serving, 1);
    fs::write(dir.path().join("edges.json"), r#"{"serving":0}"#).unwrap();
    assert_eq!(Share::open(dir.path()).edges().serving, 1);
}
