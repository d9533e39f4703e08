//! Processes as `/proc` tells of them: what runs, whose it is, where; and who has a socket open.
//!
//! Everything is read through one open `/proc/PID`, which never becomes
//! another process's, even where its id is used again. Other processes write
//! much of what stands there (arguments, environment, names), so that every
//! read is bounded, and any bytes give an answer.
//!
//! Needs SYS_PTRACE for other users' processes and DAC_READ_SEARCH for control
//! groups by id. What may not be read is missing from the answer.

mod burden;
mod cgroups;
mod files;
mod namespaces;
mod owners;
mod running;
mod sharing;
mod text;
mod watched;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use self::text::Stat;

pub use self::{
    burden::{Burden, burden_of},
    cgroups::ControlGroups,
    files::{FileId, MAX_HASHED_BYTES, file_id, first_bytes, sha256_of},
    namespaces::{
        MAX_MEMBERS, MAX_NAMESPACES, NetworkNamespace, network_namespace_of, network_namespaces,
        socket_seen_by,
    },
    owners::{
        MAX_LINKS, MAX_OWNERS, MAX_PROCESSES, all_socket_owners, descriptor_of, has_socket,
        owners_of_inode, owners_of_tap, socket_at,
    },
    running::{Started, all_running, end_of, runs},
    sharing::{EndedChildren, ended_children, stays_open_over_exec},
    watched::{Condition, Watched},
};

/// Most bytes read of program and arguments.
pub const MAX_COMMAND_LINE_BYTES: usize = 4 * 1024;

/// Most bytes read of an environment.
pub const MAX_ENVIRONMENT_BYTES: usize = 64 * 1024;

/// Most bytes read of any other file of `/proc/PID`.
const MAX_FILE_BYTES: usize = 16 * 1024;

/// Often enough for a program that starts others by exec in a row; one that
/// does nothing else is taken as it was last.
const READ_ATTEMPTS: usize = 3;

/// A process, as `/proc` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Its id in our pid namespace.
    pub pid: u32,
    /// Its parent's; 0 where it has none in our pid namespace.
    pub parent_pid: u32,
    /// When it started, in hundredths of a second since boot (field 22 of `/proc/PID/stat`).
    pub started_ticks: u64,
    /// Effective user id.
    pub uid: u32,
    /// What it calls itself, at most 15 bytes (a kernel's thread: more).
    pub comm: String,
    /// Path of its file without ` (deleted)`; `None` for a kernel thread, a
    /// zombie, and where it may not be read.
    pub exe: Option<String>,
    /// Whether that file is gone, or another has its name now.
    pub deleted: bool,
    /// Which file it is.
    pub exe_file: Option<FileId>,
    /// Whether it sees the mounts that we see.
    pub in_our_mount_namespace: bool,
    /// Whether it is in our user namespace: then it didn't make a mount namespace of its own without privilege.
    pub in_our_user_namespace: bool,
    /// Whether its root is the directory that is ours: neither chroot nor container.
    pub has_our_root: bool,
    /// Inode of its network namespace.
    pub network_namespace: Option<u64>,
    /// Program and arguments, of the first [`MAX_COMMAND_LINE_BYTES`].
    pub command_line: Vec<String>,
    /// Whether there was more of it: the last word may be a part only.
    pub command_line_cut: bool,
    /// Its working directory.
    pub working_directory: Option<String>,
    /// What of its environment tells of packages.
    pub environment: Environment,
    /// Control group below the root of its hierarchy: the unified one, else
    /// `name=systemd`, else the longest. Empty where it may not be read.
    pub cgroup: String,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
}

/// What of an environment tells of packages, as it was when the program
/// started. Whoever started it wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// SNAP: where a snap is mounted.
    pub snap: Option<String>,
    /// SNAP_NAME: what the snap is called in the store.
    pub snap_name: Option<String>,
    /// SNAP_INSTANCE_NAME: what it is called here.
    pub snap_instance_name: Option<String>,
    /// FLATPAK_ID: a Flatpak's id.
    pub flatpak_id: Option<String>,
    /// APPIMAGE: the image's file.
    pub app_image: Option<String>,
    /// APPDIR: where the image is mounted.
    pub app_directory: Option<String>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}")]
pub struct ProcessesError {
    /// What was attempted.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// Reads what `/proc` tells of a process. `None`: it is gone, or was never there.
pub fn read(pid: u32) -> Result<Option<ProcessFacts>, ProcessesError> {
    let mut last = None;
    for _ in 0..READ_ATTEMPTS {
        match Entry::open(pid).and_then(|entry| entry.read(pid)) {
            Ok(Reading::Stable(facts)) => return Ok(Some(facts)),
            Ok(Reading::Changing(facts)) => last = Some(facts),
            Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(failed("read a process")(errno.into())),
        }
    }
    Ok(last)
}

/// When the process with this id started, in hundredths of a second since boot; `None`: there is none.
pub fn started_ticks(pid: u32) -> Option<u64> {
    let stat = text::read_once(format!("/proc/{pid}/stat")).ok()?;
    text::stat(&stat).map(|stat| stat.started_ticks)
}

/// Time since boot, in hundredths of a second, as processes' starts are told.
pub fn uptime_ticks() -> u64 {
    const TICK_NS: u64 = 10_000_000;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs();
    nanoseconds / TICK_NS
}

/// An open `/proc/PID`.
struct Entry {
    directory: OwnedFd,
}

enum Reading {
    Stable(ProcessFacts),
    /// It began another program meanwhile, so the parts may not belong together;
    /// or it is about to: a program's file is there a moment before its arguments are.
    Changing(ProcessFacts),
}

/// What changes when a process becomes another program.
#[derive(PartialEq, Eq)]
struct Program {
    started_ticks: u64,
    exe: Option<String>,
    exe_file: Option<FileId>,
}

impl Entry {
    fn open(pid: u32) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
        Ok(Self { directory })
    }

    fn read(&self, pid: u32) -> rustix::io::Result<Reading> {
        let stat = self.stat()?;
        let program = self.program(stat.started_ticks)?;
        let status = self.file("status", MAX_FILE_BYTES)?.unwrap_or_default();
        let uid = text::effective_uid(&status).ok_or(Errno::NOENT)?;
        let command_line = self.file("cmdline", MAX_COMMAND_LINE_BYTES + 1)?.unwrap_or_default();
        let kept = command_line.get(..MAX_COMMAND_LINE_BYTES).unwrap_or(&command_line);
        let environment = self.file("environ", MAX_ENVIRONMENT_BYTES)?.unwrap_or_default();
        let cgroup = self.file("cgroup", MAX_FILE_BYTES)?.unwrap_or_default();
        let (exe, deleted) = match &program.exe {
            Some(link) => {
                let (path, deleted) = text::executable(link, || names(link, program.exe_file));
                (Some(path.to_owned()), deleted)
            }
            None => (None, false),
        };
        let facts = ProcessFacts {
            pid,
            parent_pid: stat.parent_pid,
            started_ticks: stat.started_ticks,
            uid,
            comm: stat.comm,
            exe,
            deleted,
            exe_file: program.exe_file,
            in_our_mount_namespace: self.shares("ns/mnt", "/proc/self/ns/mnt")?,
            in_our_user_namespace: self.shares("ns/user", "/proc/self/ns/user")?,
            has_our_root: self.shares("root", "/")?,
            network_namespace: self.identify("ns/net")?.map(|file| file.inode),
            command_line: text::words(kept),
            command_line_cut: command_line.len() > MAX_COMMAND_LINE_BYTES,
            working_directory: self.link("cwd")?,
            environment: text::environment(&environment),
            cgroup: text::control_group(&cgroup),
            is_kernel_thread: stat.is_kernel_thread,
        };
        let after = self.program(self.stat()?.started_ticks)?;
        let is_starting = facts.exe.is_some() && facts.command_line.is_empty();
        let is_stable = after == program && !is_starting;
        Ok(if is_stable { Reading::Stable(facts) } else { Reading::Changing(facts) })
    }

    fn stat(&self) -> rustix::io::Result<Stat> {
        let bytes = self.file("stat", MAX_FILE_BYTES)?.ok_or(Errno::NOENT)?;
        text::stat(&bytes).ok_or(Errno::NOENT)
    }

    fn program(&self, started_ticks: u64) -> rustix::io::Result<Program> {
        Ok(Program { started_ticks, exe: self.link("exe")?, exe_file: self.identify("exe")? })
    }

    /// At most `limit` bytes; `None` where it may not be read.
    fn file(&self, name: &str, limit: usize) -> rustix::io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let Some(file) = unless_gone(openat(&self.directory, name, flags, Mode::empty()))? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let result = File::from(file).take(limit as u64).read_to_end(&mut bytes);
        let result = result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        Ok(unless_gone(result)?.map(|_| bytes))
    }

    fn link(&self, name: &str) -> rustix::io::Result<Option<String>> {
        let target = unless_gone(readlinkat(&self.directory, name, Vec::new()))?;
        Ok(target.map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned()))
    }

    /// Which file a link leads to.
    fn identify(&self, name: &str) -> rustix::io::Result<Option<FileId>> {
        unless_gone(FileId::at(&self.directory, name))
    }

    fn shares(&self, name: &str, ours: &str) -> rustix::io::Result<bool> {
        let theirs = self.identify(name)?;
        Ok(theirs.is_some() && theirs == file_id(ours))
    }
}

/// Whether that very file has that name now.
fn names(path: &str, file: Option<FileId>) -> bool {
    file.is_some() && file_id(path) == file
}

/// What isn't there or may not be read is `None`; an error where the process is
/// gone, or we lack something.
fn unless_gone<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(errno @ (Errno::SRCH | Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(errno),
        Err(_) => Ok(None),
    }
}

fn failed(doing: &'static str) -> impl FnOnce(std::io::Error) -> ProcessesError {
    move |source| ProcessesError { doing, source }
}

/// Whether a process or file went away between two looks, which is nobody's failure.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}
