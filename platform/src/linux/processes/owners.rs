//! Who has a socket open: the links of `/proc/PID/fd`.
//!
//! Slow (a microsecond or two for each open file of the machine), and blind to what is
//! closed already: the last resort, and the picture at the start.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, readlinkat_raw, statat};

use super::{ProcessesError, failed, is_gone};

/// Most processes looked at.
pub const MAX_PROCESSES: usize = 65_536;

/// Most open files looked at in one go: about a second.
pub const MAX_LINKS: usize = 500_000;

/// Most owners told of one socket: parents and children that share it.
pub const MAX_OWNERS: usize = 64;

const ROOT_UID: u32 = 0;

/// What a tap is opened by.
const TUN_DEVICE: &[u8] = b"/dev/net/tun";

/// Longer than any link to a socket.
pub(super) const LINK_BYTES: usize = 32;

/// Who has this socket open: processes of the user, else root's. Highest ids
/// first, which are the newest unless ids have begun anew. Stops at
/// [`MAX_OWNERS`], [`MAX_PROCESSES`] and [`MAX_LINKS`].
///
/// Root's are looked at also because a process that guards its memory counts
/// as root's here, whoever's it is.
pub fn owners_of_inode(inode: u32, uid: u32) -> Result<Vec<u32>, ProcessesError> {
    let proc = open_proc()?;
    let processes = list(&proc)?;
    let mut links_left = MAX_LINKS;
    let users = [uid, ROOT_UID];
    // Root's own are looked at once.
    for user in users.get(..if uid == ROOT_UID { 1 } else { 2 }).unwrap_or_default() {
        let mut owners = Vec::new();
        for process in processes.iter().filter(|process| process.uid == *user) {
            let mut has_it = false;
            visit_sockets(&proc, process.pid, &mut links_left, |found| {
                has_it = found == inode;
                !has_it
            });
            if has_it {
                owners.push(process.pid);
            }
            if links_left == 0 || owners.len() == MAX_OWNERS {
                break;
            }
        }
        if !owners.is_empty() {
            return Ok(owners);
        }
    }
    Ok(Vec::new())
}

/// Whether a process has this socket open.
pub fn has_socket(pid: u32, inode: u32) -> Result<bool, ProcessesError> {
    descriptor_of(pid, inode).map(|descriptor| descriptor.is_some())
}

/// The descriptor by which a process has this socket open.
pub fn descriptor_of(pid: u32, inode: u32) -> Result<Option<u32>, ProcessesError> {
    let proc = open_proc()?;
    let mut links_left = MAX_LINKS;
    let mut descriptor = None;
    visit_files(&proc, pid, &mut links_left, |name, target| {
        if socket_inode(target) == Some(inode) {
            descriptor = name.parse().ok();
        }
        descriptor.is_none()
    });
    Ok(descriptor)
}

/// The inode of the socket that a process has open by this descriptor. One system call: a
/// program that opens one socket after the other has them all by the same.
pub fn socket_at(pid: u32, descriptor: u32) -> Option<u32> {
    let mut buffer = [MaybeUninit::uninit(); LINK_BYTES];
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let (target, _) = readlinkat_raw(rustix::fs::CWD, path, buffer.as_mut_slice()).ok()?;
    socket_inode(target)
}

/// Who keeps a network interface of this name for itself: a tap, whose frames a virtual machine's
/// process reads (tun_get_user, `iff` in `/proc/PID/fdinfo`). Stops at [`MAX_OWNERS`],
/// [`MAX_PROCESSES`] and [`MAX_LINKS`].
pub fn owners_of_tap(interface: &str) -> Result<Vec<u32>, ProcessesError> {
    let proc = open_proc()?;
    let mut owners = Vec::new();
    let mut links_left = MAX_LINKS;
    for process in list(&proc)? {
        let mut has_it = false;
        visit_files(&proc, process.pid, &mut links_left, |name, target| {
            has_it = target == TUN_DEVICE && is_attached(process.pid, name, interface);
            !has_it
        });
        if has_it {
            owners.push(process.pid);
        }
        if links_left == 0 || owners.len() == MAX_OWNERS {
            break;
        }
    }
    Ok(owners)
}

fn is_attached(pid: u32, descriptor: &str, interface: &str) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}"));
    let name_of = |line: &str| line.strip_prefix("iff:").map(|name| name.trim() == interface);
    info.is_ok_and(|info| info.lines().find_map(name_of).unwrap_or(false))
}

/// Every socket's inode, with the highest id of a process that has it open.
/// Stops at [`MAX_PROCESSES`] and [`MAX_LINKS`].
pub fn all_socket_owners() -> Result<HashMap<u32, u32>, ProcessesError> {
    let proc = open_proc()?;
    let mut owners = HashMap::new();
    let mut links_left = MAX_LINKS;
    for process in list(&proc)? {
        visit_sockets(&proc, process.pid, &mut links_left, |inode| {
            owners.entry(inode).or_insert(process.pid);
            true
        });
        if links_left == 0 {
            break;
        }
    }
    Ok(owners)
}

pub(super) struct Listed {
    pub(super) pid: u32,
    pub(super) uid: u32,
}

pub(super) fn open_proc() -> Result<OwnedFd, ProcessesError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/proc", flags, Mode::empty())
        .map_err(|errno| failed("open /proc")(errno.into()))
}

/// All processes, the highest id first.
pub(super) fn list(proc: &OwnedFd) -> Result<Vec<Listed>, ProcessesError> {
    let mut processes = Vec::new();
    let entries = Dir::read_from(proc).map_err(|errno| failed("list processes")(errno.into()))?;
    for entry in entries {
        let entry = match entry.map_err(std::io::Error::from) {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(failed("list processes")(error)),
        };
        let name = entry.file_name();
        let Some(pid) = name.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        // The owner of the folder is the effective user.
        let Ok(stat) = statat(proc, name, AtFlags::empty()) else { continue };
        processes.push(Listed { pid, uid: stat.st_uid });
        if processes.len() == MAX_PROCESSES {
            break;
        }
    }
    processes.sort_unstable_by_key(|process| std::cmp::Reverse(process.pid));
    Ok(processes)
}

/// Shows each socket that the process has open, until told to stop. A process
/// that is gone, or may not be looked into, has none.
fn visit_sockets(
    proc: &OwnedFd,
    pid: u32,
    links_left: &mut usize,
    mut visit: impl FnMut(u32) -> bool,
) {
    visit_files(proc, pid, links_left, |_, target| socket_inode(target).is_none_or(&mut visit));
}

/// Shows each file that the process has open, by its descriptor and what that is a link to,
/// until told to stop.
fn visit_files(
    proc: &OwnedFd,
    pid: u32,
    links_left: &mut usize,
    mut visit: impl FnMut(&str, &[u8]) -> bool,
) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(proc, format!("{pid}/fd"), flags, Mode::empty()) else { return };
    let Ok(mut links) = Dir::read_from(&folder) else { return };
    while let Some(Ok(link)) = links.read() {
        if *links_left == 0 {
            return;
        }
        let name = link.file_name();
        if name.to_bytes().first().is_none_or(|byte| *byte == b'.') {
            continue;
        }
        *links_left -= 1;
        let mut buffer = [MaybeUninit::uninit(); LINK_BYTES];
        let Ok((target, _)) = readlinkat_raw(folder.as_fd(), name, buffer.as_mut_slice()) else {
            continue;
        };
        if !visit(name.to_str().unwrap_or_default(), target) {
            return;
        }
    }
}

/// From `socket:[4711]`.
pub(super) fn socket_inode(target: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(target).ok()?;
    text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}
