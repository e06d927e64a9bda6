//! What the kernel says a program costs: CPU time and memory of a process and its children.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time as the kernel splits it, in whole ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Split {
    pub(crate) user: Duration,
    pub(crate) kernel: Duration,
}

/// The length of a tick, which the kernel has promised never to change for user space.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all threads that are alive, to the nanosecond.
pub(crate) fn cpu_time(roots: &[u32]) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for pid in with_children(roots) {
        let tasks = match fs::read_dir(format!("/proc/{pid}/task")) {
            // A worker may end between the listing and the reading; whoever was asked for may not.
            Err(_) if !roots.contains(&pid) => continue,
            tasks => tasks?,
        };
        for task in tasks {
            // A thread may end between the listing and the reading.
            let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += stat.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// CPU time in user and kernel mode, of threads that have ended too.
pub(crate) fn cpu_split(roots: &[u32]) -> io::Result<Split> {
    let mut split = Split::default();
    for pid in with_children(roots) {
        let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) if !roots.contains(&pid) => continue,
            stat => stat?,
        };
        // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field after it.
        let fields: Vec<u32> =
            stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        split.user += TICK * fields.get(11).copied().unwrap_or(0);
        split.kernel += TICK * fields.get(12).copied().unwrap_or(0);
    }
    Ok(split)
}

/// The share of the machine's memory (Pss), in bytes.
pub(crate) fn memory(roots: &[u32]) -> io::Result<u64> {
    with_children(roots).into_iter().map(|pid| memory_of(pid, roots)).sum()
}

fn memory_of(pid: u32, roots: &[u32]) -> io::Result<u64> {
    match proportional_set_size(pid) {
        Err(_) if !roots.contains(&pid) => Ok(0),
        said => said,
    }
}

fn proportional_set_size(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("the kernel does not tell the Pss"))
}

/// These processes and all that come from them.
pub(crate) fn with_children(roots: &[u32]) -> Vec<u32> {
    let mut all = roots.to_vec();
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    all
}
