//! Processes that had sockets of late: whose open files are looked at first, before those of all.

use std::collections::VecDeque;

use seawall_platform::linux::processes;
use seawall_platform::linux::sockets::Socket;
use seawall_runtime::BoundedTable;

/// Users, and processes of each, that are remembered.
const MOST_USERS: usize = 256;
const MOST_RECENT: usize = 4;

/// A process that had a socket open by this descriptor, and the one before it by that. A program that
/// opens one socket while it closes another takes two in turn.
#[derive(Clone, Copy)]
pub(super) struct Recent {
    pub(super) pid: u32,
    pub(super) descriptor: u32,
    pub(super) before: u32,
    /// Whether it was an answer once. Until then it only spares looks elsewhere that give none.
    pub(super) answered: bool,
}

/// By user, who had sockets of late.
pub(super) struct RecentlySeen(BoundedTable<u32, VecDeque<Recent>>);

impl Default for RecentlySeen {
    fn default() -> Self {
        Self(BoundedTable::new(MOST_USERS))
    }
}

impl Recent {
    fn now_by(self, descriptor: u32) -> Self {
        match descriptor == self.descriptor {
            true => self,
            false => Self { descriptor, before: self.descriptor, ..self },
        }
    }
}

impl RecentlySeen {
    /// The one that has a socket open: far fewer to look at than all, and the first look is where the last one was.
    pub(super) fn holder(&mut self, socket: &Socket) -> Option<Recent> {
        let recent = self.0.get(&socket.uid)?;
        let by_hint = |of: &Recent| {
            let mut hints = [of.descriptor, of.before].into_iter();
            let descriptor =
                hints.find(|at| processes::socket_at(of.pid, *at) == Some(socket.inode))?;
            Some(of.now_by(descriptor))
        };
        let scanned = |of: &Recent| {
            let descriptor = processes::descriptor_of(of.pid, socket.inode).ok().flatten()?;
            Some(of.now_by(descriptor))
        };
        let by_hint = recent.iter().find_map(by_hint);
        let found = by_hint.or_else(|| recent.iter().find_map(scanned))?;
        let is_where_it_was = recent
            .front()
            .is_some_and(|of| (of.pid, of.descriptor) == (found.pid, found.descriptor));
        if !is_where_it_was {
            self.remember(socket.uid, found);
        }
        Some(found)
    }

    /// By which descriptor a process has the socket open.
    pub(super) fn descriptor_in(&mut self, pid: u32, socket: &Socket) -> Option<u32> {
        let recent = self.0.get(&socket.uid)?.iter().find(|of| of.pid == pid);
        let descriptor = recent.map(|of| of.descriptor);
        let is_there =
            |descriptor: &u32| processes::socket_at(pid, *descriptor) == Some(socket.inode);
        let by_hint = descriptor.filter(is_there);
        by_hint.or_else(|| processes::descriptor_of(pid, socket.inode).ok().flatten())
    }

    /// Remembers that a process had a socket, as this user.
    pub(super) fn remember(&mut self, uid: u32, of: Recent) {
        let mut recent = self.0.get(&uid).cloned().unwrap_or_default();
        recent.retain(|known| known.pid != of.pid);
        recent.push_front(of);
        recent.truncate(MOST_RECENT);
        self.0.insert(uid, recent);
    }
}
