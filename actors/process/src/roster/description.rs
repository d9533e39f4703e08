//! What is said of a process: made from `/proc` or from what the kernel noted.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::SystemTime;

use seawall_messages::Snapshot;
use seawall_messages::process::{Process, ProcessKey};
use seawall_platform::linux::ebpf::abi::{ProcessRecord, flag};
use seawall_platform::linux::processes::{self, ControlGroups, Environment, FileId, ProcessFacts};
use seawall_runtime::BoundedTable;

use crate::events;
use crate::identity::{Container, Facts, Lookups, Noted, Place, identify, kernel_app};
use crate::names::{ContainerFiles, DesktopIndex, container_name};
use crate::noted::noted_of;

/// Largest file that is hashed because a person asked about it: a fraction of a second.
const MOST_NAMED_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// Files whose checksum is remembered.
const MOST_CHECKSUMS: usize = 4_096;

/// Describes one process after the other, with what all descriptions need.
pub(super) struct Describer {
    /// This very process, to tell whose namespaces are ours.
    own: Option<Box<ProcessRecord>>,
    groups: Option<ControlGroups>,
    desktop: DesktopIndex,
    checksums: BoundedTable<(FileId, SystemTime), Arc<str>>,
}

/// What is the same from whichever source a description comes.
struct Described {
    key: ProcessKey,
    parent_pid: u32,
    uid: u32,
    deleted: bool,
    /// Its file, and where it can be read.
    file: Option<(FileId, String)>,
}

impl Describer {
    pub(super) fn new(own: Option<Box<ProcessRecord>>) -> Self {
        Self {
            own,
            groups: ControlGroups::open().ok().flatten(),
            desktop: DesktopIndex::default(),
            checksums: BoundedTable::new(MOST_CHECKSUMS),
        }
    }

    pub(super) fn learn_names(&mut self, desktop: DesktopIndex) {
        self.desktop = desktop;
    }

    /// What the kernel noted of a process, as text.
    pub(super) fn noted(&self, record: &ProcessRecord) -> Noted {
        let group = self.groups.as_ref().and_then(|groups| groups.path(record.cgroup));
        noted_of(record, self.own.as_deref(), group.unwrap_or_default())
    }

    /// From what `/proc` says.
    pub(super) fn by_facts(
        &mut self,
        key: ProcessKey,
        facts: &ProcessFacts,
        snapshot: &Snapshot,
    ) -> Arc<Process> {
        let host_file = facts.exe.as_ref().and_then(processes::file_id);
        let mut seen = Facts::of_process(facts, host_file);
        as_rules_mean(&mut seen, facts.exe_file, snapshot);
        let file = format!("/proc/{}/exe", key.pid);
        let described = Described {
            key,
            parent_pid: facts.parent_pid,
            uid: facts.uid,
            deleted: facts.deleted,
            file: facts.exe_file.map(|id| (id, file)),
        };
        self.finish(described, &seen, snapshot)
    }

    /// From what the kernel noted.
    pub(super) fn by_record(
        &mut self,
        key: ProcessKey,
        record: &ProcessRecord,
        noted: &Noted,
        snapshot: &Snapshot,
    ) -> Arc<Process> {
        let host_file = processes::file_id(&noted.exe);
        let mut seen = Facts::of_noted(noted, host_file);
        seen.is_kernel_thread = record.flags & flag::KERNEL != 0;
        as_rules_mean(&mut seen, noted.exe_file, snapshot);
        let is_there = host_file.is_some() && host_file == noted.exe_file;
        let file = noted.exe_file.filter(|_| is_there).map(|id| (id, noted.exe.clone()));
        let described = Described {
            key,
            parent_pid: record.parent_pid,
            uid: record.uid,
            deleted: record.flags & flag::DELETED != 0,
            file,
        };
        self.finish(described, &seen, snapshot)
    }

    /// What a process would be that ran this file of the host, and of which nothing else were known.
    pub(super) fn by_file(
        &mut self,
        path: &str,
        arguments: Vec<String>,
        snapshot: &Snapshot,
    ) -> Arc<Process> {
        let seen = Facts {
            exe: path.to_owned(),
            place: Place::Host,
            has_our_root: true,
            in_our_user_namespace: true,
            is_kernel_thread: false,
            arguments,
            arguments_cut: false,
            working_directory: None,
            cgroup: String::new(),
            environment: Environment::default(),
        };
        let described = Described {
            key: ProcessKey { pid: 0, started_ticks: 0, exec_id: None },
            parent_pid: 0,
            uid: 0,
            deleted: false,
            file: processes::file_id(path)
                .filter(|_| may_be_hashed(path))
                .map(|id| (id, path.to_owned())),
        };
        self.finish(described, &seen, snapshot)
    }

    fn finish(&mut self, of: Described, seen: &Facts, snapshot: &Snapshot) -> Arc<Process> {
        let name_of = |container: &Container| {
            container_name(container, &ContainerFiles::of_owner(container.user)?)
        };
        let lookups = Lookups {
            container_name: &name_of,
            file_exists: &|path| std::path::Path::new(path).is_file(),
            desktop: &self.desktop,
        };
        let identity = identify(seen, &lookups);
        let parent_path = match of.parent_pid {
            0 => Arc::from(""),
            pid => path_of_parent(pid, &of.key),
        };
        let sha256 =
            of.file.filter(|_| snapshot.asks_for_hashes()).and_then(|file| self.checksum(file));
        Arc::new(Process {
            key: of.key,
            parent_pid: of.parent_pid,
            uid: of.uid,
            path: identity.path,
            deleted: of.deleted,
            command_line: seen.arguments.clone(),
            parent_path,
            ancestors: Vec::new(),
            cgroup: Arc::from(seen.cgroup.as_str()),
            sha256,
            app: identity.app,
        })
    }

    fn checksum(&mut self, (id, path): (FileId, String)) -> Option<Arc<str>> {
        let changed = std::fs::metadata(&path).and_then(|file| file.modified()).ok()?;
        if let Some(known) = self.checksums.get(&(id, changed)) {
            return Some(Arc::clone(known));
        }
        let sum = processes::sha256_of(path).inspect_err(events::processes_failed).ok()?;
        let sum: Arc<str> = Arc::from(sum);
        self.checksums.insert((id, changed), Arc::clone(&sum));
        Some(sum)
    }
}

/// The kernel itself, for sockets of its own.
pub(crate) fn kernel() -> Arc<Process> {
    let nothing: Arc<str> = Arc::from("");
    Arc::new(Process {
        key: ProcessKey { pid: 0, started_ticks: 0, exec_id: None },
        parent_pid: 0,
        uid: 0,
        path: Arc::clone(&nothing),
        deleted: false,
        command_line: Vec::new(),
        parent_path: Arc::clone(&nothing),
        ancestors: Vec::new(),
        cgroup: nothing,
        sha256: None,
        app: kernel_app(),
    })
}

pub(super) fn read(pid: u32) -> Option<ProcessFacts> {
    processes::read(pid).inspect_err(events::processes_failed).ok().flatten()
}

/// Path of the parent's file. One that started later took over an orphan, and is no parent.
fn path_of_parent(pid: u32, child: &ProcessKey) -> Arc<str> {
    let parent = read(pid).filter(|parent| parent.started_ticks <= child.started_ticks);
    let host = parent.filter(|parent| parent.in_our_mount_namespace);
    Arc::from(host.and_then(|parent| parent.exe).unwrap_or_default())
}

/// Whether a file that somebody named, and that may be any, is hashed: others wait
/// meanwhile, and of a file that is no program nobody learns anything.
fn may_be_hashed(path: &str) -> bool {
    let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= MOST_NAMED_FILE_BYTES);
    is_small && is_program(path)
}

/// Whether it is a file that can be run.
pub(crate) fn is_program(path: &str) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// A file that a foreign mount namespace shows elsewhere is the host's all the
/// same, if a rule names it: a path in a rule means the file.
fn as_rules_mean(seen: &mut Facts, file: Option<FileId>, snapshot: &Snapshot) {
    let (Place::Foreign, Some(file)) = (seen.place, file) else { return };
    let paths = snapshot.all_apps().filter_map(|app| app.fingerprint.path.as_ref());
    let literal = paths.filter(|path| path.is_literal()).map(|path| path.as_str());
    if let Some(path) = literal.into_iter().find(|path| processes::file_id(path) == Some(file)) {
        seen.exe = path.to_owned();
        seen.place = Place::HostFile;
    }
}
