//! A run of the lab: every contender has its turn in every round, one after the other.

mod reading;
mod scenario;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::contender::Kind;
use crate::report::{Machine, Results, Turned};
pub(crate) use reading::{Better, Reading, Unit};
pub(crate) use scenario::{Panel, Plot, Scenario, Turn};

/// What is run, how often and on how large a scale.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The share of a scenario's full size; tests of the lab run small.
    pub(crate) scale: f64,
    /// Instead of each scenario's own number.
    pub(crate) rounds: Option<u32>,
    /// Only these contenders, by name; all without any.
    pub(crate) only: Vec<String>,
    /// Where results are written.
    pub(crate) out: PathBuf,
}

/// Runs one scenario and writes its results.
///
/// Contenders that are not installed are left out. One that fails has no further turn, and the others go on: a whole run is long.
/// The results name both.
pub(crate) fn run(scenario: &Scenario, plan: &Plan) -> io::Result<Results> {
    let start = Instant::now();
    let rounds = plan.rounds.unwrap_or(scenario.rounds);
    println!("{}: {}", scenario.name, scenario.question);
    let mut left_out: Vec<(Kind, String)> = Vec::new();
    let mut failed = Vec::new();
    let mut turns = Vec::new();
    for round in 1..=rounds {
        for &kind in scenario.contenders.iter().filter(|kind| plan.wants(**kind)) {
            if left_out.iter().chain(&failed).any(|(out, _)| *out == kind) {
                continue;
            }
            progress(&format!("{} · round {round} of {rounds} · {}", scenario.name, kind.name()));
            let turn = Turn { kind, scale: plan.scale };
            if let Err(why) = kind.is_here() {
                println!("  left out: {}: {why}", kind.name());
                left_out.push((kind, why));
                continue;
            }
            match (scenario.measure)(&turn) {
                Ok(reading) => turns.push(Turned { contender: kind.name().to_owned(), round, reading }),
                Err(e) => {
                    println!("  failed in round {round}: {}: {e}", kind.name());
                    failed.push((kind, format!("round {round}: {e}")));
                }
            }
        }
    }
    progress("");
    let results = Results {
        scenario: scenario.name.to_owned(),
        question: scenario.question.to_owned(),
        machine: Machine::here(),
        versions: versions(&turns),
        scale: plan.scale,
        rounds,
        seconds: whole_seconds(start.elapsed()),
        left_out: named(left_out),
        failed: named(failed),
        turns,
    };
    results.write(&plan.out, scenario.plots)?;
    print!("{}", results.table(scenario.remarks));
    println!("  {} s\n", results.seconds);
    Ok(results)
}

impl Plan {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == kind.name())
    }
}

fn named(contenders: Vec<(Kind, String)>) -> Vec<(String, String)> {
    contenders.into_iter().map(|(kind, why)| (kind.name().to_owned(), why)).collect()
}

fn versions(turns: &[Turned]) -> Vec<(String, String)> {
    let mut names: Vec<&str> = turns.iter().map(|turn| turn.contender.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let kinds = names.into_iter().filter_map(Kind::of_name);
    kinds.map(|kind| (kind.name().to_owned(), kind.version())).collect()
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().round() as u64
}

/// One line that is written over, on a terminal; nothing elsewhere.
pub(crate) fn progress(line: &str) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K{line}");
        let _ = stderr.flush();
    }
}
