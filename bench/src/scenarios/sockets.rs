//! What does a WebSocket cost the proxy, idle and chatting?

use std::io;

use crate::contender::{self, Contender, Job};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::{Latency, block_on, socket};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "sockets",
    question: "What does a WebSocket cost the proxy: 4,000 that are idle, and 32 that say 128 bytes and hear as much?",
    contenders: contender::ALL,
    measure,
    rounds: 3,
    plots: &[Plot {
        file: "memory",
        title: "Memory against open sockets",
        x: "idle sockets",
        panels: &[Panel { series: "memory, MB", y: "memory of the proxy, MB" }],
    }],
    remarks: &[
        (
            "CPU a round trip",
            "nginx makes the same three system calls a message, so the rest is user mode: its instructions come next",
        ),
        (
            "a round trip,",
            "32 sockets speak as fast as they are answered, on two cores with the app and the load; the CPU a round trip is within it",
        ),
        (
            "memory of an idle socket",
            "what a tunnel keeps: two registrations with the kernel, its frame trackers, who its client is; the picture has it against their \
             number. Smaller or fewer of them is what changes it",
        ),
    ],
};

/// Idle sockets, each time memory is looked at; the last is all of them.
const IDLE: [u32; 4] = [500, 1_000, 2_000, 4_000];
const CHATTING: u32 = 32;
const TRIPS: u32 = 1_500;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let mut reading = Reading::default();
    block_on(async {
        // One socket first, so that what is only made once is not counted.
        let warm = socket::open(contender.address, "/websocket").await?;
        let before = contender.memory()?;
        let mut idle = Vec::new();
        let mut series = vec![(0.0, before as f64 / 1e6)];
        let (mut now, mut broken) = (before, 0);
        for count in IDLE {
            let missing = turn.scaled(count, count / 20).saturating_sub(idle.len() as u32);
            let (more, lost) = socket::open_standing(contender.address, missing).await?;
            idle.extend(more);
            broken += lost;
            now = contender.memory()?;
            series.push((idle.len() as f64, now as f64 / 1e6));
        }
        let bytes = now.saturating_sub(before) as f64 / idle.len() as f64;
        reading.put("memory of an idle socket", Unit::Kilobytes, bytes / 1e3);
        reading.put_series("memory, MB", series);
        drop((warm, idle));

        let (chatting, lost) = socket::open_standing(contender.address, CHATTING).await?;
        reading.count_error("broken off as soon as it was open", (broken + lost).into());
        let trips = turn.scaled(TRIPS, 50);
        let before = contender.cpu_time()?;
        let parts = futures_util::future::try_join_all(chatting.into_iter().map(|socket| socket::chat(socket, trips))).await?;
        let spent = contender.cpu_time()?.saturating_sub(before);
        let mut latency = Latency::new();
        parts.iter().for_each(|part| latency.add(part));
        reading.put_cpu("CPU a round trip", spent, latency.count());
        reading.put_latency("a round trip,", &latency);
        Ok(reading)
    })
}
