//! When the line counts as cut.

use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn a_proxy_that_went_away_before_the_line_was_open_has_cut_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut lifeline = Lifeline::default();
    lifeline.hold(&Admin::new(folder.path().join("nobody.sock")));
    // Unwatched, it would be the confirm, 10 s later, that finds it out.
    assert!(timeout(Duration::from_secs(5), lifeline.cut()).await.is_ok());
}
