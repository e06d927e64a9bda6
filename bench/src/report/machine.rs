//! What the figures were made on.

use std::fs;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    /// No process is pinned: load, contender and app share all cores, as they would on one machine.
    pub(crate) pinned: bool,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once([':', '=']).map_or("unknown", |(_, value)| value).trim().trim_matches('"').to_owned()
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        let kilobytes = memory.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        Self {
            processor: field(&text("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: kilobytes / 1_000_000,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&text("/etc/os-release"), "PRETTY_NAME"),
            pinned: false,
        }
    }

    /// A word for the name of a folder.
    pub(crate) fn slug(&self) -> String {
        let words: Vec<String> = self
            .processor
            .split_whitespace()
            .take(3)
            .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        format!("{}-{}cores", words.join("-"), self.cores)
    }
}
