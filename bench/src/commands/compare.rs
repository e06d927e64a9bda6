//! `karman-bench compare`: what got worse between two runs, by more than the runs spread and the machine itself changed.

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::lab::{Better, Unit};
use crate::report::{Results, Spread};

#[derive(Debug, Args)]
pub(crate) struct Options {
    before: PathBuf,
    after: PathBuf,
    /// How much worse a median may be, in percent, beside the spread
    #[arg(long, default_value_t = 10.0)]
    tolerance: f64,
}

/// So many rounds of each run tell a change from chance by not overlapping.
const ENOUGH: usize = 5;

/// Prints a line for each figure that got better or worse; exits 1 for a worse one.
pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let (before, after) = (Results::read_all(&options.before)?, Results::read_all(&options.after)?);
    let (mut judged, mut worse, mut without_spread) = (0, 0, 0);
    for then in &before {
        let Some(now) = after.iter().find(|now| now.scenario == then.scenario) else { continue };
        for contender in then.contenders() {
            for (figure, unit) in then.figures() {
                let Some((old, new)) = then.spread(contender, figure).zip(now.spread(contender, figure)) else { continue };
                if old.rounds.min(new.rounds) < 2 {
                    without_spread += 1;
                    continue;
                }
                judged += 1;
                let drift = drift(then, now, contender, figure);
                let Some(change) = beside(drift, old, new, unit, options.tolerance / 100.0) else { continue };
                worse += u32::from(change == Change::Worse);
                println!(
                    "{}: {}, {contender}, {figure}: {:.2}{unit} -> {:.2}{unit}, the others × {:.2} ({:.2} to {:.2})",
                    if change == Change::Worse { "worse" } else { "better" },
                    then.scenario,
                    old.median,
                    new.median,
                    drift.median,
                    drift.least,
                    drift.most,
                    unit = unit.symbol(),
                );
            }
        }
    }
    if judged + without_spread == 0 {
        return Err(io::Error::other("the two folders have no figure in common"));
    }
    println!("{worse} of {judged} figures got worse");
    if without_spread > 0 {
        println!("{without_spread} not judged: one round has no spread, and says nothing of the next; run both with --rounds 5");
    }
    Ok(if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Better,
    Worse,
}

/// How much the machine itself changed from run to run: what the other contenders' figures became, their median and the middle half
/// of them. 1 where there are none.
fn drift(then: &Results, now: &Results, contender: &str, figure: &str) -> Spread {
    let is_ours = |name: &str| name.starts_with("karman");
    let others = then.contenders().into_iter().filter(|other| *other != contender && !(is_ours(other) && is_ours(contender)));
    let both = others.filter_map(|other| then.spread(other, figure).zip(now.spread(other, figure)));
    let changes = both.filter(|(old, new)| old.median > 0.0 && new.median > 0.0).map(|(old, new)| new.median / old.median);
    let mut changes: Vec<f64> = changes.collect();
    changes.sort_by(f64::total_cmp);
    let at = |share| quantile(&changes, share).unwrap_or(1.0);
    Spread { least: at(0.25), median: at(0.5), most: at(0.75), rounds: changes.len() }
}

/// Pure: of values in their order, what a share of them does not exceed; between two of them by how near it is to each.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let place = share * values.len().checked_sub(1)? as f64;
    let (below, above) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// Pure: a slower machine does not slow down everybody alike. A change counts where it counts by the least of what it may have
/// done and by the most.
fn beside(drift: Spread, old: Spread, new: Spread, unit: Unit, tolerance: f64) -> Option<Change> {
    let by = |drift| change(old, new.over(drift), unit, tolerance);
    by(drift.least).filter(|change| by(drift.most) == Some(*change))
}

/// Pure: a change counts where the medians are further apart than the tolerance, and than what the rounds differ by.
///
/// Five rounds and five that do not overlap are so by chance for one figure in 126. Of three and three it is one in ten; so with
/// fewer than five the medians have to be further apart than both spreads together, which is one in a hundred, and finds less. Two
/// and two are too few for that too: one in eight, where noise is more than the tolerance.
fn change(old: Spread, new: Spread, unit: Unit, tolerance: f64) -> Option<Change> {
    let (up, down) = match unit.better() {
        Better::Less => (Change::Worse, Change::Better),
        Better::More => (Change::Better, Change::Worse),
        Better::Neither => return None,
    };
    let apart = new.median - old.median;
    let differ = if old.rounds.min(new.rounds) < ENOUGH {
        apart.abs() > (old.most - old.least) + (new.most - new.least)
    } else {
        old.most < new.least || new.most < old.least
    };
    if !differ || apart.abs() <= old.median * tolerance {
        None
    } else if apart > 0.0 {
        Some(up)
    } else {
        Some(down)
    }
}
