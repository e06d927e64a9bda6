//! Whoever waits as told stays under the rate.

use proptest::prelude::*;

use super::*;

#[test]
fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
    let mut bucket = Bucket::new(25, 5);
    assert!((0..25).all(|_| bucket.take(1, Duration::ZERO).is_zero()));
    assert_eq!(bucket.take(1, Duration::ZERO), Duration::from_millis(200));
    assert_eq!(bucket.take(1, Duration::from_millis(200)), Duration::from_millis(200));
    assert_eq!(bucket.take(10, Duration::from_secs(60)), Duration::ZERO);
    bucket.empty(Duration::from_secs(60));
    assert_eq!(bucket.take(5, Duration::from_secs(60)), Duration::from_secs(1));
}

proptest! {
    #[test]
    fn whoever_waits_as_told_never_spends_more_than_burst_and_rate(takes in prop::collection::vec((1u32..40, 0u64..3_000), 1..60)) {
        let (burst, per_second) = (20, 7);
        let mut bucket = Bucket::new(burst, per_second);
        let (mut now, mut spent) = (Duration::ZERO, 0);
        for (tokens, pause_millis) in takes {
            now += Duration::from_millis(pause_millis);
            now += bucket.take(tokens, now);
            spent += tokens;
            let allowed = f64::from(burst) + now.as_secs_f64() * f64::from(per_second);
            prop_assert!(f64::from(spent) <= allowed + 0.001, "{spent} within {now:?}");
        }
    }
}
