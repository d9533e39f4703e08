//! Whose a new TCP connection is, where the kernel takes no notes and its owner is a regular: by the exact
//! socket, the descriptor by which the process has it, and whether that is still the very program that was
//! found before, and alone. Some ten system calls, where a question to `process` would take two threads' turns more.
//!
//! Whatever is in doubt is no answer here: `process` is asked then, and looks everywhere.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_messages::process::{Method, Owner, Owners, ProcessKey};
use seawall_messages::{Direction, Flow, Protocol, Transport};
use seawall_platform::linux::processes;
use seawall_platform::linux::sockets::SocketDiag;
use seawall_runtime::Published;

use crate::events;
use crate::finder::PACKETS_WAIT_TICKS;
use crate::regulars::{MOST_REGULARS, Regular, Regulars};

/// Regulars of a user that are looked at, those first that called last.
const MOST_LOOKED_AT: usize = 4;
/// Descriptors that are looked at, of the first of them, where it isn't one of before: a packet of
/// another program of that user waits meanwhile, some 3 us for each.
const MOST_DESCRIPTORS: usize = 16;

/// See the module.
pub struct TableOwners {
    regulars: Published<Regulars>,
    own: Mutex<Own>,
}

struct Own {
    tables: Option<SocketDiag>,
    /// Those that called last come first, and those last that it was none of.
    callers: VecDeque<Caller>,
}

struct Caller {
    key: ProcessKey,
    /// By which descriptors it had its last two sockets.
    descriptors: [u32; 2],
}

impl TableOwners {
    /// Looks among those that are published.
    pub fn new(regulars: Published<Regulars>) -> Self {
        let tables = SocketDiag::open().inspect_err(events::tables_missing).ok();
        Self { regulars, own: Mutex::new(Own { tables, callers: VecDeque::new() }) }
    }
}

impl Owners for TableOwners {
    fn owner(&self, flow: &Flow, uid: Option<u32>) -> Option<Owner> {
        let (own, other) = ends_of_call(flow)?;
        let regulars = self.regulars.load();
        // Without one of the sender's user there is nothing to look for.
        regulars.of_user(uid?).next()?;
        let mut state = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let found = state.tables.as_mut()?.find(Protocol::TCP, own, other).ok().flatten();
        let (socket, _) = found.filter(|(socket, _)| !socket.listening && socket.inode != 0)?;
        if Some(socket.uid) != uid {
            return None;
        }
        let of_user = state.in_turn(regulars.of_user(socket.uid));
        let (regular, descriptor) = state.holder(&of_user, socket.inode)?;
        is_alone(regular, descriptor).then_some(Owner {
            process: regular.key,
            cookie: 0,
            uid: socket.uid,
            method: Method::OpenFiles,
        })
    }
}

impl Own {
    /// Those to look at, in that order. Who was published since has called only just.
    fn in_turn<'r>(
        &mut self,
        regulars: impl Iterator<Item = &'r Arc<Regular>>,
    ) -> Vec<&'r Regular> {
        let mut of_user: Vec<&Regular> = regulars.map(|regular| &**regular).collect();
        for Regular { key, descriptor, .. } in of_user.iter().rev() {
            if !self.callers.iter().any(|caller| caller.key == *key) {
                let descriptors = [*descriptor; 2];
                self.callers.push_front(Caller { key: *key, descriptors });
            }
        }
        self.callers.truncate(MOST_REGULARS);
        let place = |regular: &&Regular| self.callers.iter().position(|of| of.key == regular.key);
        of_user.sort_by_key(|regular| place(regular).unwrap_or(MOST_REGULARS));
        of_user.truncate(MOST_LOOKED_AT);
        of_user
    }

    /// Who has the socket open, and by which descriptor.
    fn holder<'r>(&mut self, among: &[&'r Regular], inode: u32) -> Option<(&'r Regular, u32)> {
        let by_hint = among.iter().find_map(|regular| {
            let caller = self.callers.iter().find(|caller| caller.key == regular.key)?;
            let is_there = |at: &u32| regular.watched.socket_at(*at) == Some(inode);
            Some((*regular, caller.descriptors.into_iter().find(is_there)?))
        });
        let first = *among.first()?;
        let scanned = || Some((first, first.watched.descriptor_of(inode, MOST_DESCRIPTORS)?));
        let Some((regular, descriptor)) = by_hint.or_else(scanned) else {
            // Next time it is another's turn: this one may rest, or be gone.
            self.put_last(&first.key);
            return None;
        };
        self.called(&regular.key, descriptor);
        Some((regular, descriptor))
    }

    fn put_last(&mut self, key: &ProcessKey) {
        let place = self.callers.iter().position(|caller| caller.key == *key);
        let caller = place.and_then(|place| self.callers.remove(place));
        self.callers.extend(caller);
    }

    fn called(&mut self, key: &ProcessKey, descriptor: u32) {
        let Some(place) = self.callers.iter().position(|caller| caller.key == *key) else { return };
        let Some(mut caller) = self.callers.remove(place) else { return };
        let [last, before] = caller.descriptors;
        caller.descriptors = if descriptor == last { [last, before] } else { [descriptor, last] };
        self.callers.push_front(caller);
    }
}

/// Whether it is the program that was published, and nobody else can have used the socket: no child, nor whoever
/// was this process before it became this program.
fn is_alone(regular: &Regular, descriptor: u32) -> bool {
    let started = regular.condition.started_ticks;
    let is_young = processes::uptime_ticks() < started + PACKETS_WAIT_TICKS;
    if is_young && !regular.watched.closes_on_exec(descriptor) {
        return false;
    }
    // Last: what a process has open is its own as long as it was this program afterwards.
    regular.is_unchanged()
}

/// The local end of a TCP connection that this machine opens, then the other.
fn ends_of_call(flow: &Flow) -> Option<(SocketAddr, SocketAddr)> {
    let Transport::Ports { initiator, responder } = flow.transport else { return None };
    let is_call = flow.protocol == Protocol::TCP && flow.direction == Direction::Outbound;
    is_call.then_some((
        SocketAddr::new(flow.initiator, initiator),
        SocketAddr::new(flow.responder, responder),
    ))
}
