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
/// Descriptors that are looked at, of the one that called last, where it isn't one of before: a packet of
/// another program of that user waits meanwhile, some 3 us for each.
const MOST_DESCRIPTORS: usize = 16;

/// See the module.
pub struct TableOwners {
    regulars: Published<Regulars>,
    own: Mutex<Own>,
}

struct Own {
    tables: Option<SocketDiag>,
    /// By which descriptors processes had their last two sockets: those that called last come first.
    hints: VecDeque<(ProcessKey, [u32; 2])>,
}

impl TableOwners {
    /// Looks among those that are published.
    pub fn new(regulars: Published<Regulars>) -> Self {
        let tables = SocketDiag::open().inspect_err(events::tables_missing).ok();
        Self { regulars, own: Mutex::new(Own { tables, hints: VecDeque::new() }) }
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
        let mut of_user: Vec<&Arc<Regular>> = regulars.of_user(socket.uid).collect();
        of_user.sort_by_key(|regular| state.rank(&regular.key));
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
    /// The lower, the later it called.
    fn rank(&self, key: &ProcessKey) -> usize {
        self.hints.iter().position(|(of, _)| of == key).unwrap_or(MOST_REGULARS)
    }

    /// Who has the socket open, and by which descriptor.
    fn holder<'r>(&mut self, among: &[&'r Arc<Regular>], inode: u32) -> Option<(&'r Regular, u32)> {
        let among = among.iter().take(MOST_LOOKED_AT);
        let by_hint = among.clone().find_map(|regular| {
            let mut hints = self.hints_of(regular).into_iter();
            let is_there = |at: &u32| regular.watched.socket_at(*at) == Some(inode);
            Some((*regular, hints.find(is_there)?))
        });
        let scanned = || {
            let last = among.clone().next()?;
            Some((*last, last.watched.descriptor_of(inode, MOST_DESCRIPTORS)?))
        };
        let (regular, descriptor) = by_hint.or_else(scanned)?;
        self.remember(regular, descriptor);
        Some((regular, descriptor))
    }

    fn hints_of(&self, regular: &Regular) -> [u32; 2] {
        let own = self.hints.iter().find(|(key, _)| *key == regular.key);
        own.map_or([regular.descriptor; 2], |(_, hints)| *hints)
    }

    fn remember(&mut self, regular: &Regular, descriptor: u32) {
        let [last, before] = self.hints_of(regular);
        let hints = if descriptor == last { [last, before] } else { [descriptor, last] };
        match self.hints.front_mut() {
            Some((key, known)) if *key == regular.key => *known = hints,
            _ => {
                self.hints.retain(|(key, _)| *key != regular.key);
                self.hints.push_front((regular.key, hints));
                self.hints.truncate(MOST_REGULARS);
            }
        }
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
