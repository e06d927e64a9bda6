//! Results: kept as JSON, told as a table of ratios, drawn as pictures.

pub(crate) mod headline;
mod machine;
mod plot;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::lab::{Plot, Reading, Unit};
pub(crate) use machine::Machine;

/// What one scenario gave in one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) scenario: String,
    pub(crate) question: String,
    pub(crate) machine: Machine,
    /// Of each contender.
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) scale: f64,
    pub(crate) rounds: u32,
    /// How long it took.
    pub(crate) seconds: u64,
    /// Who is not installed, and what is missing.
    pub(crate) left_out: Vec<(String, String)>,
    /// Whose turn ended in an error, in which round and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<(String, String)>,
    pub(crate) turns: Vec<Turned>,
}

/// One contender's reading of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Turned {
    pub(crate) contender: String,
    pub(crate) round: u32,
    pub(crate) reading: Reading,
}

/// The median of the rounds, the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

impl Results {
    pub(crate) fn write(&self, out: &Path, plots: &[Plot]) -> io::Result<()> {
        fs::create_dir_all(out)?;
        fs::write(out.join(format!("{}.json", self.scenario)), serde_json::to_string(self)? + "\n")?;
        for plot in plots {
            fs::write(out.join(format!("{}-{}.svg", self.scenario, plot.file)), plot::draw(self, plot))?;
        }
        Ok(())
    }

    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        serde_json::from_str(&text).map_err(|e| io::Error::other(format!("{}: {e}", file.display())))
    }

    /// Every scenario of a folder of results, by name.
    pub(crate) fn read_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// A Markdown table of its figures, with the ratio to the first contender's.
    pub(crate) fn table(&self, remarks: &[(&str, &str)]) -> String {
        table::markdown(self, remarks)
    }

    /// Contenders in the order of their turns.
    pub(crate) fn contenders(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for turn in &self.turns {
            if !names.contains(&turn.contender.as_str()) {
                names.push(&turn.contender);
            }
        }
        names
    }

    /// Figures in the order in which readings put them.
    pub(crate) fn figures(&self) -> Vec<(&str, Unit)> {
        let mut figures: Vec<(&str, Unit)> = Vec::new();
        for value in self.turns.iter().flat_map(|turn| &turn.reading.values) {
            if !figures.iter().any(|(name, _)| *name == value.name) {
                figures.push((&value.name, value.unit));
            }
        }
        figures
    }

    /// How a figure of a contender spread over the rounds.
    pub(crate) fn spread(&self, contender: &str, figure: &str) -> Option<Spread> {
        let turns = self.turns.iter().filter(|turn| turn.contender == contender);
        let values = turns.flat_map(|turn| &turn.reading.values).filter(|value| value.name == figure);
        Spread::of(values.map(|value| value.value).collect())
    }

    /// The reading of a contender's last round: what is drawn.
    pub(crate) fn last(&self, contender: &str) -> Option<&Reading> {
        self.turns.iter().rfind(|turn| turn.contender == contender).map(|turn| &turn.reading)
    }

    /// Errors of a contender by kind, over all rounds.
    pub(crate) fn errors(&self, contender: &str) -> Vec<(&str, u64)> {
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for turn in self.turns.iter().filter(|turn| turn.contender == contender) {
            for (kind, count) in &turn.reading.errors {
                match sums.iter_mut().find(|(known, _)| known == kind) {
                    Some((_, sum)) => *sum += count,
                    None => sums.push((kind, *count)),
                }
            }
        }
        sums
    }
}

/// The folder of the newest results: their names begin with the day.
pub(crate) fn newest(results: &Path) -> io::Result<PathBuf> {
    let folders: Vec<PathBuf> = fs::read_dir(results)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let newest = folders.into_iter().filter(|folder| folder.is_dir()).max();
    newest.ok_or_else(|| io::Error::other(format!("{} holds no results", results.display())))
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { least, median, most, rounds: values.len() })
    }

    /// The same on a machine that is not so many times slower.
    pub(crate) fn over(self, times: f64) -> Self {
        Self { least: self.least / times, median: self.median / times, most: self.most / times, ..self }
    }
}

#[cfg(test)]
impl Results {
    /// One figure: the turns' contenders and values, in their order.
    pub(crate) fn of_figure(figure: &str, unit: Unit, turns: &[(&str, f64)]) -> Self {
        let turn = |(n, (contender, value)): (usize, &(&str, f64))| {
            let mut reading = Reading::default();
            reading.put(figure, unit, *value);
            let before = turns[..n].iter().filter(|(other, _)| other == contender).count();
            Turned { contender: (*contender).to_owned(), round: before as u32 + 1, reading }
        };
        let turns: Vec<_> = turns.iter().enumerate().map(turn).collect();
        Self {
            scenario: "a".to_owned(),
            question: "What?".to_owned(),
            machine: Machine::here(),
            versions: Vec::new(),
            scale: 1.0,
            rounds: turns.iter().map(|turn| turn.round).max().unwrap_or_default(),
            seconds: 1,
            left_out: Vec::new(),
            failed: Vec::new(),
            turns,
        }
    }
}
