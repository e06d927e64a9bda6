//! When a table becomes unconfirmed, and when it is confirmed again.

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_table_is_doubted_once_when_nobody_spoke_of_it_for_a_minute() {
    let mut trust = Trust::new(at(60), at(100));
    assert_eq!((trust.look(at(100)), trust.look(at(130))), (Look::Again(at(60)), Look::Again(at(30))));
    assert_eq!(trust.look(at(159)), Look::Again(at(1)));
    assert!(!trust.is_unconfirmed(at(159)) && trust.is_unconfirmed(at(160)), "before anybody looked, too");
    assert_eq!((trust.look(at(160)), trust.look(at(161))), (Look::Lost, Look::StillLost));
    assert!(trust.is_unconfirmed(at(1_000_000)));
}

#[test]
fn a_word_is_good_for_another_minute() {
    let mut trust = Trust::new(at(60), at(0));
    assert!(!trust.hear(at(50)), "it was never doubted");
    assert_eq!(trust.look(at(109)), Look::Again(at(1)));
    assert!(trust.hear(at(200)), "doubted, though nobody had looked");
    assert_eq!(trust.look(at(201)), Look::Again(at(59)));
    assert_eq!(trust.look(at(260)), Look::Lost);
    assert!(trust.hear(at(261)) && !trust.hear(at(262)));
}
