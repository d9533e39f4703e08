//! What a process costs: memory, CPU time, descriptors.

use std::time::Duration;

/// Proportional set size in KiB (`/proc/PID/smaps_rollup`); `None` if the process is gone.
pub fn pss_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// CPU time of all living threads (`/proc/PID/task/*/schedstat`), far finer than clock ticks.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    cpu_time_of_threads(pid, |_| true)
}

/// As [`cpu_time`], of the threads with a name that counts.
pub fn cpu_time_of_threads(pid: u32, counts: impl Fn(&str) -> bool) -> Option<Duration> {
    Some(Duration::from_nanos(scheduled(pid, counts)?.0))
}

/// How often living threads whose name counts were given a processor.
pub fn wake_ups(pid: u32, counts: impl Fn(&str) -> bool) -> Option<u64> {
    Some(scheduled(pid, counts)?.1)
}

/// Nanoseconds that those threads ran, and in how many slices.
fn scheduled(pid: u32, counts: impl Fn(&str) -> bool) -> Option<(u64, u64)> {
    let (mut nanoseconds, mut slices) = (0_u64, 0_u64);
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if !counts(name.trim_end()) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let mut fields = text.split_ascii_whitespace();
        nanoseconds += fields.next()?.parse::<u64>().ok()?;
        slices += fields.nth(1)?.parse::<u64>().ok()?;
    }
    Some((nanoseconds, slices))
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// What the open descriptors are, sorted, for a message about a leak.
pub fn descriptor_list(pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let mut list: Vec<String> = entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    list.sort();
    list
}

/// Threads.
pub fn threads(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}

/// Whether the process exists and is no zombie.
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| !rest.trim_start().starts_with('Z')))
        .unwrap_or(false)
}
