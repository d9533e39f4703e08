//! Processes that use the network, each described once: from `/proc` while it
//! lives, from what the kernel noted when it is gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::Snapshot;
use seawall_messages::process::{MOST_ANCESTORS, Method, Owner, Process, ProcessKey};
use seawall_platform::linux::ebpf::Notes;
use seawall_platform::linux::ebpf::abi::{ProcessId, ProcessRecord};
use seawall_platform::linux::processes::{self, FileId, ProcessFacts, Watched};
use seawall_runtime::BoundedTable;

use self::description::{Describer, read};
use crate::identity::Noted;
use crate::names::DesktopIndex;
use crate::noted::key_of;

pub(crate) use self::description::{is_program, kernel};

mod description;

/// Processes that are remembered, with their description.
const MOST_PROCESSES: usize = 16_384;
/// Notes of processes that nobody asked about yet.
const MOST_RECORDS: usize = 16_384;
/// How long the kernel's note of a process stays at least.
const NOTED_FOR: Duration = Duration::from_secs(10);
/// Processes that started others.
const MOST_PARENTS: usize = 4_096;
/// How long a look at whether a file still has its name holds.
const NAMES_LAST: Duration = Duration::from_millis(20);

/// Remembers processes.
pub(crate) struct Roster {
    notes: Option<Arc<Notes>>,
    known: BoundedTable<ProcessKey, Known>,
    /// Programs that started others, without what started them.
    ancestors: BoundedTable<ProcessKey, Known>,
    records: BoundedTable<ProcessKey, Arc<ProcessRecord>>,
    /// Processes that the kernel told of, and since when they are known.
    noted: VecDeque<(Instant, ProcessId)>,
    describer: Describer,
}

impl Roster {
    pub(crate) fn new(notes: Option<Arc<Notes>>) -> Self {
        Self {
            describer: Describer::new(notes.as_ref().and_then(|notes| notes.own_record())),
            notes,
            known: BoundedTable::new(MOST_PROCESSES),
            ancestors: BoundedTable::new(MOST_PARENTS),
            records: BoundedTable::new(MOST_RECORDS),
            noted: VecDeque::new(),
        }
    }

    /// What desktop files say: read aside, for there may be thousands.
    pub(crate) fn learn_names(&mut self, desktop: DesktopIndex) {
        self.describer.learn_names(desktop);
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
        self.describer.by_file(path, arguments, snapshot)
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
        let noted = record.map(|record| self.describer.noted(record));
        let facts = read(key.pid).filter(|facts| facts.started_ticks == key.started_ticks);
        match (facts, record, noted) {
            // A record tells which of the programs it was that this process has been.
            (Some(facts), Some(_), Some(noted)) if is_same_program(&facts, &noted) => {
                Some(self.by_facts(*key, facts, snapshot))
            }
            (_, Some(record), Some(noted)) => {
                let process = self.describer.by_record(*key, record, &noted, snapshot);
                Some(Known { process, file: None, looked: Instant::now() })
            }
            // The note is gone, the process is there.
            (Some(facts), None, _) => Some(self.by_facts(*key, facts, snapshot)),
            (_, _, _) => None,
        }
    }

    fn by_facts(&mut self, key: ProcessKey, facts: ProcessFacts, snapshot: &Snapshot) -> Known {
        let is_named = facts.in_our_mount_namespace && !facts.deleted;
        let file = facts.exe_file.filter(|_| is_named);
        let process = self.describer.by_facts(key, &facts, snapshot);
        Known { process, file, looked: Instant::now() }
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
