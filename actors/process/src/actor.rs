//! The shell: takes questions and the kernel's events, looks at traffic, answers.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_messages::process::{Attribution, HookStatus, Message, Owners as _, Question};
use seawall_messages::{Flow, PolicyGeneration, Protocol, Snapshot, datapath, policy};
use seawall_platform::linux::ebpf::{Events, Notes};
use seawall_platform::linux::sockets::ClosedSockets;
use seawall_runtime::{
    Address, Component, Context, Failure, Lease, LeaseError, Lender, Pace, Published, Publisher,
    StartError,
};

use crate::describe::describe;
use crate::error::Error;
use crate::events;
use crate::finder::{Finder, Found};
use crate::ledger::Ledger;
use crate::names::DesktopIndex;
use crate::regulars::{OwnList, Regulars};
use crate::tracked::Tracked;
use crate::watch;

mod told;
mod traffic;

/// How often traffic is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The shortest pause between two looks for those who ask.
const LOOK_AT_MOST: Duration = Duration::from_millis(500);

/// How often desktop files are read again.
const READ_NAMES: Duration = Duration::from_secs(600);

/// How often, and with what pause, the kernel's word on a process is waited for.
const RECORD_LOOKS: u32 = 10;
const RECORD_PAUSE: Duration = Duration::from_millis(1);

/// What is counted by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// What sockets move, with the notes, if there are any.
    Sockets,
    /// What connections move: switches that on in this network namespace.
    Connections,
    /// Nothing.
    Nothing,
}

/// Whose owner is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every connection's.
    All,
    /// Nobody's: all are unidentified. To measure what looking costs.
    None,
}

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// Whose owner is looked for.
    pub finding: Finding,
    /// What the kernel notes; `None` where it notes nothing.
    pub notes: Option<Arc<Notes>>,
    /// Owns the events; `None` where there are none.
    pub events: Option<Lender<Events>>,
    /// Owns the word of datagram sockets that close; `None` where the events tell of them, or nobody does.
    pub closed: Option<Lender<ClosedSockets>>,
    /// Owns what was found and counted.
    pub ledger: Lender<Ledger>,
    /// How bytes are counted.
    pub counting: Counting,
    /// Why the kernel notes nothing.
    pub problem: Option<String>,
    /// The policy in force.
    pub policy: Published<Snapshot>,
    /// Where processes are published whose connections need no question.
    pub regulars: Publisher<Regulars>,
    /// Told of sockets that closed.
    pub datapath: Address<datapath::Message>,
    /// Told of apps that were seen.
    pub policies: Address<policy::Message>,
}

/// The component `process`.
pub struct Processes {
    context: Context<Message>,
    arguments: Arguments,
    events: Option<Lease<Events>>,
    closed: Option<Lease<ClosedSockets>>,
    finder: Finder,
    ledger: Lease<Ledger>,
    /// Counts where the kernel doesn't count by socket.
    tracked: Option<Tracked>,
    /// The policy that processes were described for.
    generation: PolicyGeneration,
    pace: Pace,
    /// Where desktop files' names come in.
    names: Arc<Mutex<Option<DesktopIndex>>>,
    names_asked: Instant,
}

impl Component for Processes {
    type Message = Message;
    type Arguments = Arguments;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        let refuse = |error: &dyn std::error::Error| StartError(error.to_string());
        let events = watched(arguments.events.as_ref(), &context)?;
        let closed = watched(arguments.closed.as_ref(), &context)?;
        let ledger = arguments.ledger.lend(context.generation()).map_err(|error| refuse(&error))?;
        let tracked = match arguments.counting {
            Counting::Sockets | Counting::Nothing => None,
            Counting::Connections => Tracked::open().inspect_err(events::nobody_counts).ok(),
        };
        let counting = match arguments.counting {
            // Nobody counts: the tracking table isn't to be had.
            Counting::Connections if tracked.is_none() => Counting::Nothing,
            counting => counting,
        };
        ledger.with(|ledger| ledger.count(counting)).map_err(|error| refuse(&error))?;
        tokio::spawn(watch::time(LOOK, context.address().clone()));
        let names = Arc::default();
        watch::names(&names);
        Ok(Self {
            finder: Finder::new(
                arguments.notes.clone(),
                arguments.finding,
                OwnList::new(arguments.regulars.clone(), context.generation()),
            ),
            ledger,
            tracked,
            generation: arguments.policy.load().generation,
            names,
            names_asked: Instant::now(),
            pace: Pace::new(LOOK_AT_MOST),
            events,
            closed,
            context,
            arguments,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        self.take(message).await.map_err(|error| Failure(error.to_string()))
    }
}

impl Processes {
    async fn take(&mut self, message: Message) -> Result<(), Error> {
        self.take_events()?;
        let snapshot = self.policy();
        let now = Instant::now();
        match message {
            Message::Identify { question, reply } => {
                self.await_record(&question).await?;
                reply.send(self.identify(&question, &snapshot, now)?);
            }
            Message::IdentifyAll { questions, reply } => {
                let each = |question| self.identify(question, &snapshot, now);
                reply.send(questions.iter().map(each).collect::<Result<_, _>>()?);
            }
            Message::Decided(questions) => {
                for question in &questions {
                    self.note(question, &snapshot, now)?;
                }
            }
            Message::Uses { flows, reply } => {
                self.look_if_due(now)?;
                let each = |flow| self.flow_use(flow, &snapshot, now);
                reply.send(flows.iter().map(each).collect::<Result<_, _>>()?);
            }
            Message::Moves { flows, since, reply } => {
                self.look_if_due(now)?;
                let each = |flow| self.flow_use(flow, &snapshot, now);
                let uses = flows.iter().map(each).collect::<Result<_, _>>()?;
                reply.send((uses, self.ledger.with(|ledger| ledger.moves(since, now))?));
            }
            Message::Apps { open, reply } => {
                self.look_if_due(now)?;
                for flow in &open {
                    self.flow_use(flow, &snapshot, now)?;
                }
                reply.send(self.ledger.with(|ledger| ledger.apps(&open, now))?);
            }
            Message::Hooks { reply } => reply.send(self.hooks()),
            Message::Describe { whom, reply } => {
                let Self { finder, ledger, .. } = self;
                let recent =
                    |fits: &dyn Fn(&_) -> bool| ledger.with(|ledger| ledger.latest(fits)).ok()?;
                reply.send(describe(&whom, &mut finder.roster, &snapshot, recent));
            }
            Message::EventsWait => {}
            Message::LookAgain => {
                self.look(now)?;
                events::followed(self.ledger.with(|ledger| ledger.expire(now))?);
                self.finder.tidy(now);
                self.tell_seen(now)?;
                self.learn_names(now);
            }
        }
        Ok(())
    }

    /// The policy in force; what was described for another is described anew.
    fn policy(&mut self) -> Arc<Snapshot> {
        let snapshot = self.arguments.policy.load();
        if snapshot.generation != self.generation {
            self.generation = snapshot.generation;
            self.finder.roster.policy_changed();
        }
        snapshot
    }

    /// For a verdict: asked anew each time, for a tuple may have changed hands.
    fn identify(
        &mut self,
        question: &Question,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<Attribution, LeaseError> {
        let found = self.find(question, snapshot);
        self.remember(question.flow, &found, now)?;
        Ok(found.attribution)
    }

    /// Waits a moment for the kernel to tell of a process that it noted. One that is being
    /// told of holds up all that come after it.
    async fn await_record(&mut self, question: &Question) -> Result<(), Error> {
        // Without events nobody will ever tell.
        let Some(owner) = question.owner.filter(|_| self.events.is_some()) else { return Ok(()) };
        for _ in 0..RECORD_LOOKS {
            if self.finder.roster.can_describe(&owner.process) {
                break;
            }
            tokio::time::sleep(RECORD_PAUSE).await;
            self.take_events()?;
        }
        Ok(())
    }

    /// Keeps what was found. A datagram socket may have closed before that.
    fn remember(&self, flow: Flow, found: &Found, now: Instant) -> Result<(), LeaseError> {
        let has_closed = self.ledger.with(|ledger| {
            ledger.note(flow, found, now);
            let socket = found.cookie.filter(|_| flow.protocol == Protocol::UDP);
            socket.is_some_and(|cookie| ledger.has_closed(cookie))
        })?;
        if has_closed {
            self.part(vec![flow]);
        }
        Ok(())
    }

    /// For lists: what was found for a verdict holds.
    fn note(
        &mut self,
        question: &Question,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), LeaseError> {
        let question = self.asked_now(question);
        let known = self.ledger.with(|ledger| ledger.recall(&question.flow))?;
        let is_same = known.is_some_and(|known| is_confirmed(&known, &question));
        if !is_same {
            let found = self.find(&question, snapshot);
            self.remember(question.flow, &found, now)?;
        }
        Ok(())
    }

    /// The ends of datagrams may have changed hands since the asker looked.
    fn asked_now(&self, question: &Question) -> Question {
        if question.flow.protocol == Protocol::TCP {
            return *question;
        }
        let noted =
            self.arguments.notes.as_ref().and_then(|notes| notes.owner(&question.flow, None));
        Question { owner: noted.or(question.owner), ..*question }
    }

    fn find(&mut self, question: &Question, snapshot: &Snapshot) -> Found {
        if let Some(port) = question.flow.destination_port() {
            self.context.poison(u64::from(port));
        }
        self.finder.find(question, snapshot)
    }

    fn hooks(&self) -> Vec<HookStatus> {
        match (&self.arguments.notes, &self.arguments.problem) {
            (Some(notes), _) => notes.hooks().to_vec(),
            (None, problem) => vec![HookStatus {
                name: "all".to_owned(),
                missing: Some(problem.clone().unwrap_or_default()),
                serves: "owners of programs that are gone at once".to_owned(),
            }],
        }
    }

    /// What could not be told is told at the next look.
    fn tell_seen(&self, now: Instant) -> Result<(), LeaseError> {
        let seen = self.ledger.with(|ledger| ledger.seen())?;
        if !seen.is_empty() && self.arguments.policies.tell(policy::Message::AppsSeen(seen)).is_ok()
        {
            self.ledger.with(|ledger| ledger.told(now))?;
        }
        Ok(())
    }

    fn learn_names(&mut self, now: Instant) {
        let read = self.names.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(desktop) = read {
            self.finder.roster.learn_names(desktop);
        }
        if now.duration_since(self.names_asked) >= READ_NAMES {
            self.names_asked = now;
            watch::names(&self.names);
        }
    }
}

/// What the kernel tells from now on, and has waiting.
fn watched<T: AsFd + Send + 'static>(
    lender: Option<&Lender<T>>,
    context: &Context<Message>,
) -> Result<Option<Lease<T>>, StartError> {
    let Some(lender) = lender else { return Ok(None) };
    let refuse = |error: &dyn std::error::Error| StartError(error.to_string());
    let lease = lender.lend(context.generation()).map_err(|error| refuse(&error))?;
    let descriptor = lease
        .with(|source| source.as_fd().try_clone_to_owned())
        .map_err(|error| refuse(&error))?
        .map_err(|error| refuse(&error))?;
    tokio::spawn(watch::events(descriptor, context.address().clone()));
    Ok(Some(lease))
}

/// Whether what is known of a connection is about the owner that the kernel noted.
fn is_confirmed(known: &Attribution, question: &Question) -> bool {
    match (&known.process, question.owner) {
        (Some(process), Some(owner)) => process.key == owner.process,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
