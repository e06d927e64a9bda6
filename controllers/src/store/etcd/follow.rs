//! Following an etcd store: all of it once, then watched from that revision on; all of it again
//! where the watch has a gap.

use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse};
use tokio::time::{sleep, timeout};

use super::{ANSWER_BYTES_MAX, CALL_TIME_MAX, Etcd, unreachable};
use crate::store::follow::Feed;
use crate::store::{Kind, Seen, StoreError};

const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// How far a follower has come.
#[derive(Clone, Copy)]
struct Place {
    revision: i64,
    /// Another cluster counts its own revisions.
    cluster: u64,
}

/// Feeds what stands in the store, and then every change of it, for ever.
pub(super) async fn feed(store: Etcd, kinds: Vec<Kind>, feed: Feed) {
    let mut place = None;
    let mut again = AGAIN_MIN;
    loop {
        let error = match place {
            None => read_all(&store, &kinds, &feed, &mut place).await.err(),
            Some(_) => None,
        };
        let error = match error {
            Some(error) => error,
            None => watch(&store, &kinds, &feed, &mut place, || again = AGAIN_MIN).await,
        };
        feed.trouble(error);
        // Followers of many edges shall not come back in step.
        sleep(again.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}

async fn read_all(store: &Etcd, kinds: &[Kind], feed: &Feed, place: &mut Option<Place>) -> Result<(), StoreError> {
    let cluster = store.cluster().await?.cluster;
    let reading = store.read_kinds(kinds).await?;
    *place = Some(Place { revision: i64::try_from(reading.revision).unwrap_or(i64::MAX), cluster });
    feed.replace(reading);
    Ok(())
}

/// Watches until that fails. Where changes may have been missed there is no place any more.
/// `heard`: is called when the watch told something.
async fn watch(store: &Etcd, kinds: &[Kind], feed: &Feed, place: &mut Option<Place>, mut heard: impl FnMut()) -> StoreError {
    let Some(from) = *place else { return StoreError::Unreachable("nothing was read yet".to_owned()) };
    match store.cluster().await {
        Ok(now) if now.cluster == from.cluster && now.revision >= from.revision => {}
        Ok(_) => {
            *place = None;
            return StoreError::Unreachable("the cluster was restored or made anew; all is read again".to_owned());
        }
        Err(error) => return error,
    }
    let (first, end) = store.all_entries();
    let options = WatchOptions::new().with_range(end).with_start_revision(from.revision + 1);
    let mut client = store.client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut watch = match timeout(CALL_TIME_MAX, client.watch(first, Some(options))).await {
        Ok(Ok(watch)) => watch,
        Ok(Err(error)) => return unreachable(error),
        Err(_) => return super::too_slow(),
    };
    loop {
        match watch.message().await {
            Ok(Some(answer)) if answer.canceled() => {
                if answer.compact_revision() > 0 {
                    *place = None;
                }
                return StoreError::Unreachable(format!("the watch was cancelled: {}", answer.cancel_reason()));
            }
            Ok(Some(answer)) => {
                heard();
                if let Some(revision) = tell(store, kinds, feed, &answer) {
                    *place = Some(Place { revision, ..from });
                }
            }
            Ok(None) => return StoreError::Unreachable("the watch ended".to_owned()),
            Err(error) => return unreachable(error),
        }
    }
}

/// The revision that an answer of the watch brings up to, if it brings anything.
fn tell(store: &Etcd, kinds: &[Kind], feed: &Feed, answer: &WatchResponse) -> Option<i64> {
    let entries = answer.events().iter().filter_map(|event| event.kv().map(|entry| (event.event_type(), entry)));
    let revision = entries.clone().map(|(_, entry)| entry.mod_revision()).max()?;
    let seen = entries.filter_map(|(what, entry)| match what {
        EventType::Delete => Some((store.key_of(entry.key())?, Seen::Nothing)),
        EventType::Put => store.seen(entry),
    });
    let seen: Vec<_> = seen.filter(|(key, _)| kinds.contains(&key.kind)).collect();
    if !seen.is_empty() {
        feed.add(seen, revision.unsigned_abs());
    }
    Some(revision)
}

impl Etcd {
    /// Where the cluster is now.
    async fn cluster(&self) -> Result<Place, StoreError> {
        let name = self.name(".ledger");
        let answer = self.call(|client| super::get(client, name.clone().into_bytes(), etcd_client::GetOptions::new())).await?;
        let header = answer.header().ok_or_else(|| StoreError::Unreachable("an answer without a header".to_owned()))?;
        Ok(Place { revision: header.revision(), cluster: header.cluster_id() })
    }
}
