//! Processes that use the network, each described once: from `/proc` while it
//! lives, from what the kernel noted when it is gone.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::Snapshot;
use seawall_messages::process::{MOST_ANCESTORS, Method, Owner, Process, ProcessKey};
use seawall_platform::linux::ebpf::Notes;
use seawall_platform::linux::ebpf::abi::{ProcessId, ProcessRecord};
use seawall_platform::linux::processes::{
    self, ControlGroups, Environment, FileId, ProcessFacts, Watched,
};
use seawall_runtime::BoundedTable;

use crate::events;
use crate::identity::{Container, Facts, Lookups, Noted, Place, identify, kernel_app};
use crate::names::{ContainerFiles, DesktopIndex, container_name};
use crate::noted::{key_of, noted_of};

/// Processes that are remembered, with their description.
const MOST_PROCESSES: usize = 16_384;
/// Notes of processes that nobody asked about yet.
const MOST_RECORDS: usize = 16_384;
/// How long the kernel's note of a process stays at least.
const NOTED_FOR: Duration = Duration::from_secs(10);
/// The longest that a packet waits before its owner is looked for.
const PACKETS_WAIT: Duration = Duration::from_secs(5);
pub(crate) const PACKETS_WAIT_TICKS: u64 = 500;
/// Processes whose children are watched, or that started others.
const MOST_PARENTS: usize = 4_096;
/// How long a look at whether a file still has its name holds.
const NAMES_LAST: Duration = Duration::from_millis(20);
/// Largest file that is hashed because a person asked about it: a fraction of a second.
const MOST_NAMED_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// Files whose checksum is remembered.
const MOST_CHECKSUMS: usize = 4_096;

/// Describes processes.
pub(crate) struct Roster {
    notes: Option<Arc<Notes>>,
    known: BoundedTable<ProcessKey, Known>,
    /// Programs that started others, without what started them.
    ancestors: BoundedTable<ProcessKey, Known>,
    records: BoundedTable<ProcessKey, Arc<ProcessRecord>>,
    /// Processes that the kernel told of, and since when they are known.
    noted: VecDeque<(Instant, ProcessId)>,
    /// Page faults of a process's ended children, and since when there are so many.
    children: BoundedTable<(u32, u64), (u64, Instant)>,
    checksums: BoundedTable<(FileId, SystemTime), Arc<str>>,
    /// This very process, to tell whose namespaces are ours.
    own: Option<Box<ProcessRecord>>,
    groups: Option<ControlGroups>,
    desktop: DesktopIndex,
}

impl Roster {
    pub(crate) fn new(notes: Option<Arc<Notes>>) -> Self {
        Self {
            own: notes.as_ref().and_then(|notes| notes.own_record()),
            notes,
            known: BoundedTable::new(MOST_PROCESSES),
            ancestors: BoundedTable::new(MOST_PARENTS),
            records: BoundedTable::new(MOST_RECORDS),
            noted: VecDeque::new(),
            children: BoundedTable::new(MOST_PARENTS),
            checksums: BoundedTable::new(MOST_CHECKSUMS),
            groups: ControlGroups::open().ok().flatten(),
            desktop: DesktopIndex::default(),
        }
    }

    /// What desktop files say: read aside, for there may be thousands.
    pub(crate) fn learn_names(&mut self, desktop: DesktopIndex) {
        self.desktop = desktop;
        // Their names may be better now.
        self.forget_descriptions();
    }

    /// The kernel told of a process.
    pub(crate) fn learn(&mut self, record: Box<ProcessRecord>, now: Instant) {
        if self.noted.len() < MOST_RECORDS {
            self.noted.push_back((now, record.process));
        }
        self.records.insert(key_of(&record.process), Arc::from(record));
    }

    /// Makes room in the kernel's notes: those of processes that are gone for
    /// some time are not needed there any more.
    pub(crate) fn tidy(&mut self, now: Instant) {
        for _ in 0..self.noted.len() {
            let Some((since, process)) = self.noted.pop_front() else { return };
            if now.duration_since(since) < NOTED_FOR {
                self.noted.push_front((since, process));
                return;
            }
            if processes::started_ticks(process.pid) == Some(key_of(&process).started_ticks) {
                self.noted.push_back((now, process));
            } else if let Some(Err(error)) =
                self.notes.as_ref().map(|notes| notes.forget_process(&process))
            {
                tracing::debug!(%error, "A process stays noted");
            }
        }
    }

    /// A process that is described already.
    pub(crate) fn of_known(&mut self, key: &ProcessKey) -> Option<Arc<Process>> {
        self.known.get(key).map(|known| Arc::clone(&known.process))
    }

    /// Whether the process is described, or can be at once: it is known, the kernel told of it, or it lives.
    pub(crate) fn can_describe(&mut self, key: &ProcessKey) -> bool {
        self.known.get(key).is_some()
            || self.records.get(key).is_some()
            || processes::started_ticks(key.pid) == Some(key.started_ticks)
    }

    /// The process that the kernel noted as an owner. `noted` gives its full name in
    /// the kernel's notes, where the ring buffer lost it. As whoever used the socket: its
    /// user id is that of then.
    pub(crate) fn of_owner(
        &mut self,
        owner: &Owner,
        noted: impl FnOnce() -> Option<ProcessId>,
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let key = owner.process;
        let known = match self.known.get(&key) {
            Some(known) if known.looked.elapsed() < NAMES_LAST => {
                return Some(used_by(&known.process, owner.uid));
            }
            Some(known) if !known.lost_its_name() => known.clone(),
            Some(known) => known.without_name(),
            // Nobody but its own memory's layout tells which of its programs is meant.
            None if owner.method == Method::OpenFiles => {
                let watched = Watched::open(key.pid)?;
                return Some(used_by(&self.of_program(&key, &watched, snapshot)?, owner.uid));
            }
            None => {
                let record = self.record(&key, noted);
                let known = self.describe(&key, record.as_deref(), snapshot)?;
                self.with_ancestors(known, snapshot)
            }
        };
        let process = used_by(&known.process, owner.uid);
        self.known.insert(key, Known { looked: Instant::now(), ..known });
        Some(process)
    }

    /// The process with this id now.
    pub(crate) fn of_pid(&mut self, pid: u32, snapshot: &Snapshot) -> Option<Arc<Process>> {
        self.of_started(pid, processes::started_ticks(pid)?, snapshot)
    }

    /// The process with this id that started then, in hundredths of a second since boot.
    pub(crate) fn of_started(
        &mut self,
        pid: u32,
        started_ticks: u64,
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let key = ProcessKey { pid, started_ticks, exec_id: None };
        let file = processes::file_id(format!("/proc/{pid}/exe"));
        match self.known.get(&key) {
            // It may have become another program since.
            Some(known) if known.file.is_some() && known.file == file && !known.lost_its_name() => {
                return Some(Arc::clone(&known.process));
            }
            _ => {}
        }
        let facts = read(pid).filter(|facts| facts.started_ticks == started_ticks)?;
        let known = self.by_facts(key, facts, snapshot);
        let known = self.with_ancestors(known, snapshot);
        let process = Arc::clone(&known.process);
        self.known.insert(key, known);
        Some(process)
    }

    /// The process as this program, if it still is; `watched`: it. Others have no business with what it was before
    /// an exec, or becomes by one.
    pub(crate) fn of_program(
        &mut self,
        key: &ProcessKey,
        watched: &Watched,
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let is_it = || {
            let now = watched.condition()?;
            let is_it = now.started_ticks == key.started_ticks && Some(now.program) == key.exec_id;
            is_it.then_some(())
        };
        is_it()?;
        let facts = read(key.pid).filter(|facts| facts.started_ticks == key.started_ticks)?;
        is_it()?;
        let known = self.by_facts(*key, facts, snapshot);
        let known = self.with_ancestors(known, snapshot);
        let process = Arc::clone(&known.process);
        self.known.insert(*key, known);
        Some(process)
    }

    /// What a process would be that ran this file of the host, and of which nothing else were known.
    pub(crate) fn of_file(
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

    /// When the process started, in hundredths of a second since boot, unless another program may have
    /// used a socket that it has open, and ended since the packet was sent: a child, or
    /// whoever left it the socket. When children ended, only looking again and again tells.
    pub(crate) fn used_alone(&mut self, pid: u32, inode: u32) -> Option<u64> {
        let ended = processes::ended_children(pid)?;
        let started = ended.parent_started_ticks;
        let is_young = |started: u64| processes::uptime_ticks() < started + PACKETS_WAIT_TICKS;
        if ended.waits_for_some || ended.youngest_ticks.is_some_and(is_young) {
            return None;
        }
        if is_young(started)
            && (processes::stays_open_over_exec(pid, inode) || same_file(pid, ended.grandparent))
        {
            return None;
        }
        let now = Instant::now();
        let known = self.children.get(&(pid, started)).copied();
        let since = match known {
            Some((faults, since)) if faults == ended.page_faults => since,
            _ => {
                self.children.insert((pid, started), (ended.page_faults, now));
                now
            }
        };
        let is_settled = ended.page_faults == 0 || now.duration_since(since) >= PACKETS_WAIT;
        is_settled.then_some(started)
    }

    /// How long ago it started, in hundredths of a second.
    pub(crate) fn age_ticks(&self, key: &ProcessKey) -> u64 {
        processes::uptime_ticks().saturating_sub(key.started_ticks)
    }

    /// Checksums and ancestors may be wanted now that were not before.
    pub(crate) fn policy_changed(&mut self) {
        self.forget_descriptions();
    }

    fn forget_descriptions(&mut self) {
        self.known = BoundedTable::new(MOST_PROCESSES);
        self.ancestors = BoundedTable::new(MOST_PARENTS);
    }

    fn record(
        &mut self,
        key: &ProcessKey,
        noted: impl FnOnce() -> Option<ProcessId>,
    ) -> Option<Arc<ProcessRecord>> {
        if let Some(record) = self.records.get(key) {
            return Some(Arc::clone(record));
        }
        let id = noted().filter(|id| key_of(id) == *key)?;
        self.notes.as_ref()?.process(&id).map(Arc::from)
    }

    /// From `/proc`, if that still tells of the same program, else from the record.
    fn describe(
        &mut self,
        key: &ProcessKey,
        record: Option<&ProcessRecord>,
        snapshot: &Snapshot,
    ) -> Option<Known> {
        let noted = record.map(|record| {
            let group = self.groups.as_ref().and_then(|groups| groups.path(record.cgroup));
            noted_of(record, self.own.as_deref(), group.unwrap_or_default())
        });
        let facts = read(key.pid).filter(|facts| facts.started_ticks == key.started_ticks);
        match (facts, record, noted) {
            // A record tells which of the programs it was that this process has been.
            (Some(facts), Some(_), Some(noted)) if is_same_program(&facts, &noted) => {
                Some(self.by_facts(*key, facts, snapshot))
            }
            (_, Some(record), Some(noted)) => {
                let process = self.by_record(*key, record, &noted, snapshot);
                Some(Known { process, file: None, looked: Instant::now() })
            }
            // The note is gone, the process is there.
            (Some(facts), None, _) => Some(self.by_facts(*key, facts, snapshot)),
            (_, _, _) => None,
        }
    }

    fn by_facts(&mut self, key: ProcessKey, facts: ProcessFacts, snapshot: &Snapshot) -> Known {
        let host_file = facts.exe.as_ref().and_then(processes::file_id);
        let mut seen = Facts::of_process(&facts, host_file);
        as_rules_mean(&mut seen, facts.exe_file, snapshot);
        let file = format!("/proc/{}/exe", key.pid);
        let described = Described {
            key,
            parent_pid: facts.parent_pid,
            uid: facts.uid,
            deleted: facts.deleted,
            file: facts.exe_file.map(|id| (id, file)),
        };
        let is_named = facts.in_our_mount_namespace && !facts.deleted;
        Known {
            process: self.finish(described, &seen, snapshot),
            file: facts.exe_file.filter(|_| is_named),
            looked: Instant::now(),
        }
    }

    fn by_record(
        &mut self,
        key: ProcessKey,
        record: &ProcessRecord,
        noted: &Noted,
        snapshot: &Snapshot,
    ) -> Arc<Process> {
        use seawall_platform::linux::ebpf::abi::flag;
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
            pid => self.path_of_parent(pid, &of.key),
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

    /// The same, with the programs that started it, where the policy may look at them.
    fn with_ancestors(&mut self, known: Known, snapshot: &Snapshot) -> Known {
        if !snapshot.asks_for_parents() {
            return known;
        }
        let (mut child, mut pid) = (known.process.key, known.process.parent_pid);
        let mut ancestors = Vec::new();
        while pid != 0 && ancestors.len() < MOST_ANCESTORS {
            let Some(parent) = self.ancestor(pid, &child, snapshot) else { break };
            (child, pid) = (parent.key, parent.parent_pid);
            ancestors.push(parent);
        }
        let process = Process { ancestors, ..Process::clone(&known.process) };
        Known { process: Arc::new(process), ..known }
    }

    /// A process's parent. One that started later took over an orphan, and is no parent.
    fn ancestor(
        &mut self,
        pid: u32,
        child: &ProcessKey,
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let facts = read(pid).filter(|facts| facts.started_ticks <= child.started_ticks)?;
        let key = ProcessKey { pid, started_ticks: facts.started_ticks, exec_id: None };
        match self.ancestors.get(&key) {
            // It may have become another program since.
            Some(known) if known.file.is_some() && known.file == facts.exe_file => {
                return Some(Arc::clone(&known.process));
            }
            _ => {}
        }
        let known = self.by_facts(key, facts, snapshot);
        let process = Arc::clone(&known.process);
        self.ancestors.insert(key, known);
        Some(process)
    }

    /// Path of the parent's file. One that started later took over an orphan, and is no parent.
    fn path_of_parent(&self, pid: u32, child: &ProcessKey) -> Arc<str> {
        let parent = read(pid).filter(|parent| parent.started_ticks <= child.started_ticks);
        let host = parent.filter(|parent| parent.in_our_mount_namespace);
        Arc::from(host.and_then(|parent| parent.exe).unwrap_or_default())
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

/// Whether a process runs the same file as its parent: then it may be about to become another program.
fn same_file(pid: u32, parent: u32) -> bool {
    let file = |pid: u32| processes::file_id(format!("/proc/{pid}/exe"));
    file(parent).is_none_or(|theirs| file(pid) == Some(theirs))
}

/// A process, and its file, while that had its name.
#[derive(Clone)]
struct Known {
    process: Arc<Process>,
    file: Option<FileId>,
    /// When that was last looked at.
    looked: Instant,
}

impl Known {
    /// Whether another file, or none, has the name of its file now.
    fn lost_its_name(&self) -> bool {
        self.file.is_some() && processes::file_id(&*self.process.path) != self.file
    }

    fn without_name(&self) -> Self {
        let process = Process { deleted: true, ..Process::clone(&self.process) };
        Self { process: Arc::new(process), file: None, looked: self.looked }
    }
}

/// The process, as the user that it was when it used the socket.
fn used_by(process: &Arc<Process>, uid: u32) -> Arc<Process> {
    if process.uid == uid {
        Arc::clone(process)
    } else {
        Arc::new(Process { uid, ..Process::clone(process) })
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

/// What is the same from whichever source a description comes.
struct Described {
    key: ProcessKey,
    parent_pid: u32,
    uid: u32,
    deleted: bool,
    /// Its file, and where it can be read.
    file: Option<(FileId, String)>,
}

fn read(pid: u32) -> Option<ProcessFacts> {
    processes::read(pid).inspect_err(events::processes_failed).ok().flatten()
}

/// Whether `/proc` still tells of the program that was noted.
fn is_same_program(facts: &ProcessFacts, noted: &Noted) -> bool {
    match &facts.exe {
        // A path that is too long to note: the file tells.
        Some(_) if noted.exe.is_empty() => {
            noted.exe_file.is_some() && noted.exe_file == facts.exe_file
        }
        Some(exe) => *exe == noted.exe,
        None => noted.exe.is_empty() && noted.exe_file.is_none(),
    }
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
