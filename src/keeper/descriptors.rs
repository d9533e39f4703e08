//! The descriptors that outlive a worker: the queue sockets and journals that
//! the keeper makes itself, and whatever the worker deposits.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use seawall_messages::keeper::{Layout, WantedRules};
use seawall_platform::linux::journal::Journal;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::link::names;
use seawall_platform::linux::queue::{QueueSettings, QueueSocket};

use super::error::KeeperError;
use super::{kept_rules, service_manager};

/// Bytes of each packet that are copied: headers, and room for what is in front of them.
const COPY_RANGE: u32 = 256;

/// Asked of the kernel for each queue socket, which doubles it: two seconds
/// of 20,000 packets each while nobody reads.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// Packets that may wait in one queue of first or parked packets: as many as
/// the journal has room for.
const NEW_LENGTH: u32 = JOURNAL_SLOTS;

/// Packets that may wait in one queue of later packets.
const REST_LENGTH: u32 = 65_535;

/// Packets that a worker can hold from one socket.
const JOURNAL_SLOTS: u32 = 16_384;

/// Most deposits, and the longest name of one. The worker makes a handful.
const MAX_DEPOSITS: usize = 32;
const MAX_NAME_BYTES: usize = 64;

/// The descriptors that the keeper makes itself.
const OWN_NAMES: [&str; 4] =
    [names::QUEUE_NEW, names::QUEUE_REST, names::JOURNAL_NEW, names::JOURNAL_REST];

/// What the service manager calls the rules that stand.
const RULES: &str = "rules";

/// Queue sockets with their journals: made, kept and closed together.
struct Queues {
    descriptors: [(&'static str, OwnedFd); 4],
}

/// Everything that is kept for the next worker.
pub(super) struct Descriptors {
    layout: Layout,
    queues: Option<Queues>,
    deposits: BTreeMap<String, OwnedFd>,
}

impl Descriptors {
    /// Takes back what the service manager kept of a keeper before this one,
    /// or makes new ones. With the rules that stand, where that is kept, too.
    pub(super) fn open(layout: Layout) -> Result<(Self, Option<WantedRules>), KeeperError> {
        let mut kept = service_manager::take_back(&layout);
        let standing = kept.remove(RULES).and_then(|memory| kept_rules::read(memory).ok());
        let queues = match Queues::from_kept(&mut kept) {
            Some(queues) => queues,
            None => {
                // A part of them is of no use, and the store must not go on with it.
                OWN_NAMES.iter().for_each(|name| service_manager::forget(name, &layout));
                Queues::open(&layout)?
            }
        };
        let mut descriptors = Self { layout, queues: Some(queues), deposits: BTreeMap::new() };
        for (name, descriptor) in kept {
            // The store has it still: only what is refused has to be told.
            if descriptors.keep(&name, descriptor).is_none() {
                service_manager::forget(&name, &layout);
            }
        }
        Ok((descriptors, standing))
    }

    /// Has the service manager remember which rules stand.
    pub(super) fn note_rules(&self, rules: &WantedRules) {
        if !service_manager::is_there() {
            return;
        }
        service_manager::forget(RULES, &self.layout);
        match kept_rules::write(rules) {
            Ok(memory) => service_manager::store(RULES, &self.layout, memory.as_fd()),
            Err(error) => tracing::warn!(%error, "Could not write down which rules stand"),
        }
    }

    /// Has it forget that: they don't, any more, or nobody goes on from there.
    pub(super) fn forget_rules(&self) {
        service_manager::forget(RULES, &self.layout);
    }

    /// Goes on with what the program before this one kept. The service manager
    /// has its copies already.
    pub(super) fn take_over(
        layout: Layout,
        mut kept: BTreeMap<String, OwnedFd>,
    ) -> Result<Self, KeeperError> {
        let queues = match Queues::from_kept(&mut kept) {
            Some(queues) => queues,
            None => Queues::open(&layout)?,
        };
        Ok(Self { layout, queues: Some(queues), deposits: kept })
    }

    /// Closes the queues: new packets then do what the rules say for an
    /// absent Seawall, and those that wait are dropped.
    pub(super) fn close_queues(&mut self) {
        if let Some(queues) = self.queues.take() {
            for (name, _) in &queues.descriptors {
                service_manager::forget(name, &self.layout);
            }
        }
    }

    /// Opens them again, if they are closed.
    pub(super) fn reopen_queues(&mut self) -> Result<(), KeeperError> {
        if self.queues.is_none() {
            self.queues = Some(Queues::open(&self.layout)?);
        }
        Ok(())
    }

    /// Keeps a descriptor of the worker's. `false`: refused.
    /// The service manager gets a copy, for a keeper after this one.
    pub(super) fn deposit(&mut self, name: &str, descriptor: OwnedFd) -> bool {
        // Under one name the service manager would keep both.
        if self.deposits.contains_key(name) {
            service_manager::forget(name, &self.layout);
        }
        let layout = self.layout;
        let kept = self.keep(name, descriptor);
        if let Some(descriptor) = kept {
            service_manager::store(name, &layout, descriptor);
        }
        kept.is_some()
    }

    fn keep(&mut self, name: &str, descriptor: OwnedFd) -> Option<BorrowedFd<'_>> {
        let fits = self.deposits.contains_key(name) || self.deposits.len() < MAX_DEPOSITS;
        if !fits || !is_name(name) || name == RULES || OWN_NAMES.contains(&name) {
            return None;
        }
        self.deposits.insert(name.to_owned(), descriptor);
        self.deposits.get(name).map(AsFd::as_fd)
    }

    /// Closes a descriptor of the worker's.
    pub(super) fn withdraw(&mut self, name: &str) {
        if self.deposits.remove(name).is_some() {
            service_manager::forget(name, &self.layout);
        }
    }

    /// Closes all of them.
    pub(super) fn withdraw_all(&mut self) {
        for name in std::mem::take(&mut self.deposits).into_keys() {
            service_manager::forget(&name, &self.layout);
        }
    }

    /// All of them, for a new worker.
    pub(super) fn all(&self) -> Vec<(&str, BorrowedFd<'_>)> {
        let own = self.queues.iter().flat_map(|queues| &queues.descriptors);
        let own = own.map(|(name, fd)| (*name, fd.as_fd()));
        own.chain(self.deposits.iter().map(|(name, fd)| (name.as_str(), fd.as_fd()))).collect()
    }
}

impl Queues {
    /// New ones, of which the service manager gets a copy.
    fn open(layout: &Layout) -> Result<Self, KeeperError> {
        let rest =
            |queue: &QueueId| matches!(queue.kind, QueueKind::RestOriginal | QueueKind::RestReply);
        let (rest, new): (Vec<_>, Vec<_>) = QueueId::all().partition(rest);
        let settings = |max_length| QueueSettings {
            copy_range: COPY_RANGE,
            max_length,
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
        };
        let new = QueueSocket::open(&new, layout, &settings(NEW_LENGTH))?;
        let rest = QueueSocket::open(&rest, layout, &settings(REST_LENGTH))?;
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(KeeperError::Wait);
        let queues = Self {
            descriptors: [
                (names::QUEUE_NEW, own(new.as_fd())?),
                (names::QUEUE_REST, own(rest.as_fd())?),
                (names::JOURNAL_NEW, own(Journal::create(JOURNAL_SLOTS)?.as_fd())?),
                (names::JOURNAL_REST, own(Journal::create(JOURNAL_SLOTS)?.as_fd())?),
            ],
        };
        for (name, descriptor) in &queues.descriptors {
            service_manager::store(name, layout, descriptor.as_fd());
        }
        Ok(queues)
    }

    /// All four or none, which the service manager still has: a socket without its journal is worth nothing.
    fn from_kept(kept: &mut BTreeMap<String, OwnedFd>) -> Option<Self> {
        let mut take = |name: &'static str| Some((name, kept.remove(name)?));
        let descriptors = [
            take(names::QUEUE_NEW)?,
            take(names::QUEUE_REST)?,
            take(names::JOURNAL_NEW)?,
            take(names::JOURNAL_REST)?,
        ];
        Some(Self { descriptors })
    }
}

/// Whether a deposit may be called so: the service manager's store takes no other names.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_descriptor() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("there is a null device").into()
    }

    #[test]
    fn deposits_are_bounded_and_never_replace_the_keepers_own() {
        let mut kept =
            Descriptors { layout: Layout::default(), queues: None, deposits: BTreeMap::new() };
        for refused in
            [names::QUEUE_NEW, RULES, &"x".repeat(MAX_NAME_BYTES + 1), "", "a:b", "a b", "a\nb"]
        {
            assert!(!kept.deposit(refused, some_descriptor()), "{refused:?}");
        }
        for number in 0..MAX_DEPOSITS {
            assert!(kept.deposit(&format!("listener/{number}"), some_descriptor()));
        }
        assert!(!kept.deposit("one/too/many", some_descriptor()));
        assert!(kept.deposit("listener/0", some_descriptor()), "a replacement fits");
        kept.withdraw("listener/0");
        assert!(kept.deposit("now/it/fits", some_descriptor()));
        assert_eq!(kept.all().len(), MAX_DEPOSITS);
    }
}
