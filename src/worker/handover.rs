//! What the keeper hands over: what is known, and every descriptor that
//! outlived the worker before this one.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use seawall_messages::keeper::{
    KeeperFacts, Layout, PROTOCOL_VERSION, ToKeeper, ToWorker, WantedRules,
};
use seawall_platform::linux::journal::{Journal, JournalError};
use seawall_platform::linux::link::{Link, names};
use seawall_platform::linux::queue::{Batching, QueueReader, QueueSocket};

use super::error::WorkerError;

/// How long the keeper may take to answer: it may be writing rules.
const ANSWER: Duration = Duration::from_secs(15);

/// Packets that a journal of our own has room for, where the keeper's can't be read.
const OWN_JOURNAL_SLOTS: u32 = 16_384;

/// What was handed over.
pub(crate) struct Handover {
    /// Where queues, marks and labels lie.
    pub(crate) layout: Layout,
    /// What is known of the keeper.
    pub(crate) facts: KeeperFacts,
    /// The rules in the kernel, if a worker before this one set them.
    pub(crate) rules: Option<WantedRules>,
    /// By name.
    pub(crate) descriptors: BTreeMap<String, OwnedFd>,
}

impl Handover {
    /// Greets the keeper and takes what it gives.
    pub(super) fn receive(link: &Link) -> Result<Self, WorkerError> {
        link.send_to_keeper(&ToKeeper::Hello { version: PROTOCOL_VERSION }, None)
            .map_err(WorkerError::Talk)?;
        let (welcome, _) = link.receive_from_keeper(ANSWER).map_err(WorkerError::Talk)?;
        let ToWorker::Welcome {
            version,
            layout,
            backend,
            recent_crashes,
            crashes,
            rules,
            descriptors: count,
        } = welcome
        else {
            return Err(WorkerError::Unexpected("welcome"));
        };
        if version != PROTOCOL_VERSION {
            return Err(WorkerError::Version { theirs: version, ours: PROTOCOL_VERSION });
        }
        let mut descriptors = BTreeMap::new();
        for _ in 0..count {
            match link.receive_from_keeper(ANSWER).map_err(WorkerError::Talk)? {
                (ToWorker::Descriptor { name }, Some(descriptor)) => {
                    descriptors.insert(name, descriptor);
                }
                _ => return Err(WorkerError::Unexpected("which descriptors it keeps")),
            }
        }
        let pid = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
        let facts = KeeperFacts {
            pid: pid.unsigned_abs(),
            backend,
            recent_crashes,
            crashes,
            ..KeeperFacts::default()
        };
        Ok(Self { layout, facts, rules, descriptors })
    }

    /// The reader of first packets, which may hold some.
    pub(crate) fn new_reader(&mut self) -> Result<QueueReader, WorkerError> {
        self.reader(names::QUEUE_NEW, names::JOURNAL_NEW, Batching::Single)
    }

    /// The reader of later packets, which holds none.
    pub(crate) fn rest_reader(&mut self) -> Result<QueueReader, WorkerError> {
        self.reader(names::QUEUE_REST, names::JOURNAL_REST, Batching::Runs)
    }

    fn reader(
        &mut self,
        socket: &'static str,
        journal: &'static str,
        batching: Batching,
    ) -> Result<QueueReader, WorkerError> {
        let mut take = |name| self.descriptors.remove(name).ok_or(WorkerError::Missing(name));
        let (socket, journal) = (QueueSocket::from_fd(take(socket)?), take(journal)?);
        let journal = match Journal::open(journal) {
            Ok(journal) => journal,
            Err(error @ JournalError::Unreadable) => {
                let packets = QueueReader::requeue_all(&socket, &self.layout)?;
                tracing::error!(%error, packets, "Sent held packets through the rules again");
                Journal::create(OWN_JOURNAL_SLOTS)?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(QueueReader::new(socket, journal, self.layout, batching))
    }
}
