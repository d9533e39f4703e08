//! The process of an app that runs longest, whether it ever used the network or not.

use std::path::PathBuf;

use seawall_messages::Snapshot;
use seawall_messages::policy::{Fingerprint, Pattern};
use seawall_messages::process::{Process, ProcessKey};
use seawall_platform::linux::processes::{self, ProcessesError};

use crate::roster::Roster;

/// Most processes that are described in one go: well below two seconds.
const MOST_DESCRIBED: usize = 8_192;

/// What the kernel appends to the path of a file that is gone.
const DELETED: &str = " (deleted)";

/// The oldest running process that is one of an app's. `matches`: what these look like; of whom
/// the file tells at once that none of it fits, no more is read.
pub fn oldest_running(
    matches: &[Fingerprint],
    is_it: &dyn Fn(&Process) -> bool,
    snapshot: &Snapshot,
) -> Result<Option<ProcessKey>, ProcessesError> {
    let paths = literal_paths(matches);
    let own_mounts = std::fs::read_link("/proc/self/ns/mnt").ok();
    let mut roster = Roster::new(None);
    let running = processes::all_running()?.into_iter();
    let candidates = running.filter(|it| {
        !paths.as_deref().is_some_and(|paths| runs_another_file(it.pid, paths, own_mounts.as_ref()))
    });
    let described = candidates
        .take(MOST_DESCRIBED)
        .filter_map(|it| roster.of_started(it.pid, it.started_ticks, snapshot));
    Ok(described.into_iter().find(|process| is_it(process)).map(|process| process.key))
}

/// The files of the host that processes of these run; `None` where others fit, too.
fn literal_paths(matches: &[Fingerprint]) -> Option<Vec<&str>> {
    let of_host = |path: &&Pattern| path.is_literal() && path.as_str().starts_with('/');
    let paths = matches.iter().map(|it| Some(it.path.as_ref().filter(of_host)?.as_str()));
    paths.collect()
}

/// Whether a process that sees our mounts runs none of these files.
fn runs_another_file(pid: u32, paths: &[&str], own_mounts: Option<&PathBuf>) -> bool {
    let Ok(file) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    let Some(file) = file.to_str() else { return false };
    let is_one = paths
        .iter()
        .any(|path| file.strip_suffix(DELETED).unwrap_or(file) == *path || file == *path);
    !is_one && std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok().as_ref() == own_mounts
}
