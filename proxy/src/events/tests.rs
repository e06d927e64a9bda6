//! Following events, and coming back too late.

use super::*;

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id).collect()
}

#[test]
fn a_follower_resumes_where_it_was_or_is_told_that_it_missed_some() {
    let events = Events::new(Edge { name: "e".to_owned(), region: "local".to_owned() });
    assert!(events.after(0, 10).is_empty());
    for _ in 0..3 {
        events.tell(EventKind::AppUp, About::default());
    }
    assert_eq!(ids(&events.after(0, 10)), [1, 2, 3]);
    assert_eq!(ids(&events.after(0, 2)), [1, 2]);
    assert_eq!(ids(&events.after(2, 10)), [3]);
    assert!(events.after(3, 10).is_empty());
    let from_an_earlier_process = events.after(99, 10);
    assert_eq!(from_an_earlier_process[0].event, EventKind::Reset);
    assert_eq!(ids(&from_an_earlier_process[1..]), [1, 2, 3]);

    for _ in 0..EVENTS_KEPT {
        events.tell(EventKind::AppDown, About::default());
    }
    let late = events.after(2, 2);
    assert_eq!(late[0].event, EventKind::Reset);
    assert_eq!(ids(&late), [3, 4, 5], "a follower that goes on from the reset's id misses nothing that is kept");
}
