//! Figures as people read them.

use std::time::Duration;

/// Times in order, to be asked for their percentiles.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that this share of all, 0 to 1, does not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (share * last as f64).ceil() as usize;
        self.0.get(index.min(last)).copied().unwrap_or_default()
    }

    pub(crate) fn line(&self) -> String {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| millis(self.percentile(share)));
        format!("p50 {p50}, p99 {p99}, max {max} of {}", self.0.len())
    }
}

pub(crate) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
