//! The ticks of a connection, one after the other.

use super::*;

/// Ticks through `heard`: whether anything came before each tick.
fn check(mut heartbeat: Heartbeat, heard: &[bool], wanted: &[Beat]) {
    let beats: Vec<Beat> = heard
        .iter()
        .map(|&heard| {
            if heard {
                heartbeat.heard();
            }
            heartbeat.beat(heartbeat.next())
        })
        .collect();
    assert_eq!(beats, wanted);
}

#[test]
fn an_idle_client_is_pinged_at_every_other_tick() {
    let start = Instant::now();
    check(Heartbeat::start(start), &[false, true, false, true], &[Beat::Ping, Beat::Quiet, Beat::Ping, Beat::Quiet]);
}

#[test]
fn a_talking_client_is_never_pinged() {
    check(Heartbeat::start(Instant::now()), &[true, true, true], &[Beat::Quiet, Beat::Quiet, Beat::Quiet]);
}

#[test]
fn a_silent_client_is_dead_one_tick_after_the_ping() {
    let mut heartbeat = Heartbeat::start(Instant::now());
    assert_eq!(heartbeat.beat(heartbeat.next()), Beat::Ping);
    let pinged = heartbeat.next();
    assert_eq!(heartbeat.beat(pinged), Beat::Dead);
}

#[test]
fn a_client_that_never_connects_is_dead_whatever_it_says() {
    let start = Instant::now();
    let heartbeat = Heartbeat::before_connect(start);
    assert_eq!(heartbeat.next() - start, CONNECT_LIMIT);
    check(heartbeat, &[true], &[Beat::Dead]);
}
