//! The times of quarantine.

use super::*;

#[test]
fn quarantine_doubles_up_to_half_a_minute_with_jitter() {
    for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (u32::MAX, 30)] {
        assert_eq!(quarantine(failures, 0.5), Duration::from_secs(seconds), "{failures}");
    }
    assert_eq!(quarantine(1, 0.0), Duration::from_millis(800));
    assert_eq!(quarantine(1, 1.0), Duration::from_millis(1_200));
}
