//! Balancing by the thousand.

use super::*;

#[test]
fn warmth_rises_from_a_tenth_to_one() {
    let warm_up = Duration::from_secs(30);
    for (ready_for, wanted) in [(None, 1.0), (Some(0), 0.1), (Some(15), 0.5), (Some(30), 1.0), (Some(60), 1.0)] {
        assert_eq!(warmth(ready_for.map(Duration::from_secs), warm_up), wanted, "{ready_for:?}");
    }
    assert_eq!(warmth(Some(Duration::ZERO), Duration::ZERO), 1.0, "no warm-up asked for");
}

#[test]
fn the_least_loaded_is_chosen_and_ties_are_even() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut chosen = [0; 3];
    for _ in 0..3_000 {
        let loads = [(4, 1.0), (4, 1.0), (4, 1.0)];
        chosen[least_loaded(loads.into_iter(), |n| random.usize(..n)).unwrap()] += 1;
    }
    assert!(chosen.iter().all(|count| (850..1150).contains(count)), "{chosen:?}");
    assert_eq!(least_loaded([(5, 1.0), (2, 1.0), (9, 1.0)].into_iter(), |_| 0), Some(1));
    assert_eq!(least_loaded(std::iter::empty(), |_| 0), None);
}

#[test]
fn a_newborn_gets_a_tenth_of_a_herd_at_first() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut loads = [0_u32, 0];
    for _ in 0..1_100 {
        let candidates = [(loads[0], 1.0), (loads[1], 0.1)];
        loads[least_loaded(candidates.into_iter(), |n| random.usize(..n)).unwrap()] += 1;
    }
    assert!((80..120).contains(&loads[1]), "{loads:?}");
}

#[test]
fn rendezvous_is_stable_even_and_moves_only_what_it_must() {
    let tags = [11, 22, 33, 44];
    let mut counts = [0; 4];
    for session in 0..4_000 {
        let key = format!("session{session}");
        let chosen = rendezvous(&key, tags.into_iter()).unwrap();
        counts[chosen] += 1;
        assert_eq!(rendezvous(&key, tags.into_iter()), Some(chosen));
        if chosen != 3 {
            assert_eq!(rendezvous(&key, tags.into_iter().take(3)), Some(chosen), "a key moved that did not have to");
        }
    }
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}
