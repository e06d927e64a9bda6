//! The controller is killed at every request, or loses its lease; nothing in the zone is half or twice for that.

use karman::store::{Author, Expect, Key, Kind, Place, Transaction};
use rustix::process::Signal;

use super::Lab;
use super::relay::{Cut, Relay};
use crate::etcd::Etcd;
use crate::moto::Moto;
use crate::program::{KARMAN, Program, signal, wait_until};

/// A pass that makes everything takes fewer.
const REQUESTS_MAX: usize = 30;

/// A domain of its own in the zone, whose records are all to be made.
fn regions(lab: &Lab, domain: &str) {
    let text = format!("domain: {domain}\ndns:\n  zone: {}{}", lab.zone, super::REGIONS);
    std::fs::write(lab.dir.path().join("data/platform.yaml"), text).unwrap();
}

fn watch(lab: &Lab, relay: &Relay, name: &str) -> Program {
    Program::start_with(name, KARMAN.as_ref(), lab.dir.path(), ["dns", "apply", "--watch"], Moto::environment_at(relay.address))
}

fn settled(lab: &Lab) -> bool {
    lab.karman(&["dns", "plan"]).stdout.contains("0 to make, 0 to change, 0 to remove")
}

/// Two records of every name that two regions share, each with its mark, and one health check in all.
async fn assert_whole(lab: &Lab, domain: &str, when: &str) {
    assert_eq!(lab.at(&format!("*.{domain}")).await.len(), 2, "{when}");
    assert_eq!(lab.at(&format!("us-east-1.regions.{domain}")).await.len(), 2, "{when}");
    let checks = lab.client.list_health_checks().send().await.unwrap();
    assert_eq!(checks.health_checks().len(), 1, "{when}: {checks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_request_the_next_one_finishes_it_once() {
    let lab = Lab::start().await;
    let relay = Relay::start(lab.moto.address);
    let mut killed = 0;
    'requests: for after in 1..REQUESTS_MAX {
        for is_delivered in [true, false] {
            let domain = format!("d{after}-{}.example.com", u8::from(is_delivered));
            regions(&lab, &domain);
            relay.cut(Some(Cut { after, is_delivered }));
            let mut first = watch(&lab, &relay, "first");
            wait_until("it is cut or done", || relay.is_cut() || first.said().contains("changes"));
            let was_cut = relay.is_cut();
            first.kill();
            relay.cut(None);
            if !was_cut {
                break 'requests;
            }
            let mut next = watch(&lab, &relay, "next");
            wait_until("the next one has done it", || settled(&lab));
            next.kill();
            let when = format!("cut after {after}, delivered: {is_delivered}");
            assert_whole(&lab, &domain, &when).await;
            killed += 1;
        }
    }
    assert!(killed >= 6, "a pass has at least three requests; killed at {killed}: {:?}", relay.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stood_by_takes_over_from_one_that_was_killed_in_the_middle() {
    let lab = Lab::start().await;
    let relay = Relay::start(lab.moto.address);
    relay.cut(Some(Cut { after: 4, is_delivered: true }));
    let mut first = watch(&lab, &relay, "first");
    wait_until("it is in the middle", || relay.is_cut());
    let mut second = watch(&lab, &relay, "second");
    second.wait_for("keeps the records; standing by");
    assert!(!settled(&lab));
    first.kill();
    relay.cut(None);
    wait_until("the second one has done it", || settled(&lab));
    assert_whole(&lab, "apps.example.com", "taken over").await;
    assert!(second.said().contains("changes"), "{}", second.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_lost_its_lease_in_the_middle_writes_no_more() {
    let (lab, etcd) = (Lab::start().await, Etcd::start());
    let relay = Relay::start(lab.moto.address);
    let store = etcd.url().parse::<Place>().unwrap().open().await.unwrap();
    let platform = std::fs::read_to_string(lab.dir.path().join("data/platform.yaml")).unwrap();
    let put = Transaction::new(Author::controller("test")).put(Key::single(Kind::Platform), Expect::Anything, platform);
    store.commit(&put).await.unwrap();
    relay.cut(Some(Cut { after: 4, is_delivered: false }));
    let arguments = ["dns", "apply", "--watch", "--store", &etcd.url()];
    let environment = Moto::environment_at(relay.address);
    let mut first = Program::start_with("first", KARMAN.as_ref(), lab.dir.path(), arguments, environment);
    wait_until("it is in the middle", || relay.is_cut());
    signal(etcd.pid(0), Signal::STOP);
    // It waits for an answer that does not come, and then would go on.
    first.wait_for("the lease was lost");
    signal(etcd.pid(0), Signal::CONT);
    relay.cut(None);
    wait_until("it is its turn again", || first.said().matches("this one keeps the records").count() == 2);
    wait_until("it has done it", || first.said().contains("changes"));
    assert_whole(&lab, "apps.example.com", "after another lease").await;
}
