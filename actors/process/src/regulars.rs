//! Processes that open one connection after the other, where the kernel takes no notes: found once with all
//! care, they are published with what was seen of them then. Whoever meets their next connection looks
//! whether that still holds, and need not ask ([`TableOwners`](crate::TableOwners)).

use std::sync::Arc;

use seawall_messages::process::ProcessKey;
use seawall_platform::linux::processes::{Condition, Watched};
use seawall_runtime::{Generation, Publisher};

/// Most processes that are published, with at most twenty open files each. What more there are take the place of
/// those that are known longest.
pub(crate) const MOST_REGULARS: usize = 32;

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

/// Keeps the list of an incarnation.
pub(crate) struct Keeper {
    publisher: Publisher<Regulars>,
    by: Generation,
    list: Regulars,
}

impl Keeper {
    pub(crate) fn new(publisher: Publisher<Regulars>, by: Generation) -> Self {
        Self { publisher, by, list: Regulars::default() }
    }

    /// Whether a process is published as it is now.
    pub(crate) fn has(&self, pid: u32, uid: u32) -> bool {
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

    fn regular(pid: u32, uid: u32) -> Regular {
        let watched = Watched::open(std::process::id()).expect("this process");
        let condition = Condition { has_children: true, ..watched.condition().expect("it runs") };
        let key = ProcessKey { pid, started_ticks: 1, exec_id: Some(1) };
        Regular { key, uid, descriptor: 3, condition, watched }
    }

    #[test]
    fn the_latest_come_first_and_only_so_many_are_kept() {
        let (publisher, published) = Published::new(Regulars::default());
        let mut keeper = Keeper::new(publisher, Generation(1));
        let most = u32::try_from(MOST_REGULARS).expect("a few");
        for pid in 0..=most {
            keeper.add(regular(pid, 5));
        }
        keeper.add(regular(7, 5));
        keeper.add(regular(7, 6));
        let pids = |uid| published.load().of_user(uid).map(|of| of.key.pid).collect::<Vec<_>>();
        assert_eq!((pids(5).len() + 1, pids(6)), (MOST_REGULARS, vec![7]));
        assert_eq!(pids(5).first_chunk(), Some(&[7, most, most - 1]));
        assert!(!keeper.has(7, 5), "it is not what it was");
        keeper.tidy();
        assert_eq!(pids(5), Vec::<u32>::new());
    }
}
