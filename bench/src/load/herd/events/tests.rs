//! What follows from a short story of three clients.

use super::*;

fn story() -> (Instant, Vec<Event>) {
    let start = Instant::now();
    let event = |at, client, happened| Event { at: start + Duration::from_millis(at), client, happened };
    let live = |instance: &str| Happened::Live { instance: instance.to_owned() };
    let events = vec![
        event(0, 1, Happened::Came),
        event(0, 2, Happened::Came),
        event(0, 1, Happened::Opened { polling: false }),
        event(10, 1, live("a")),
        event(20, 2, live("b")),
        event(30, 3, live("a")),
        // At 100 a dies.
        event(150, 1, Happened::Lost),
        event(400, 1, Happened::Opened { polling: false }),
        event(500, 1, live("b")),
    ];
    (start, events)
}

#[test]
fn only_the_clients_of_the_dead_are_without_data_and_from_its_death_on() {
    let (start, events) = story();
    let mut without = without_live_data(&events, "a", start + Duration::from_millis(100));
    without.sort();
    assert_eq!(without, [None, Some(Duration::from_millis(400))]);
    let share = share_live_over_time(&without, 3, Duration::from_millis(100), Duration::from_millis(600), 0.2);
    let rounded: Vec<_> = share.iter().map(|(_, share)| share.round()).collect();
    assert_eq!(rounded, [100.0, 33.0, 33.0, 67.0]);
}

#[test]
fn sockets_are_counted_as_they_open_and_clients_by_their_last_word() {
    let (start, events) = story();
    assert_eq!(opened_over_time(&events, start, 0.25), [(0.0, 4.0), (0.25, 4.0)]);
    assert_eq!(live(&events), 3);
    assert_eq!(live(&events[..7]), 2);
}

#[test]
fn a_wait_begins_with_a_clients_coming_and_a_gap_with_its_loss() {
    let (start, events) = story();
    let mut waited = first_live(&events);
    waited.sort();
    assert_eq!(waited, [Some(Duration::from_millis(10)), Some(Duration::from_millis(20))]);
    assert_eq!(gaps(&events, start), [Some(Duration::from_millis(350))]);
    assert_eq!(gaps(&events[..8], start), [None], "it has lost its socket and not come back");
}
