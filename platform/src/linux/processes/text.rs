//! The texts of `/proc` (proc(5), cgroups(7)). Total: any bytes give an answer.

use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

use super::Environment;
use super::watched::Layout;

/// What the kernel appends to the name of a file that is gone.
const DELETED: &str = " (deleted)";

/// PF_KTHREAD (linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// More than any record of `/proc/PID/stat` has.
pub(super) const RECORD_BYTES: usize = 4 * 1024;

/// What is used of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) parent_pid: u32,
    pub(super) started_ticks: u64,
    pub(super) is_kernel_thread: bool,
    /// Whether nothing of it runs any more; its parent has yet to be told.
    pub(super) has_ended: bool,
}

/// A file that is one record, in as few system calls as can be: the kernel gives that whole.
pub(super) fn read_once(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut buffer = [0; RECORD_BYTES];
    let length = File::open(path)?.read(&mut buffer)?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

/// `/proc/PID/stat`. A process writes its own name, with any spaces and
/// parentheses: the last closing one ends it.
pub(super) fn stat(bytes: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    // Fields 3, 4, 9, 20 and 22; the name is the second.
    let state = fields.next()?;
    let parent_pid = fields.next()?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let threads: u64 = fields.nth(10)?.parse().ok()?;
    let started_ticks = fields.nth(1)?.parse().ok()?;
    let is_kernel_thread = flags & KERNEL_THREAD != 0;
    // Its first thread may end before others do.
    let has_ended = matches!(state, "Z" | "X") && threads <= 1;
    Some(Stat { comm: comm.to_owned(), parent_pid, started_ticks, is_kernel_thread, has_ended })
}

/// What of `/proc/PID/stat` tells of a program, and of the children of its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) started_ticks: u64,
    pub(super) threads: u64,
    pub(super) children_faults: u64,
    pub(super) layout: Layout,
}

/// As [`stat`]: fields 11, 13, 20 and 22, and those of [`Layout`], which are zero where there is no program, or it
/// may not be looked at.
pub(super) fn condition(bytes: &[u8]) -> Option<Told> {
    let behind = bytes.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(bytes.get(behind + 1..)?).ok()?;
    // The name is the second field.
    let mut fields = text.split_ascii_whitespace();
    let mut at = 2;
    let mut field = |number: usize| {
        let field = fields.nth(number - at - 1)?;
        at = number;
        field.parse::<u64>().ok()
    };
    let (minor, major) = (field(11)?, field(13)?);
    let (threads, started_ticks) = (field(20)?, field(22)?);
    let mut layout = [0; 10];
    for (number, slot) in (26..=28).chain(45..=51).zip(&mut layout) {
        *slot = field(number)?;
    }
    let [_, _, stack, ..] = layout;
    (stack != 0).then(|| Told {
        started_ticks,
        threads,
        children_faults: minor.saturating_add(major),
        layout: Layout(layout),
    })
}

/// The second number of `Uid:` in `/proc/PID/status`.
pub(super) fn effective_uid(bytes: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The words of `/proc/PID/cmdline`: each ends with a zero byte.
pub(super) fn words(bytes: &[u8]) -> Vec<String> {
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// What of `/proc/PID/environ` tells of packages. Of a name that stands twice,
/// the first counts, as for getenv(3). What has no end was cut, and doesn't count.
pub(super) fn environment(bytes: &[u8]) -> Environment {
    let mut found = Environment::default();
    let whole = bytes.iter().rposition(|byte| *byte == 0).unwrap_or_default();
    for variable in bytes.get(..whole).unwrap_or_default().split(|byte| *byte == 0) {
        let Ok(text) = std::str::from_utf8(variable) else { continue };
        let Some((name, value)) = text.split_once('=') else { continue };
        let slot = match name {
            "SNAP" => &mut found.snap,
            "SNAP_NAME" => &mut found.snap_name,
            "SNAP_INSTANCE_NAME" => &mut found.snap_instance_name,
            "FLATPAK_ID" => &mut found.flatpak_id,
            "APPIMAGE" => &mut found.app_image,
            "APPDIR" => &mut found.app_directory,
            _ => continue,
        };
        slot.get_or_insert_with(|| value.to_owned());
    }
    found
}

/// From `/proc/PID/cgroup`: the path in the unified hierarchy, else in
/// `name=systemd`, else the longest. The root counts only where all say so: a
/// machine with both versions leaves one of them unused.
pub(super) fn control_group(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut best: Option<(u8, usize, &str)> = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.strip_suffix(DELETED).unwrap_or(path);
        let rank = match (id, controllers) {
            _ if path == "/" => 0,
            ("0", "") => 3,
            (_, "name=systemd") => 2,
            _ => 1,
        };
        let candidate = (rank, path.len(), path);
        if best.is_none_or(|(rank, length, _)| (rank, length) < (candidate.0, candidate.1)) {
            best = Some(candidate);
        }
    }
    best.map(|(_, _, path)| path.to_owned()).unwrap_or_default()
}

/// Path of a file and whether it is gone, from the link `/proc/PID/exe`. A
/// file's own name may end with the kernel's words; `is_there` tells.
pub(super) fn executable(link: &str, is_there: impl FnOnce() -> bool) -> (&str, bool) {
    match link.strip_suffix(DELETED) {
        Some(path) if !is_there() => (path, true),
        _ => (link, false),
    }
}

/// Where the whole of a control-group file system (version 2) is mounted, from `/proc/self/mountinfo`.
pub(super) fn control_group_mount(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let is_it = source.split(' ').next() == Some("cgroup2") && root == "/";
        is_it.then(|| unescape(point))
    })
}

/// The kernel writes blanks and backslashes of names as `\040`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(first));
        rest = match octal {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
