//! Who gets a turn, and when.

use super::*;

const LIMITS: TurnLimits = TurnLimits { at_once: 2, queue: 1, patience: Duration::from_secs(60) };

#[tokio::test]
async fn turns_are_as_many_as_allowed_and_so_is_the_queue() {
    let turns = Arc::<Turns>::default();
    let (first, _second) = (turns.take(LIMITS).await.unwrap(), turns.take(LIMITS).await.unwrap());
    let waiting = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move { turns.take(LIMITS).await.map(drop) }
    });
    while turns.queued() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(turns.take(LIMITS).await.err(), Some(Code::QueueFull));
    drop(first);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(turns.queued(), 0);
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let turns = Arc::<Turns>::default();
    let limits = TurnLimits { at_once: 1, patience: Duration::from_millis(10), ..LIMITS };
    let _turn = turns.take(limits).await.unwrap();
    assert_eq!(turns.take(limits).await.err(), Some(Code::QueueTimeout));
    assert_eq!(turns.queued(), 0, "its place is free again");
}

#[tokio::test]
async fn nobody_passes_those_who_wait() {
    let turns = Arc::<Turns>::default();
    let limits = TurnLimits { at_once: 1, queue: 10, ..LIMITS };
    let mut turn = turns.take(limits).await.unwrap();
    let order = Arc::<std::sync::Mutex<Vec<usize>>>::default();
    let mut waiting = Vec::new();
    for n in 0..5 {
        let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let turn = turns.take(limits).await.unwrap();
            order.lock().unwrap().push(n);
            turn
        }));
        tokio::task::yield_now().await;
    }
    for next in waiting {
        drop(turn);
        turn = next.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn without_a_limit_nobody_waits() {
    let turns = Arc::<Turns>::default();
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(turns.take(TurnLimits { at_once: 0, queue: 0, patience: Duration::ZERO }).await.unwrap());
    }
}

/// Also not between the moment when a turn was freed and the one when the first of them runs.
#[tokio::test]
async fn nobody_passes_one_who_was_told_that_it_is_his_turn() {
    let turns = Arc::<Turns>::default();
    let limits = TurnLimits { at_once: 1, queue: 10, ..LIMITS };
    let turn = turns.take(limits).await.unwrap();
    let first = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move { turns.take(limits).await }
    });
    while turns.queued() == 0 {
        tokio::task::yield_now().await;
    }
    drop(turn);
    let impatient = TurnLimits { patience: Duration::ZERO, ..limits };
    assert_eq!(turns.take(impatient).await.err(), Some(Code::QueueTimeout));
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn who_waits_hears_that_more_are_allowed() {
    let turns = Arc::<Turns>::default();
    let limits = TurnLimits { at_once: 1, queue: 10, ..LIMITS };
    let _turn = turns.take(limits).await.unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(limits).await })
        })
        .collect();
    while turns.queued() < 3 {
        tokio::task::yield_now().await;
    }
    let more = TurnLimits { at_once: 5, ..limits };
    let fifth = turns.take(more).await.unwrap();
    for waiting in waiting {
        assert!(waiting.await.unwrap().is_ok(), "though none was given back");
    }
    drop(fifth);
}
