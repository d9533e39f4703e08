//! The component `keeper`: the worker's end of the link.
//!
//! - Owns: the link, which every incarnation takes up where the last one left it.
//! - Receives: [`Message`], from `datapath`.
//! - Publishes: [`KeeperFacts`].
//! - While it is down the rules stay as they are, and the keeper hears nothing:
//!   after three seconds it replaces the worker.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use seawall_messages::keeper::{KeeperFacts, Message, ToKeeper, ToWorker};
use seawall_platform::linux::link::{Link, LinkError};
use seawall_platform::linux::wake::EventWake;
use seawall_runtime::{
    Failure, Lease, LeaseError, Lender, Published, Publisher, Reply, StartError, Thread,
    ThreadContext,
};

use super::Finish;

/// How often the keeper hears that we live: it gives us up after three seconds.
const BEAT: Duration = Duration::from_secs(1);

/// Requests that may be unanswered: `datapath` makes one at a time.
const MAX_PENDING: usize = 64;

/// Frames or messages taken in one round.
const AT_ONCE: usize = 64;

/// What an incarnation is made from.
#[derive(Clone)]
pub(crate) struct KeeperLinkArguments {
    /// The link.
    pub(crate) link: Lender<Link>,
    /// Wakes the thread.
    pub(crate) wake: Arc<EventWake>,
    /// What is known of the keeper.
    pub(crate) facts: (Publisher<KeeperFacts>, Published<KeeperFacts>),
    /// Ends the worker.
    pub(crate) finish: SyncSender<Finish>,
}

/// The thread.
pub(crate) struct KeeperLink {
    context: ThreadContext<Message>,
    arguments: KeeperLinkArguments,
    lease: Lease<Link>,
    poll_fd: OwnedFd,
    pending: HashMap<u32, Reply<Result<(), String>>>,
    next_request: u32,
    next_beat: Instant,
}

/// Why it can't go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Lease(#[from] LeaseError),
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("can't wait for the keeper: {0}")]
    Wait(#[from] std::io::Error),
}

impl Thread for KeeperLink {
    type Message = Message;
    type Arguments = KeeperLinkArguments;

    fn start(
        context: ThreadContext<Message>,
        arguments: KeeperLinkArguments,
    ) -> Result<Self, StartError> {
        let generation = context.generation();
        let lease =
            arguments.link.lend(generation).map_err(|error| StartError(error.to_string()))?;
        let poll_fd = lease
            .with(|link| link.as_fd().try_clone_to_owned())
            .map_err(|error| StartError(error.to_string()))?
            .map_err(|error| StartError(format!("can't copy the link's descriptor: {error}")))?;
        // Answers to an earlier incarnation's requests are none of ours.
        let next_request = (generation.0 as u32) << 16;
        Ok(Self {
            context,
            arguments,
            lease,
            poll_fd,
            pending: HashMap::new(),
            next_request,
            next_beat: Instant::now(),
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        while !self.context.is_stopping() {
            self.context.busy();
            let worked = self.round().map_err(|error| Failure(error.to_string()))?;
            self.context.idle();
            if !worked {
                let left = self.next_beat.saturating_duration_since(Instant::now());
                let context = &self.context;
                self.arguments
                    .wake
                    .wait(self.poll_fd.as_fd(), Some(left), || context.address().depth() > 0)
                    .map_err(|error| Failure(Broken::Wait(error).to_string()))?;
            }
        }
        Ok(())
    }
}

impl KeeperLink {
    /// One round; whether there may be more to do at once.
    fn round(&mut self) -> Result<bool, Broken> {
        let now = Instant::now();
        if self.next_beat <= now {
            self.next_beat = now + BEAT;
            self.send(&ToKeeper::Heartbeat)?;
        }
        let mut heard = 0;
        while heard < AT_ONCE && self.hear()? {
            heard += 1;
        }
        let mut told = 0;
        while told < AT_ONCE {
            let Some(message) = self.context.try_next() else { break };
            self.pass_on(message)?;
            told += 1;
        }
        Ok(heard == AT_ONCE || told == AT_ONCE)
    }

    fn pass_on(&mut self, message: Message) -> Result<(), Broken> {
        match message {
            Message::SetRules { rules, reply } => {
                if self.pending.len() >= MAX_PENDING {
                    reply.send(Err("too many changes of the rules are under way".to_owned()));
                    return Ok(());
                }
                let request = self.next_request;
                self.next_request = self.next_request.wrapping_add(1);
                self.pending.insert(request, reply);
                self.send(&ToKeeper::SetRules { request, rules })
            }
            Message::CheckRules => self.send(&ToKeeper::CheckRules),
            Message::Ready => self.send(&ToKeeper::Ready),
        }
    }

    fn send(&mut self, frame: &ToKeeper) -> Result<(), Broken> {
        match self.lease.with(|link| link.send_to_keeper(frame, None))? {
            Err(LinkError::Closed) => {
                self.finish(Finish::Orphaned);
                Ok(())
            }
            sent => Ok(sent?),
        }
    }

    /// Takes one frame, if one is there.
    fn hear(&mut self) -> Result<bool, Broken> {
        match self.lease.with(|link| link.receive_from_keeper(Duration::ZERO))? {
            Ok((frame, _)) => {
                self.take(frame);
                Ok(true)
            }
            Err(LinkError::TimedOut) => Ok(false),
            Err(LinkError::Closed) => {
                self.finish(Finish::Orphaned);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, frame: ToWorker) {
        match frame {
            ToWorker::RulesSet { request, result } => {
                if let Some(reply) = self.pending.remove(&request) {
                    reply.send(result);
                }
            }
            ToWorker::RulesMended { times } => self.learn(|facts| facts.rules_mended = times),
            ToWorker::RulesBroken { problem } => self.learn(|facts| facts.rules_problem = problem),
            ToWorker::NothingBehind { nothing } => {
                self.learn(|facts| facts.nothing_behind = nothing);
            }
            ToWorker::Stop => self.finish(Finish::Told),
            ToWorker::Welcome { .. } | ToWorker::Descriptor { .. } => {
                tracing::warn!("The keeper said something out of turn");
            }
        }
    }

    fn learn(&self, change: impl FnOnce(&mut KeeperFacts)) {
        let (publisher, published) = &self.arguments.facts;
        let mut facts = KeeperFacts::clone(&published.load());
        change(&mut facts);
        publisher.publish(self.context.generation(), facts);
    }

    /// Said once is enough: the channel has room for one.
    fn finish(&self, why: Finish) {
        let _ = self.arguments.finish.try_send(why);
    }
}
