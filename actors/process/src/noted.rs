//! What the kernel noted of a process, in the words of all.

use seawall_messages::process::ProcessKey;
use seawall_platform::linux::ebpf::abi::{ProcessId, ProcessRecord, flag};
use seawall_platform::linux::processes::FileId;

use crate::identity::Noted;

/// Hundredths of a second, in nanoseconds (USER_HZ, proc(5)).
const TICK_NS: u64 = 10_000_000;

/// The name of a process, as all use it.
pub(crate) fn key_of(id: &ProcessId) -> ProcessKey {
    ProcessKey { pid: id.pid, started_ticks: id.started_ns / TICK_NS, exec_id: Some(id.exec_id) }
}

/// A record, seen from a process whose own record is `own`.
pub(crate) fn noted_of(
    record: &ProcessRecord,
    own: Option<&ProcessRecord>,
    cgroup: String,
) -> Noted {
    let has = |bit| record.flags & bit != 0;
    let is_cut = has(flag::PATH_CUT) || has(flag::NO_PATH);
    let path = path_of(record.path.get(..usize::from(record.path_length)).unwrap_or_default());
    let directory =
        path_of(record.directory.get(..usize::from(record.directory_length)).unwrap_or_default());
    let arguments = record.arguments.get(..usize::from(record.arguments_length));
    let has_file = record.inode != 0;
    Noted {
        // Part of a path is another path.
        exe: if is_cut { String::new() } else { path },
        exe_file: has_file.then(|| FileId::of_kernel(record.device, record.inode)),
        arguments: arguments.unwrap_or_default().to_vec(),
        working_directory: (!has(flag::DIRECTORY_CUT)).then_some(directory),
        cgroup,
        in_our_mount_namespace: own
            .is_some_and(|own| own.mount_namespace == record.mount_namespace),
        in_our_user_namespace: own.is_some_and(|own| own.user_namespace == record.user_namespace),
        has_our_root: own.is_some_and(|own| own.root == record.root),
    }
}

/// A path from its names, last first, each ended by a zero byte. None is empty.
fn path_of(names: &[u8]) -> String {
    let names = names.strip_suffix(&[0]).unwrap_or(names);
    if names.is_empty() {
        return String::new();
    }
    let mut path = String::new();
    for name in names.split(|byte| *byte == 0).rev() {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(name));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_a_path() {
        let cases: [(&[u8], &str); 5] = [
            (b"curl\0bin\0usr\0", "/usr/bin/curl"),
            (b"memfd:evil\0", "/memfd:evil"),
            (b"x\0", "/x"),
            (b"", ""),
            (b"a\xff\0", "/a\u{fffd}"),
        ];
        for (names, expected) in cases {
            assert_eq!(path_of(names), expected);
        }
    }
}
