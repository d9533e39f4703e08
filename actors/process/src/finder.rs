//! Finds the owner of a connection: by what the kernel noted, then by the
//! socket tables, then by who has the socket open; of a forwarded one by the address that calls.
//! Never guesses: where two answers are possible, there is none.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use seawall_messages::process::{
    AppKind, Attribution, Method, Owner, Owners as _, Process, ProcessKey, Question,
};
use seawall_messages::{Direction, Flow, Protocol, Snapshot, Transport};
use seawall_platform::linux::ebpf::Notes;
use seawall_platform::linux::processes::{self, Condition, Watched};
use seawall_platform::linux::sockets::{Socket, SocketDiag};

use self::forwarded::Neighbourhood;
use self::recent::{Recent, RecentlySeen};
use self::sharing::Sharing;
use crate::actor::Finding;
use crate::events::{self, Attributions};
use crate::regulars::{OwnList, Regular};
use crate::roster::Roster;

pub(crate) use self::sharing::PACKETS_WAIT_TICKS;

mod forwarded;
mod recent;
mod sharing;

/// A socket of a datagram service is joined to a packet by its port alone. A
/// process that is younger than this may have got the port after the sender of the packet gave it back.
const SETTLED_TICKS: u64 = 200;

/// The process that opens sockets for services that don't run yet (systemd.socket(5)).
const SERVICE_MANAGER: u32 = 1;

/// An owner, and the socket's cookie where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) attribution: Attribution,
    pub(crate) cookie: Option<u64>,
}

/// The means of finding owners.
pub(crate) struct Finder {
    finding: Finding,
    attributions: Attributions,
    notes: Option<Arc<Notes>>,
    tables: Option<SocketDiag>,
    recent: RecentlySeen,
    sharing: Sharing,
    neighbourhood: Neighbourhood,
    regulars: OwnList,
    pub(crate) roster: Roster,
}

impl Finder {
    pub(crate) fn new(notes: Option<Arc<Notes>>, finding: Finding, regulars: OwnList) -> Self {
        Self {
            finding,
            attributions: Attributions::fetch(),
            roster: Roster::new(notes.clone()),
            notes,
            tables: SocketDiag::open().inspect_err(events::tables_missing).ok(),
            recent: RecentlySeen::default(),
            sharing: Sharing::new(),
            neighbourhood: Neighbourhood::default(),
            regulars,
        }
    }

    /// Time passed: what is gone need not be watched.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.roster.tidy(now);
        self.regulars.tidy();
    }

    /// Who owns the connection.
    pub(crate) fn find(&mut self, question: &Question, snapshot: &Snapshot) -> Found {
        if self.finding == Finding::None {
            return Found { attribution: Attribution::unidentified(), cookie: None };
        }
        let found = self
            .by_notes(question, snapshot)
            .or_else(|| self.by_tables(question, snapshot))
            .or_else(|| self.by_address(question, snapshot))
            .unwrap_or_else(|| Found { attribution: self.nobody(question), cookie: None });
        self.attributions.count(found.attribution.method);
        found
    }

    /// Nobody knows; or the kernel noted who it is, and nothing more is known of that process.
    fn nobody(&self, question: &Question) -> Attribution {
        let noted = question
            .owner
            .or_else(|| self.notes.as_ref().and_then(|notes| notes.owner(&question.flow, None)));
        match noted {
            Some(owner) => Attribution { method: owner.method, process: None },
            None => Attribution::unidentified(),
        }
    }

    /// By what the kernel noted alone: a few system calls.
    pub(crate) fn find_noted(&mut self, flow: &Flow, snapshot: &Snapshot) -> Option<Found> {
        self.by_notes(&Question { flow: *flow, owner: None, uid: None }, snapshot)
    }

    fn by_notes(&mut self, question: &Question, snapshot: &Snapshot) -> Option<Found> {
        let owner = match question.owner {
            Some(owner) => owner,
            None => self.notes.as_ref()?.owner(&question.flow, None)?,
        };
        self.of_owner(owner, &question.flow, snapshot)
    }

    fn of_owner(&mut self, owner: Owner, flow: &Flow, snapshot: &Snapshot) -> Option<Found> {
        let noted = || self.notes.as_ref()?.record(flow).map(|record| record.process);
        let process = self.roster.of_owner(&owner, noted, snapshot)?;
        if owner.method == Method::Listen
            && let Some(found) = self.handed_on(flow, &process, snapshot)
        {
            return Some(found);
        }
        // A TCP listener's cookie is not that of the connection.
        let is_listener = owner.method == Method::Listen && flow.protocol == Protocol::TCP;
        let cookie = (owner.cookie != 0 && !is_listener).then_some(owner.cookie);
        let attribution = Attribution { method: owner.method, process: Some(process) };
        Some(Found { attribution, cookie })
    }

    /// Who answers at a socket that whoever opened it has handed on: a service
    /// manager, or a program that closed it since. `None`: nobody but who opened it.
    fn handed_on(&mut self, flow: &Flow, opener: &Process, snapshot: &Snapshot) -> Option<Found> {
        let (own, other) = ends(flow)?;
        let (socket, _) = self.tables.as_mut()?.find(flow.protocol, own, other).ok().flatten()?;
        let is_manager = opener.key.pid == SERVICE_MANAGER;
        let has_it = || processes::has_socket(opener.key.pid, socket.inode);
        if !socket.listening || (!is_manager && has_it().is_ok_and(|has_it| has_it)) {
            return None;
        }
        let pids = processes::owners_of_inode(socket.inode, socket.uid).ok()?;
        let others = pids.into_iter().filter(|pid| *pid != opener.key.pid);
        let mut others = others.filter_map(|pid| self.roster.of_pid(pid, snapshot));
        let first = others.next()?;
        if !others.all(|other| other.path == first.path && other.app == first.app) {
            return None;
        }
        let attribution = Attribution { method: Method::OpenFiles, process: Some(first) };
        Some(Found { attribution, cookie: None })
    }

    fn by_tables(&mut self, question: &Question, snapshot: &Snapshot) -> Option<Found> {
        let flow = &question.flow;
        let (own, other) = ends(flow)?;
        let (socket, cookie) = self
            .tables
            .as_mut()?
            .find(flow.protocol, own, other)
            .inspect_err(events::tables_failed)
            .ok()
            .flatten()?;
        if !is_plausible(&socket, question) {
            return None;
        }
        if let Some(record) = self.notes.as_ref().and_then(|notes| notes.socket(cookie)) {
            let owner = seawall_platform::linux::ebpf::owner_of(&record);
            let owner = Owner { method: Method::SocketTable, ..owner };
            let noted = || Some(record.process);
            if let Some(process) = self.roster.of_owner(&owner, noted, snapshot) {
                let attribution =
                    Attribution { method: Method::SocketTable, process: Some(process) };
                return Some(Found { attribution, cookie: Some(cookie) });
            }
        }
        let process = self.by_open_files(&socket, (own, other), snapshot)?;
        let attribution = Attribution { method: Method::OpenFiles, process: Some(process) };
        // Without notes nobody counts what a socket moves. Of datagrams it has to be learnt when theirs closes.
        let is_connection = self.notes.is_some() && !socket.listening;
        let is_followed = is_connection || flow.protocol == Protocol::UDP;
        Some(Found { attribution, cookie: is_followed.then_some(cookie) })
    }

    /// Whether the socket tables still have this socket between the ends of a flow. Where they don't tell, it may be.
    pub(crate) fn may_still_have(&mut self, flow: &Flow, cookie: u64) -> bool {
        let (Some((own, other)), Some(tables)) = (ends(flow), self.tables.as_mut()) else {
            return true;
        };
        let found = tables.find(flow.protocol, own, other).inspect_err(events::tables_failed);
        found.map_or(true, |found| found.is_some_and(|(_, now)| now == cookie))
    }

    /// Who has the socket open.
    fn by_open_files(
        &mut self,
        socket: &Socket,
        ends: (SocketAddr, SocketAddr),
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let found = match self.recent.holder(socket) {
            Some(of) => {
                // Whoever else has it open doesn't make that an answer: nobody else is looked for.
                let started_ticks = self.sharing.used_alone(of.pid, socket.inode)?;
                match of.answered {
                    true => {
                        self.publish(of, socket, snapshot);
                        self.roster.of_started(of.pid, started_ticks, snapshot)?
                    }
                    // Others may have got the socket since it was seen with this one alone.
                    false => self.among_all(socket, ends, snapshot)?,
                }
            }
            None => self.among_all(socket, ends, snapshot)?,
        };
        if found.app.kind == AppKind::Kernel {
            return Some(found);
        }
        // A process in the middle of an exec has the new file's name and the old one's sockets.
        self.recent.descriptor_in(found.key.pid, socket)?;
        let joined_by_port_alone = socket.protocol != Protocol::TCP && socket.remote.port() == 0;
        let age = processes::uptime_ticks().saturating_sub(found.key.started_ticks);
        let settled = age >= SETTLED_TICKS;
        (!joined_by_port_alone || settled).then_some(found)
    }

    /// Publishes a process that calls again, so that its next connections need no question: with what is seen of
    /// it while it has the socket, and while that was used by nobody else.
    fn publish(&mut self, of: Recent, socket: &Socket, snapshot: &Snapshot) {
        let calls = self.notes.is_none() && socket.protocol == Protocol::TCP && !socket.listening;
        let now = Instant::now();
        if calls && self.regulars.wants(of.pid, socket.uid, now) {
            match self.as_regular(of, socket, snapshot) {
                Some(regular) => self.regulars.add(regular),
                None => self.regulars.refuse(of.pid, now),
            }
        }
    }

    fn as_regular(&mut self, of: Recent, socket: &Socket, snapshot: &Snapshot) -> Option<Regular> {
        let Recent { pid, descriptor, .. } = of;
        let watched = Watched::open(pid)?;
        let condition = watched.condition().filter(|condition| !condition.has_children)?;
        let Condition { started_ticks, program, .. } = condition;
        if watched.socket_at(descriptor)? != socket.inode
            || self.sharing.used_alone(pid, socket.inode)? != started_ticks
        {
            return None;
        }
        let key = ProcessKey { pid, started_ticks, exec_id: Some(program) };
        self.roster.of_program(&key, &watched, snapshot)?;
        let is_unchanged = watched.condition() == Some(condition);
        let uid = socket.uid;
        is_unchanged.then_some(Regular { key, uid, descriptor, condition, watched })
    }

    /// Several processes are one answer only if they run the same file.
    fn among_all(
        &mut self,
        socket: &Socket,
        ends: (SocketAddr, SocketAddr),
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let pids = processes::owners_of_inode(socket.inode, socket.uid)
            .inspect_err(events::processes_failed)
            .ok()?;
        if pids.is_empty() {
            return self.kernels_own(socket, ends);
        }
        let mut owners = pids.iter().filter_map(|pid| self.roster.of_pid(*pid, snapshot));
        let first = owners.next()?;
        let same = |other: Arc<Process>| other.path == first.path && other.app == first.app;
        if !owners.all(same) {
            return None;
        }
        let may_be_others =
            pids.iter().any(|pid| self.sharing.used_alone(*pid, socket.inode).is_none());
        // One alone is no answer yet while it may have shared it; its next socket is looked for with
        // it first all the same, and not everywhere.
        if !may_be_others || pids.len() == 1 {
            let pid = first.key.pid;
            let descriptor = processes::descriptor_of(pid, socket.inode).ok().flatten()?;
            let of = Recent { pid, descriptor, before: descriptor, answered: !may_be_others };
            self.recent.remember(socket.uid, of);
        }
        (!may_be_others).then_some(first)
    }

    /// A socket that is still there, and that no process has: a tunnel of the kernel's, say. Only where
    /// the kernel notes what processes do, and all processes are seen: else anybody's might look like that.
    fn kernels_own(
        &mut self,
        socket: &Socket,
        ends: (SocketAddr, SocketAddr),
    ) -> Option<Arc<Process>> {
        let notes = self.notes.as_ref()?;
        let notes_all = notes.hooks().iter().all(|hook| hook.missing.is_none());
        if !notes_all || !sees_all_processes() || socket.uid != 0 {
            return None;
        }
        let still = processes::owners_of_inode(socket.inode, socket.uid);
        let is_nobodys = still.is_ok_and(|owners| owners.is_empty());
        let again = self.tables.as_mut()?.find(socket.protocol, ends.0, ends.1);
        let is_there = again.ok().flatten().is_some_and(|(found, _)| found.inode == socket.inode);
        (is_nobodys && is_there).then(crate::roster::kernel)
    }
}

/// The local end, then the other; `None` where no socket table knows of such.
fn ends(flow: &Flow) -> Option<(SocketAddr, SocketAddr)> {
    let Transport::Ports { initiator, responder } = flow.transport else { return None };
    let caller = SocketAddr::new(flow.initiator, initiator);
    let called = SocketAddr::new(flow.responder, responder);
    match flow.direction {
        Direction::Outbound => Some((caller, called)),
        Direction::Inbound => Some((called, caller)),
        Direction::Forwarded => None,
    }
}

/// Whether we are in the first pid namespace, which shows the processes of all others (PROC_PID_INIT_INO,
/// linux/proc_ns.h).
fn sees_all_processes() -> bool {
    const INITIAL: u64 = 0xefff_fffc;
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == INITIAL)
}

/// Whether the socket that the tables name may be the packet's: the kernel
/// told whose packet it is, and an outbound TCP connection is no listener.
fn is_plausible(socket: &Socket, question: &Question) -> bool {
    let is_outbound = question.flow.direction == Direction::Outbound;
    let same_user = question.uid.is_none_or(|uid| uid == socket.uid);
    let is_listener = socket.listening && socket.protocol == Protocol::TCP;
    socket.inode != 0 && !(is_outbound && (is_listener || !same_user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(listening: bool, uid: u32) -> Socket {
        let local = SocketAddr::new([10, 0, 0, 1].into(), 5000);
        Socket {
            protocol: Protocol::TCP,
            local,
            remote: local,
            listening,
            only_v6: false,
            uid,
            inode: 7,
        }
    }

    fn question(direction: Direction, uid: Option<u32>) -> Question {
        let flow = Flow {
            direction,
            protocol: Protocol::TCP,
            initiator: [10, 0, 0, 1].into(),
            responder: [10, 0, 0, 2].into(),
            transport: Transport::Ports { initiator: 5000, responder: 80 },
        };
        Question { flow, owner: None, uid }
    }

    #[test]
    fn a_socket_that_cannot_have_sent_the_packet_is_none() {
        use Direction::{Inbound, Outbound};
        let cases = [
            (socket(false, 5), question(Outbound, Some(5)), true),
            (socket(false, 5), question(Outbound, None), true),
            (socket(false, 6), question(Outbound, Some(5)), false),
            (socket(true, 5), question(Outbound, Some(5)), false),
            (socket(true, 5), question(Inbound, None), true),
            (Socket { inode: 0, ..socket(false, 5) }, question(Outbound, Some(5)), false),
        ];
        for (socket, question, expected) in cases {
            assert_eq!(is_plausible(&socket, &question), expected, "{socket:?} {question:?}");
        }
    }

    #[test]
    fn the_local_end_comes_first() {
        let port = |flow: &Flow| ends(flow).map(|(own, _)| own.port());
        assert_eq!(port(&question(Direction::Outbound, None).flow), Some(5000));
        assert_eq!(port(&question(Direction::Inbound, None).flow), Some(80));
        assert_eq!(port(&question(Direction::Forwarded, None).flow), None);
    }
}
