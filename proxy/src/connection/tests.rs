//! Connections that are counted at their app.

use std::sync::Barrier;
use std::thread;

use super::*;

#[test]
fn of_connections_that_come_at_once_none_gets_past_an_apps_limit() {
    const AT_ONCE: usize = 4;
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    for round in 0..3_000 {
        let (app, start) = (Arc::new(AppVitals::default()), Barrier::new(AT_ONCE));
        let come = || {
            let ends = Ends::new(address, address);
            start.wait();
            let is_served = ends.serve(&app, 1);
            (ends, is_served)
        };
        let came: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(come)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let served = came.iter().filter(|(_, is_served)| *is_served).count();
        assert_eq!((served, app.connections.load(Relaxed)), (1, 1), "round {round}");
    }
}
