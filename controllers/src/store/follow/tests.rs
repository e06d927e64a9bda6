//! How long a change waits for those that come with it.

use std::time::Duration;

use super::{COALESCE, COALESCE_FAST, COALESCE_FASTEST, COALESCE_STREAM, Feed, Follow, STREAM, patience};
use crate::store::{Key, Kind, Seen};

#[test]
fn a_change_waits_the_longer_the_faster_they_come() {
    let soon = STREAM - Duration::from_millis(1);
    for (given, wanted) in [
        (None, COALESCE),
        (Some((soon, 1)), COALESCE_STREAM),
        (Some((soon, 2)), COALESCE_FAST),
        (Some((soon, 3)), COALESCE_FASTEST),
        (Some((STREAM, 1)), COALESCE),
        (Some((STREAM, 3)), COALESCE),
    ] {
        assert_eq!(patience(given), wanted, "{given:?}");
    }
}

#[tokio::test]
async fn what_comes_together_is_given_together_and_remembered_for_the_next() {
    let (give, given) = tokio::sync::oneshot::channel::<Feed>();
    let mut follow = Follow::fed_by(|feed| async move { drop(give.send(feed)) });
    let feed = given.await.unwrap();
    for changes in [2, 1] {
        feed.add((0..changes).map(|n| (Key::new(Kind::App, &format!("a-{n}")), Seen::Nothing)), 0);
        assert_eq!(follow.next().await.unwrap().seen.len(), changes);
        assert_eq!(follow.pace.as_ref().and_then(|pace| pace.given).map(|(_, entries)| entries), Some(changes));
    }
}
