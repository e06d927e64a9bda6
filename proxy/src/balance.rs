//! Which of several instances a new client goes to. Pure: load, warmth and chance come in as arguments.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// What an instance that was just born counts for, against one that is warm.
const WARMTH_MIN: f64 = 0.1;

/// How much of its share an instance takes: rises in a line over its warm-up.
///
/// `ready_for` is `None` for an instance that was there before this process.
pub fn warmth(ready_for: Option<Duration>, warm_up: Duration) -> f64 {
    match ready_for {
        Some(ready_for) if ready_for < warm_up => (ready_for.as_secs_f64() / warm_up.as_secs_f64()).max(WARMTH_MIN),
        _ => 1.0,
    }
}

/// The least loaded of the candidates, given as (load, warmth); among equals one at random.
///
/// Least connections alone would send a whole herd to the newborn, so its load counts for more.
pub fn least_loaded(candidates: impl Iterator<Item = (u32, f64)>, mut random_below: impl FnMut(usize) -> usize) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    let mut equals = 1;
    for (index, (load, warmth)) in candidates.enumerate() {
        // One more than the load: this client will be there too.
        let score = (f64::from(load) + 1.0) / warmth;
        match best {
            Some((least, _)) if score > least => {}
            Some((least, _)) if score == least => {
                // Each of n equals is chosen with 1/n, without a list of them.
                equals += 1;
                if random_below(equals) == 0 {
                    best = Some((score, index));
                }
            }
            _ => {
                best = Some((score, index));
                equals = 1;
            }
        }
    }
    best.map(|(_, index)| index)
}

/// The candidate with the highest hash beside `key` (rendezvous hashing): the same for the same set,
/// and only the keys of a candidate that goes move. Candidates are given by their tags.
pub fn rendezvous(key: &str, tags: impl Iterator<Item = u64>) -> Option<usize> {
    let key = fnv1a(key.as_bytes());
    tags.enumerate().max_by_key(|(_, tag)| mix(key ^ tag)).map(|(index, _)| index)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finisher of SplitMix64: spreads keys that differ in a few bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
