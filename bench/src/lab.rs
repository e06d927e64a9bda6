//! A run of the lab: every contender has its turn in every round, one after the other.

#[cfg(test)]
mod tests;

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

/// A whole run takes less than half an hour: a further round is not begun after this, where nobody asked for a number of rounds.
const LAST_BEGINS: Duration = Duration::from_secs(27 * 60);

/// Runs these scenarios and writes their results; how many contenders failed?
///
/// The rounds of each are spread evenly over the run: what a machine does differently ten minutes later is within the spread.
pub(crate) fn run(scenarios: &[&'static Scenario], plan: &Plan) -> io::Result<usize> {
    let start = Instant::now();
    let mut runs: Vec<Run> = scenarios.iter().map(|scenario| Run::new(scenario, plan)).collect();
    let wanted: Vec<u32> = runs.iter().map(|run| run.wanted).collect();
    for (number, round) in order(&wanted) {
        let run = &mut runs[number];
        if may_begin(round, start.elapsed(), plan) {
            run.one_round(round, plan)?;
        } else {
            println!("{}, round {round} of {}: left out, the run has taken {LAST_BEGINS:?}", run.scenario.name, run.wanted);
        }
    }
    runs.iter().for_each(Run::tell);
    Ok(runs.iter().map(|run| run.results.failed.len()).sum())
}

/// Pure: the order of all rounds of scenarios that want so many each, as (its number, the round). A round's place is in the middle of
/// its share of the run.
fn order(wanted: &[u32]) -> Vec<(usize, u32)> {
    let rounds = |(number, &wanted): (usize, &u32)| (1..=wanted).map(move |round| (number, round));
    let mut all: Vec<_> = wanted.iter().enumerate().flat_map(rounds).collect();
    let place = |&(number, round): &(usize, u32)| (f64::from(round) - 0.5) / f64::from(wanted[number]);
    all.sort_by(|a, b| place(a).total_cmp(&place(b)));
    all
}

/// Pure: every scenario has its first round, and as many as somebody asked for.
fn may_begin(round: u32, since_start: Duration, plan: &Plan) -> bool {
    round == 1 || plan.rounds.is_some() || since_start < LAST_BEGINS
}

/// A scenario on its way.
struct Run {
    scenario: &'static Scenario,
    /// Rounds.
    wanted: u32,
    took: Duration,
    results: Results,
}

impl Run {
    fn new(scenario: &'static Scenario, plan: &Plan) -> Self {
        let results = Results {
            scenario: scenario.name.to_owned(),
            question: scenario.question.to_owned(),
            machine: Machine::here(),
            versions: Vec::new(),
            scale: plan.scale,
            rounds: 0,
            seconds: 0,
            left_out: Vec::new(),
            failed: Vec::new(),
            turns: Vec::new(),
        };
        Self { scenario, wanted: plan.rounds.unwrap_or(scenario.rounds), took: Duration::ZERO, results }
    }

    /// Every contender has its turn.
    ///
    /// One that is not installed is left out. One that fails has no further turn, and the others go on: a whole run is long.
    /// The results name both.
    fn one_round(&mut self, round: u32, plan: &Plan) -> io::Result<()> {
        let (start, rounds) = (Instant::now(), self.wanted);
        self.results.rounds = round;
        println!("{}, round {round} of {rounds}", self.scenario.name);
        for &kind in self.scenario.contenders.iter().filter(|kind| plan.wants(**kind)) {
            let name = kind.name();
            if self.results.left_out.iter().chain(&self.results.failed).any(|(out, _)| out == name) {
                continue;
            }
            progress(&format!("{} · round {round} of {rounds} · {name}", self.scenario.name));
            if let Err(why) = kind.is_here() {
                println!("  left out: {name}: {why}");
                self.results.left_out.push((name.to_owned(), why));
                continue;
            }
            match (self.scenario.measure)(&Turn { kind, scale: plan.scale }) {
                Ok(reading) => self.results.turns.push(Turned { contender: name.to_owned(), round, reading }),
                Err(e) => {
                    println!("  failed: {name}: {e}");
                    // What a peer said may be many lines; the page has one.
                    let why = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                    self.results.failed.push((name.to_owned(), format!("round {round}: {why}")));
                }
            }
        }
        progress("");
        self.took += start.elapsed();
        self.results.seconds = whole_seconds(self.took);
        self.results.versions = versions(&self.results.turns);
        self.results.write(&plan.out, self.scenario.plots)?;
        println!("  {} s", whole_seconds(start.elapsed()));
        Ok(())
    }

    fn tell(&self) {
        print!("\n{}: {}\n{}", self.scenario.name, self.scenario.question, self.results.table(self.scenario.remarks));
        println!("  {} rounds in {} s", self.results.rounds, self.results.seconds);
    }
}

impl Plan {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == kind.name())
    }
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
