//! The root of the control groups, whether or not a mount shows it.

use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Opens it.
///
/// A mount of its own, seen by nobody, shows all of the hierarchy that this
/// process may see; a mount that is there already may show a part of it only.
pub(super) fn root() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mounted = || -> rustix::io::Result<OwnedFd> {
        let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let mount = fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        )?;
        openat(&mount, ".", flags, Mode::empty())
    };
    match mounted() {
        Ok(root) => Ok(root),
        Err(error) => match mount_point() {
            Some(path) => Ok(openat(CWD, path, flags, Mode::empty())?),
            None => Err(error.into()),
        },
    }
}

/// Where a mount shows the hierarchy from its root on.
fn mount_point() -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().find_map(root_mount_of_line).map(str::to_owned)
}

/// The mount point, if a line of mountinfo (proc(5)) tells of such a mount.
fn root_mount_of_line(line: &str) -> Option<&str> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    (root == "/" && filesystem.starts_with("cgroup2 ")).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_the_whole_hierarchy_count() {
        let cases = [
            ("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", Some("/sys/fs/cgroup")),
            ("30 24 0:26 /a /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw", None),
            ("31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", None),
            ("31 24", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(root_mount_of_line(line), expected, "{line}");
        }
    }
}
