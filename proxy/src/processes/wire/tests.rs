//! What is found in a report, and what takes its place.

use super::*;

fn which(instance: &str) -> Which {
    Which { app: "todos".parse().unwrap(), instance: instance.parse().unwrap(), address: "127.0.0.1:1".parse().unwrap() }
}

fn carried(instance: &str, tunnels: u64) -> Carried {
    Carried { of: which(instance), tunnels, in_flight: 0, left_ms: None, oldest_ms: None }
}

#[test]
fn each_instance_is_found_in_a_report_and_what_is_heard_of_it_takes_its_place() {
    let counted =
        |instance, opened| InstanceCounters { of: which(instance), counted: Counters { opened, ..Counters::default() } };
    let mut report = Report {
        // Two vitals of one process may count the same instance.
        carried: vec![carried("c", 3), carried("a", 1), carried("b", 2), carried("a", 5)],
        counted_at: vec![counted("b", 20), counted("a", 10)],
        ..Report::of_silent(1)
    }
    .sorted();
    let tunnels = |report: &Report, instance| -> Vec<u64> {
        report.carried_of(&which(instance)).iter().map(|carried| carried.tunnels).collect()
    };
    assert_eq!(tunnels(&report, "a"), [1, 5]);
    assert_eq!(tunnels(&report, "c"), [3]);
    assert!(tunnels(&report, "d").is_empty());
    assert_eq!(report.counted_of(&which("a")).map(|counted| counted.opened), Some(10));
    assert_eq!(report.counted_of(&which("c")), None);

    for (instance, now) in [("a", 4), ("b", 0), ("bb", 7)] {
        report.put(carried(instance, now));
    }
    let all: Vec<_> = report.carried.iter().map(|carried| (carried.of.instance.as_str(), carried.tunnels)).collect();
    assert_eq!(all, [("a", 4), ("bb", 7), ("c", 3)]);
}
