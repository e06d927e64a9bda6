//! `karman-bench run`: scenarios, and a page of all results in their folder.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::contender::Kind;
use crate::lab::{self, Plan, Scenario};
use crate::report::{Machine, Results};
use crate::scenarios;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Scenarios by name; all without any
    scenarios: Vec<String>,
    /// Rounds, in each of which every contender has its turn; each scenario's own number without it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: Option<u32>,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// The share of each scenario's full size, from 0.01 to 1
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Where results are written; bench/results/DATE-MACHINE without it
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let scenarios = chosen(&options.scenarios)?;
    if let Some(name) = options.contenders.iter().find(|name| Kind::of_name(name).is_none()) {
        return Err(io::Error::other(format!("there is no contender '{name}'")));
    }
    let out = options.out.clone().unwrap_or_else(default_folder);
    let plan = Plan { scale: options.scale, rounds: options.rounds, only: options.contenders.clone(), out };
    let failed = lab::run(&scenarios, &plan)?;
    let page = plan.out.join("README.md");
    fs::write(&page, whole_page(&plan.out)?)?;
    println!("results: {}", page.display());
    if failed > 0 {
        return Err(io::Error::other(format!("{failed} contenders failed in a scenario; the page names them")));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> io::Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(scenarios::ALL.to_vec());
    }
    let find = |name: &String| {
        scenarios::of_name(name)
            .ok_or_else(|| io::Error::other(format!("there is no scenario '{name}'; 'karman-bench list' names them")))
    };
    names.iter().map(find).collect()
}

fn default_folder() -> PathBuf {
    // The year, month and day of UTC, as RFC 3339 begins.
    let date = jiff::Timestamp::now().to_string().chars().take(10).collect::<String>();
    Path::new("bench/results").join(format!("{date}-{}", Machine::here().slug()))
}

/// Every scenario whose results are in the folder, in the order of the lab.
fn whole_page(folder: &Path) -> io::Result<String> {
    let results = Results::read_all(folder)?;
    let mut page = String::from("# Results of the spike lab\n\n");
    if let Some(Results { machine, .. }) = results.first() {
        let _ = writeln!(
            page,
            "{} ({} cores, {} GB), {}, Linux {}. Load, contender and app share the machine{}; access logs are off but in 'logged'.\n",
            machine.processor,
            machine.cores,
            machine.memory_gb,
            machine.system,
            machine.kernel,
            if machine.pinned { ", each on cores of its own" } else { ", nothing is pinned" },
        );
    }
    page.push_str(
        "Medians of the rounds, least and most in brackets; `×` is Karman's median over the peer's. Absolute figures drift, ratios hold.\n",
    );
    versions(&results, &mut page);
    let order = |results: &&Results| scenarios::ALL.iter().position(|scenario| scenario.name == results.scenario);
    let mut sorted: Vec<&Results> = results.iter().collect();
    sorted.sort_by_key(order);
    for results in sorted {
        let scenario = scenarios::of_name(&results.scenario);
        let _ = writeln!(page, "\n## {}\n\n{}\n", results.scenario, results.question);
        page.push_str(&results.table(scenario.map_or(&[], |scenario| scenario.remarks)));
        for plot in scenario.map_or(&[][..], |scenario| scenario.plots) {
            let _ = writeln!(page, "\n![{}]({}-{}.svg)", plot.title, results.scenario, plot.file);
        }
        let size = if results.scale < 1.0 { format!(" at {:.0} % of its size", results.scale * 100.0) } else { String::new() };
        let _ = writeln!(page, "\n{} rounds{size} in {} s.", results.rounds, results.seconds);
    }
    Ok(page)
}

fn versions(results: &[Results], page: &mut String) {
    let mut all: Vec<&(String, String)> = results.iter().flat_map(|results| &results.versions).collect();
    all.sort();
    all.dedup();
    page.push_str("\n| contender | version |\n|---|---|\n");
    for (name, version) in all {
        let _ = writeln!(page, "| {name} | {version} |");
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.01..=1.0).contains(&scale) => Ok(scale),
        _ => Err("wanted 0.01 to 1".to_owned()),
    }
}
