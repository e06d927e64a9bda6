//! Results as a Markdown table: a row for each figure, a column for each contender.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::{Results, Spread};
use crate::contender::Kind;
use crate::lab::{Better, Unit};

/// A median further off than this, and outside the spread, counts as behind.
const BEHIND: f64 = 1.05;

/// What stands where no remark says why.
const UNEXPLAINED: &str = "not explained yet";

pub(super) fn markdown(results: &Results, remarks: &[(&str, &str)]) -> String {
    let names = results.contenders();
    let Some((&ours, others)) = names.split_first() else { return failures(results) };
    // Where Karman had no turn, nobody is compared with anybody.
    let compared = ours == Kind::Karman.name();
    let mut text = format!("| |{}\n|---|{}\n", cells(&names), "---|".repeat(names.len()));
    let mut behind: Vec<(&str, Vec<String>)> = Vec::new();
    for (figure, unit) in results.figures() {
        let own = results.spread(ours, figure);
        let _ = write!(text, "| {figure} | {} |", own.map_or_else(String::new, |own| amount(own, unit)));
        let mut worse = Vec::new();
        for other in others {
            let Some(theirs) = results.spread(other, figure) else {
                text.push_str("  |");
                continue;
            };
            let _ = write!(
                text,
                " {}{} |",
                amount(theirs, unit),
                own.filter(|_| compared).map_or_else(String::new, |own| ratio(own, theirs))
            );
            if compared && own.is_some_and(|own| is_behind(own, theirs, unit.better())) {
                worse.push(*other);
            }
        }
        text.push('\n');
        if !worse.is_empty() {
            let why = remarks.iter().find(|(name, _)| figure.starts_with(name)).map_or(UNEXPLAINED, |(_, why)| why);
            let row = format!("*{figure}* ({})", worse.join(", "));
            match behind.iter_mut().find(|(other, _)| *other == why) {
                Some((_, rows)) => rows.push(row),
                None => behind.push((why, vec![row])),
            }
        }
    }
    errors(results, &names, &mut text);
    for (why, rows) in behind {
        let _ = write!(text, "\nBehind in {}: {why}\n", rows.join("; "));
    }
    for (name, _) in idle_remarks(results, remarks) {
        let _ = write!(text, "\n**A remark is about '{name}', and no figure's name begins so.**\n");
    }
    text + &failures(results)
}

/// Who is not in the table, and why.
fn failures(results: &Results) -> String {
    let left_out = results.left_out.iter().map(|(name, why)| format!("\nLeft out: {name}: {why}\n"));
    left_out.chain(results.failed.iter().map(|(name, why)| format!("\n**Failed: {name}: {why}**\n"))).collect()
}

/// Remarks on figures that the results do not have.
pub(super) fn idle_remarks<'r>(results: &Results, remarks: &[(&'r str, &'r str)]) -> Vec<(&'r str, &'r str)> {
    let figures = results.figures();
    remarks.iter().filter(|(name, _)| !figures.iter().any(|(figure, _)| figure.starts_with(name))).copied().collect()
}

fn cells(names: &[&str]) -> String {
    names.iter().map(|name| format!(" {name} |")).collect()
}

/// The errors by kind, if there were any.
fn errors(results: &Results, names: &[&str], text: &mut String) {
    let told: Vec<String> = names
        .iter()
        .map(|name| {
            let kinds = results.errors(name);
            let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
        })
        .collect();
    if told.iter().any(|told| told != "none") {
        let _ = writeln!(text, "| errors, all rounds | {} |", told.join(" | "));
    }
}

/// The median, and the least and the most where there was more than one round and they differ.
fn amount(spread: Spread, unit: Unit) -> String {
    let median = number(spread.median);
    let (least, most) = (number(spread.least), number(spread.most));
    let symbol = unit.symbol();
    if least == most { format!("{median}{symbol}") } else { format!("{median}{symbol} ({least} to {most})") }
}

/// Ours over theirs.
fn ratio(own: Spread, theirs: Spread) -> String {
    if theirs.median > 0.0 && own.median > 0.0 { format!(" ×{:.2}", own.median / theirs.median) } else { String::new() }
}

/// Worse by more than the spread of both explains.
fn is_behind(own: Spread, theirs: Spread, better: Better) -> bool {
    match better {
        Better::Less => own.median > theirs.median * BEHIND && own.least > theirs.most,
        Better::More => own.median * BEHIND < theirs.median && own.most < theirs.least,
        Better::Neither => false,
    }
}

pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
