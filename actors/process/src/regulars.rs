//! Processes that open one connection after the other, where the kernel takes no notes: found once with all
//! care, they are published with what was seen of them then. Whoever meets their next connection looks
//! whether that still holds, and need not ask ([`TableOwners`](crate::TableOwners)).

use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::process::ProcessKey;
use seawall_platform::linux::processes::{Condition, Watched};
use seawall_runtime::{BoundedTable, Generation, Publisher};

/// Most processes that are published, with at most twenty open files each. What more there are take the place of
/// those that are known longest.
pub(crate) const MOST_REGULARS: usize = 32;

/// How long a process is none that can be published: it has children, say.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// One of them.
#[derive(Debug)]
pub struct Regular {
    /// Who it is: its program counts.
    pub(crate) key: ProcessKey,
    /// The user that it used a socket as.
    pub(crate) uid: u32,
    /// By which descriptor it had that.
    pub(crate) descriptor: u32,
    /// What it was like: as long as that is so, no other program can have used a socket that it has.
    pub(crate) condition: Condition,
    pub(crate) watched: Watched,
}

/// All of them, an immutable list.
#[derive(Clone, Debug, Default)]
pub struct Regulars(Arc<[Arc<Regular>]>);

impl Regulars {
    /// Those that used sockets as this user, whoever became one last first.
    pub(crate) fn of_user(&self, uid: u32) -> impl Iterator<Item = &Arc<Regular>> {
        self.0.iter().filter(move |regular| regular.uid == uid)
    }
}

impl Regular {
    /// Whether what was seen of it holds.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.watched.condition() == Some(self.condition)
    }
}

/// The list of an incarnation.
pub(crate) struct OwnList {
    publisher: Publisher<Regulars>,
    by: Generation,
    list: Regulars,
    /// When processes were found to be none that can be published.
    refused: BoundedTable<u32, Instant>,
}

impl OwnList {
    pub(crate) fn new(publisher: Publisher<Regulars>, by: Generation) -> Self {
        let refused = BoundedTable::new(MOST_REGULARS);
        Self { publisher, by, list: Regulars::default(), refused }
    }

    /// Whether to look if a process can be published: not each time that it calls.
    pub(crate) fn wants(&mut self, pid: u32, uid: u32, now: Instant) -> bool {
        let is_due = |refused: &Instant| now.saturating_duration_since(*refused) >= REFUSED_FOR;
        self.refused.get(&pid).is_none_or(is_due) && !self.has(pid, uid)
    }

    /// A process can't be published as it is.
    pub(crate) fn refuse(&mut self, pid: u32, now: Instant) {
        self.refused.insert(pid, now);
    }

    /// Whether a process is published as it is now.
    fn has(&self, pid: u32, uid: u32) -> bool {
        let mut own = self.list.of_user(uid).filter(|regular| regular.key.pid == pid);
        own.any(|regular| regular.is_unchanged())
    }

    /// Publishes a process, in the place of what was published of it before.
    pub(crate) fn add(&mut self, regular: Regular) {
        let (pid, uid) = (regular.key.pid, regular.uid);
        let others = self.list.0.iter().filter(|of| (of.key.pid, of.uid) != (pid, uid));
        let others = others.take(MOST_REGULARS - 1).cloned();
        self.publish(std::iter::once(Arc::new(regular)).chain(others).collect());
    }

    /// Lets go of those that are gone, or have changed.
    pub(crate) fn tidy(&mut self) {
        let still: Arc<[_]> =
            self.list.0.iter().filter(|regular| regular.is_unchanged()).cloned().collect();
        if still.len() != self.list.0.len() {
            self.publish(still);
        }
    }

    fn publish(&mut self, list: Arc<[Arc<Regular>]>) {
        self.list = Regulars(list);
        self.publisher.publish(self.by, self.list.clone());
    }
}

#[cfg(test)]
mod tests {
    use seawall_runtime::Published;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// One that is not what it was. What is watched is this process, whose sockets would be nobody's if it
    /// had a child.
    fn regular(pid: u32, uid: u32) -> Regular {
        let started = Instant::now();
        let watched = loop {
            // Other tests have threads, which end or are too many.
            if let Some(watched) = Watched::open(std::process::id()) {
                break watched;
            }
            assert!(started.elapsed() < SOON, "this process can't be watched");
            std::thread::yield_now();
        };
        let key = ProcessKey { pid, started_ticks: 1, exec_id: Some(1) };
        let condition =
            Condition { started_ticks: 1, program: 1, has_children: false, children_faults: 0 };
        Regular { key, uid, descriptor: 3, condition, watched }
    }

    #[test]
    fn the_latest_come_first_and_only_so_many_are_kept() {
        let (publisher, published) = Published::new(Regulars::default());
        let mut list = OwnList::new(publisher, Generation(1));
        let most = u32::try_from(MOST_REGULARS).expect("a few");
        for pid in 0..=most {
            list.add(regular(pid, 5));
        }
        list.add(regular(7, 5));
        list.add(regular(7, 6));
        let pids = |uid| published.load().of_user(uid).map(|of| of.key.pid).collect::<Vec<_>>();
        assert_eq!((pids(5).len() + 1, pids(6)), (MOST_REGULARS, vec![7]));
        assert_eq!(pids(5).first_chunk(), Some(&[7, most, most - 1]));
        let now = Instant::now();
        assert!(list.wants(7, 5, now), "it is not what it was");
        list.refuse(7, now);
        assert!(!list.wants(7, 5, now));
        assert!(list.wants(7, 5, now + REFUSED_FOR));
        list.tidy();
        assert_eq!(pids(5), Vec::<u32>::new());
    }
}
