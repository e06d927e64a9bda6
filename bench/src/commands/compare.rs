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
                let Some(change) = change(old, new.over(drift), unit, options.tolerance / 100.0) else { continue };
                worse += u32::from(change == Change::Worse);
                println!(
                    "{}: {}, {contender}, {figure}: {:.2}{unit} -> {:.2}{unit}, the others × {drift:.2}",
                    if change == Change::Worse { "worse" } else { "better" },
                    then.scenario,
                    old.median,
                    new.median,
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
        println!("{without_spread} not judged: one round has no spread, and says nothing of the next; run both with --rounds 3");
    }
    Ok(if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Better,
    Worse,
}

/// How much the machine itself changed from run to run: the median of what the other contenders' figures became. 1 where there are none.
fn drift(then: &Results, now: &Results, contender: &str, figure: &str) -> f64 {
    let is_ours = |name: &str| name.starts_with("karman");
    let others = then.contenders().into_iter().filter(|other| *other != contender && !(is_ours(other) && is_ours(contender)));
    let both = others.filter_map(|other| then.spread(other, figure).zip(now.spread(other, figure)));
    let changes = both.filter(|(old, new)| old.median > 0.0 && new.median > 0.0).map(|(old, new)| new.median / old.median);
    Spread::of(changes.collect()).map_or(1.0, |changes| changes.median)
}

/// Pure: a change counts where the medians are further apart than both spreads together, and than the tolerance.
///
/// That the rounds of the two do not overlap is not enough: of three and three it happens to one figure in ten by chance, this to
/// one in a hundred. Two and two are too few for that: one in eight, where noise is more than the tolerance.
fn change(old: Spread, new: Spread, unit: Unit, tolerance: f64) -> Option<Change> {
    let (up, down) = match unit.better() {
        Better::Less => (Change::Worse, Change::Better),
        Better::More => (Change::Better, Change::Worse),
        Better::Neither => return None,
    };
    let noise = (old.most - old.least) + (new.most - new.least);
    let apart = new.median - old.median;
    if apart.abs() <= noise.max(old.median * tolerance) {
        None
    } else if apart > 0.0 {
        Some(up)
    } else {
        Some(down)
    }
}
