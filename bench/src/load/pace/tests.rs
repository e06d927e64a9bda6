//! Requests come by the clock, whatever the server does, and are timed by the clock.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// Answers everything on every connection at once, but stalls for `stall` at its request number `at`.
fn serve(at: u32, stall: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut heard = [0; 4096];
        for n in 0.. {
            // The lab's client sends a request in one write and waits for its answer.
            if client.read(&mut heard).unwrap_or(0) == 0 {
                return;
            }
            if n == at {
                thread::sleep(stall);
            }
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    });
    address
}

#[test]
fn a_stall_is_seen_by_every_request_that_was_due_within_it() {
    let asked = Asked::get(serve(10, Duration::from_millis(500)), "/");
    let noted = steady(&asked, 1, 100.0, Duration::from_secs(1));
    assert!((99..=101).contains(&noted.answered()) && noted.failed() == 0, "{} answered, {:?}", noted.answered(), noted.errors);
    // 100 a second for half a second: the first waits for all of it, the last for almost nothing.
    let late = noted.times.iter().filter(|(_, took)| *took > 100.0).count();
    assert!((35..=90).contains(&late), "{late} of 100 waited for more than 100 ms");
    assert!(noted.latency.at(1.0) >= Duration::from_millis(500), "{}", noted.latency.line());
}

#[test]
fn as_many_are_due_as_the_rate_says_while_it_grows_too() {
    let due = |rate: Rate<'_>| {
        let mut count = 0;
        let mut next = next_due(Duration::ZERO, 1.0, rate);
        while let Some(at) = next {
            count += 1;
            next = next_due(at, 1.0, rate);
        }
        count
    };
    let all = Duration::from_secs(2);
    assert!((1_995..=2_001).contains(&due(&|at| (at < all).then_some(1_000.0))));
    // Evenly from 0 to 2,000 a second within two seconds.
    let grown = due(&|at| (at < all).then_some(1.0 + 1_000.0 * at.as_secs_f64()));
    assert!((1_980..=2_020).contains(&grown), "{grown}");
}

#[test]
fn a_request_that_could_not_be_sent_in_time_is_an_error_and_holds_nothing_up() {
    let asked = Asked { latest: Duration::from_millis(100), ..Asked::get(serve(0, Duration::from_millis(600)), "/") };
    let start = Instant::now();
    let noted = steady(&asked, 1, 100.0, Duration::from_millis(400));
    assert!(start.elapsed() < Duration::from_secs(5));
    // The first was sent and answered late; the others were due more than 100 ms before the connection was free.
    assert_eq!((noted.answered(), noted.errors.get("not sent in time").copied().unwrap_or(0)), (1, noted.failed()));
    assert!((38..=40).contains(&noted.failed()), "{}", noted.failed());
}

#[test]
fn loads_that_run_together_begin_together_and_are_noted_apart() {
    let (often, seldom) = (Asked::get(serve(0, Duration::ZERO), "/"), Asked::get(serve(0, Duration::from_millis(300)), "/"));
    let end = |per_second| move |at: Duration| (at < Duration::from_millis(400)).then_some(per_second);
    let [first, second] = together([(&often, 1, &end(100.0)), (&seldom, 1, &end(50.0))]);
    let answered = (first.answered(), second.answered());
    assert!((39..=41).contains(&answered.0) && (19..=21).contains(&answered.1), "{answered:?}");
    // The stall is at the start, and only one of them has it.
    assert!(second.latency.at(1.0) >= Duration::from_millis(300) && first.latency.at(0.5) < Duration::from_millis(150));
    assert_eq!((first.times[0].0, second.times[0].0), (0.0, 0.0));
}
