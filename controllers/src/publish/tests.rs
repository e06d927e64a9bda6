//! What is sent to a proxy, and what is kept from it, as tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::app::App;
use karman_contract::document::{AppsDocument, Stamp, from_json};
use karman_contract::read::Reason;
use tokio::time::sleep_until;

use super::decide::{Has, Held, Items, Plan, decide};
use super::exceptions::Exceptions;
use super::known::Known;
use super::report::{Report, Reporter};
use super::target::Label;
use crate::store::Directory;

/// Apps by their ids; a digit after the id makes another version of it.
fn apps(words: &str) -> Items<App> {
    let app = |word: &str| {
        let (id, warm) = word.split_once(':').unwrap_or((word, "1"));
        format!(r#""{id}":{{"hosts":["{id}.test"],"instances":{{}},"warm_seconds":{warm}}}"#)
    };
    let text: Vec<_> = words.split_whitespace().map(app).collect();
    let document: AppsDocument = from_json(&format!(r#"{{"generation":1,"apps":{{{}}}}}"#, text.join(","))).unwrap();
    document.items.into_iter().map(|(id, app)| (id, Arc::new(app))).collect()
}

fn stamp(epoch: u64, generation: u64) -> Stamp {
    Stamp { epoch, generation }
}

fn has(words: &str, stamp: Stamp) -> Has<App> {
    Has::This(Held::new(stamp, apps(words).into()))
}

fn has_more(words: &str, stamp: Stamp) -> Has<App> {
    Has::More(Held::new(stamp, apps(words).into()))
}

fn ids(items: &Items<App>) -> String {
    items.iter().map(|(id, app)| format!("{id}:{}", app.warm_seconds)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_delta_where_it_can_be_and_a_snapshot_where_it_must() {
    let store = stamp(5, 10);
    for (name, has, wanted, plan) in [
        ("it never got one", Has::Nothing, "a", "whole"),
        ("it has this already", has("a b", stamp(5, 3)), "a b", "nothing"),
        ("it is a little behind", has("a b c", stamp(5, 9)), "a b:2 d", "9+ b d - c"),
        ("it has something that we do not know", Has::Unknown(stamp(5, 9)), "a", "whole"),
        ("it has more, that nobody could send", has_more("a b", stamp(5, 9)), "a:2", "9+ a - b"),
        ("it follows the epoch before", has("a", stamp(4, 99)), "a:2", "whole"),
        ("it has the same content under the epoch before", has("a", stamp(4, 99)), "a", "nothing"),
        ("it has something else under our generation", Has::Unknown(stamp(5, 10)), "a", "past 10"),
        ("somebody else wrote to it", has("a", stamp(5, 12)), "b", "past 12"),
        ("it follows a later epoch", Has::Unknown(stamp(6, 1)), "a", "ahead"),
    ] {
        let words = |keys: Vec<String>| keys.join(" ");
        let found = match decide(&has, &apps(wanted).into(), store) {
            Plan::Nothing => "nothing".to_owned(),
            Plan::Whole => "whole".to_owned(),
            Plan::GoPast(generation) => format!("past {generation}"),
            Plan::Ahead(_) => "ahead".to_owned(),
            Plan::Delta(delta) => {
                assert_eq!(delta.stamp, store, "{name}");
                let (put, remove) = (delta.put.keys().map(ToString::to_string), delta.remove.iter().map(ToString::to_string));
                format!("{}+ {} - {}", delta.base, words(put.collect()), words(remove.collect()))
            }
        };
        assert_eq!(found, plan, "{name}");
    }
}

#[test]
fn what_nobody_could_send_again_goes_on_in_the_epoch_before() {
    let plan = |has, wanted| decide(&has, &apps(wanted).into(), stamp(5, 10));
    assert!(matches!(plan(has_more("a", stamp(4, 99)), "a"), Plan::Nothing));
    assert!(matches!(plan(has_more("a", stamp(4, 99)), "a b"), Plan::Delta(delta) if delta.stamp == stamp(4, 100)));
    assert!(matches!(plan(has_more("a", stamp(5, 10)), "a b"), Plan::GoPast(10)));
    assert!(matches!(plan(has_more("a", stamp(6, 1)), "a b"), Plan::Ahead(_)));
}

#[test]
fn what_the_proxy_has_is_known_by_its_hash() {
    let all = Known::default();
    let (held, hash) = (stamp(5, 3), all.hash::<App>(stamp(5, 3), &apps("a b").into()));
    let recognized = |stamp, hash: Option<&str>, words| Has::recognized(stamp, hash, &apps(words).into(), &all);
    assert!(matches!(recognized(None, None, "a"), Has::Nothing));
    assert!(matches!(recognized(Some(held), Some(&hash), "a b"), Has::This(_)));
    assert!(matches!(recognized(Some(held), Some(&hash), "a b:2"), Has::Unknown(_)));
    assert!(matches!(recognized(Some(stamp(5, 4)), Some(&hash), "a b"), Has::Unknown(_)));
}

#[test]
fn a_refused_app_keeps_what_the_proxy_has_until_it_changes() {
    let mut exceptions = Exceptions::default();
    let held = apps("a b");
    let reasons = [Reason::new("put.b.hosts[0]", "no"), Reason::new("apps.c", "no"), Reason::new("apps.zz", "who?")];
    assert!(exceptions.refuse(&apps("a b:2 c"), &reasons));
    for (store, wanted) in
        [("a b:2 c", "a:1 b:1"), ("a:9 b:2 c", "a:9 b:1"), ("a b:3 c", "a:1 b:3"), ("a b:2 c:2", "a:1 b:2 c:2")]
    {
        assert_eq!(ids(&exceptions.apply(&apps(store), &held)), wanted, "{store}");
    }
    assert!(!exceptions.refuse(&apps("a"), &[Reason::new("generation", "no")]), "a reason that names no app teaches nothing");
    assert!(!exceptions.refuse(&apps("a"), &[Reason::new("apps.zz", "no")]));
}

#[test]
fn a_doubted_removal_holds_back_nothing_else() {
    let mut exceptions = Exceptions::default();
    let held = apps("a b c d");
    assert!(exceptions.hold_removal(&apps("a"), &held));
    assert_eq!(exceptions.removal().map(|removal| (removal.apps.len(), removal.of)), Some((3, 4)));
    assert_eq!(ids(&exceptions.apply(&apps("a:2 e"), &held)), "a:2 b:1 c:1 d:1 e:1");
    let held = apps("a:2 b c d e");
    assert_eq!(ids(&exceptions.apply(&apps("a:2 e"), &held)), "a:2 b:1 c:1 d:1 e:1", "and goes on");
    assert_eq!(ids(&exceptions.apply(&apps("a:2 b e"), &held)), "a:2 b:1 e:1", "another removal is asked for anew");
    assert_eq!(exceptions.removal(), None);
    let nothing = Items::<App>::default();
    assert!(!exceptions.hold_removal(&apps("a"), &nothing));
}

#[tokio::test]
async fn a_report_that_says_only_how_far_the_store_is_can_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = Directory::new(dir.path());
    store.make_folders().unwrap();
    let label = Label::from_name("edge");
    let report = |generation, problem: Option<&str>| Report {
        at: Timestamp::now(),
        at_socket: "admin.sock".to_owned(),
        edge: None,
        store: stamp(5, generation),
        up_to_date: problem.is_none(),
        problem: problem.map(str::to_owned),
        mistakes: Vec::new(),
        refused: BTreeMap::new(),
        held: None,
        held_certificates: None,
        rejected: BTreeMap::new(),
        without: BTreeMap::new(),
    };
    let mut reporter = Reporter::new(label.clone());
    for (generation, problem, stands) in
        [(1, None, 1), (2, None, 1), (3, Some("no"), 3), (4, Some("no"), 4), (5, None, 5), (6, None, 5)]
    {
        reporter.report(&store, report(generation, problem)).await;
        let found = Report::read_all(&store).await.unwrap().remove(&label).unwrap();
        assert_eq!(found.store.generation, stands, "{generation}");
        assert_eq!(reporter.due_at().is_some(), stands < generation, "{generation}");
    }
    sleep_until(reporter.due_at().unwrap()).await;
    assert!(reporter.report(&store, report(6, None)).await, "and comes in its time");
    assert_eq!(Report::read_all(&store).await.unwrap()[&label].store.generation, 6);
}
