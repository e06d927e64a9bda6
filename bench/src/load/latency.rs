//! Times as they spread, kept in a histogram of three digits.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart from longer ones, in nanoseconds.
const LONGEST: u64 = 300_000_000_000;
const DIGITS: u8 = 3;

#[derive(Clone, Debug)]
pub(crate) struct Latency(Option<Histogram<u64>>);

impl Latency {
    pub(crate) fn new() -> Self {
        // These bounds are good; were they not, nothing would be recorded, and the table would say so.
        Self(Histogram::new_with_max(LONGEST, DIGITS).ok())
    }

    pub(crate) fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut latency = Self::new();
        times.for_each(|time| latency.record(time));
        latency
    }

    pub(crate) fn record(&mut self, time: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds.
            let _ = histogram.add(other);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The time that this share of all, 0 to 1, does not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(share)))
    }

    /// As people read it.
    pub(crate) fn line(&self) -> String {
        let millis = |share| format!("{:.2} ms", self.at(share).as_secs_f64() * 1e3);
        format!(
            "p50 {}, p99 {}, p99.9 {}, the last {} of {}",
            millis(0.5),
            millis(0.99),
            millis(0.999),
            millis(1.0),
            self.count()
        )
    }
}
