//! `datapath`: the controller. Puts a published policy in force, lists flows, knows how things stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::datapath::{
    Connection, ConnectionChanges, Cursor, DatapathStatus, Message, NewQueueMessage,
    RestQueueMessage,
};
use seawall_messages::keeper::{self, KeeperFacts, Layout, WantedRules};
use seawall_messages::process::{self, Question};
use seawall_messages::verdict::{self, MAX_BATCH, Request};
use seawall_messages::{Action, Flow, PolicyGeneration, Snapshot};
use seawall_platform::linux::conntrack::{Conntrack, Entry};
use seawall_platform::linux::layout::Epoch;
use seawall_platform::linux::sockets::{SocketDiag, own_addresses};
use seawall_runtime::{
    Address, Component, Context, Failure, Lease, LeaseError, Lender, Pace, Published, Publisher,
    Reply, StartError,
};

use crate::error::Error;
use crate::events;
use crate::flow_of::Orientation;
use crate::hits::Hits;
use crate::listing::Listing;
use crate::parking::ParkedCount;
use crate::side::Side;
use crate::standing::Standing;
use crate::sweep::{Sweep, entry_of_flow, is_own_traffic, is_settled};

/// The shortest pause between two looks at what the kernel tracks, for those who ask often.
const LOOK_AT_MOST: Duration = Duration::from_millis(500);
/// How long the keeper may take to change the rules before that is tried again: shorter than a message
/// of this component may take, so that a slow keeper is no hang of it.
const RULES_DEADLINE: Duration = Duration::from_secs(4);
/// How long `verdict` may take over a batch: long enough for one restart.
const JUDGE_DEADLINE: Duration = Duration::from_secs(3);
/// How long a verdict may be under way to its packet.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// How long after a failure the policy is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What an incarnation is made from.
#[derive(Clone)]
pub struct ControllerArguments {
    /// Where queues, marks and labels lie.
    pub layout: Layout,
    /// The policy.
    pub policy: Published<Snapshot>,
    /// Which verdicts stand, to read.
    pub standing: Published<Standing>,
    /// Which verdicts stand, to publish.
    pub publisher: Publisher<Standing>,
    /// Who decides.
    pub verdict: Address<verdict::Message>,
    /// Who notes whose connections are.
    pub process: Address<process::Message>,
    /// The threads that remember verdicts.
    pub new: Address<NewQueueMessage>,
    /// As [`Self::new`], for later packets.
    pub rest: Address<RestQueueMessage>,
    /// Who changes rules.
    pub keeper: Address<keeper::Message>,
    /// What is known of the keeper.
    pub keeper_facts: Published<KeeperFacts>,
    /// True directions of flows older than connection tracking.
    pub orientation: Arc<Orientation>,
    /// Whether rules of an earlier worker are in the kernel.
    pub inherits_rules: bool,
    /// How much waits for a verdict.
    pub parked: Arc<ParkedCount>,
    /// Owns what rules did.
    pub hits: Lender<Hits>,
}

fn abandoned(error: LeaseError) -> Failure {
    Failure(error.to_string())
}

/// The controller.
pub struct Controller {
    context: Context<Message>,
    arguments: ControllerArguments,
    decided: Listing,
    hits: Lease<Hits>,
    pace: Pace,
    awaiting: Vec<(PolicyGeneration, Reply<Result<(), String>>)>,
    problem: Option<String>,
    in_force: bool,
}

impl Component for Controller {
    type Message = Message;
    type Arguments = ControllerArguments;

    async fn start(
        context: Context<Message>,
        arguments: ControllerArguments,
    ) -> Result<Self, StartError> {
        let hits = arguments.hits.lend(context.generation());
        let hits = hits.map_err(|error| StartError(error.to_string()))?;
        let generation = arguments.policy.load().generation;
        // An incarnation before this one may have died between the rules and the sweep.
        context
            .address()
            .tell(Message::PolicyPublished { generation })
            .map_err(|error| StartError(error.to_string()))?;
        Ok(Self {
            context,
            arguments,
            decided: Listing::new(milliseconds_since_1970()),
            hits,
            pace: Pace::new(LOOK_AT_MOST),
            awaiting: Vec::new(),
            problem: None,
            in_force: false,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::PolicyPublished { .. } => self.put_in_force().await,
            Message::AwaitPolicy { generation, reply } => self.await_policy(generation, reply),
            Message::Decided(connections) => self.note(connections),
            // Whoever has flows that wait looks now and then, too.
            Message::AnswersChanged => self.arguments.new.offer(NewQueueMessage::AnswersChanged),
            Message::SocketsClosed(flows) => {
                let (address, again) = (self.context.address().clone(), flows.clone());
                self.forget(flows);
                tokio::spawn(async move {
                    tokio::time::sleep(UNDER_WAY).await;
                    address.offer(Message::SocketsClosedAgain(again));
                });
            }
            Message::SocketsClosedAgain(flows) => self.forget(flows),
            Message::RulesSuspect => {
                if self.arguments.keeper.tell(keeper::Message::CheckRules).is_err() {
                    tracing::warn!("The keeper could not be told to check the rules");
                }
            }
            Message::Connections { reply } => reply.send(self.connections()),
            Message::Changes { since, reply } => reply.send(self.changes(since)),
            Message::RuleHits { reply } => {
                reply.send(self.hits.with(|hits| hits.list()).map_err(abandoned)?)
            }
            Message::Status { reply } => reply.send(self.status()),
        }
        Ok(())
    }
}

impl Controller {
    /// Keeps decided flows for lists, and has their owners found while somebody knows them.
    fn note(&mut self, connections: Vec<Connection>) {
        let question = |connection: &Connection| Question {
            flow: connection.flow,
            owner: connection.owner,
            uid: connection.uid,
        };
        let questions = connections.iter().map(question).collect();
        self.arguments.process.offer(process::Message::Decided(questions));
        // What goes to make room is what is over, and only a look tells.
        if self.decided.lacks_room_for(connections.len()) {
            self.look_if_due();
        }
        let noted = self.hits.with(|hits| {
            for connection in &connections {
                hits.note(&connection.reason, connection.decided);
            }
        });
        if noted.is_err() {
            // Abandoned: a successor is told from here on.
            return;
        }
        for connection in connections {
            self.decided.decided(connection);
        }
    }

    /// The verdicts of these flows stand no more: they are tracked no longer, and start afresh. (Taking
    /// labels would let a packet through that is on its way from its label to the rule that looks for it.)
    fn forget(&mut self, flows: Vec<Flow>) {
        let deleted = Conntrack::open().and_then(|mut conntrack| {
            let mut entries = flows.iter().filter_map(entry_of_flow);
            entries.try_for_each(|entry| conntrack.delete(&entry))
        });
        if let Err(error) = deleted {
            let problem = Error::from(error).chain();
            tracing::warn!(problem, "Verdicts of closed sockets could not be taken back");
        }
        self.arguments.rest.offer(RestQueueMessage::Forget(flows.clone()));
        self.arguments.new.offer(NewQueueMessage::Forget(flows));
    }

    /// Makes the published policy the one whose verdicts stand. Idempotent: a
    /// policy that is in force already is left alone.
    async fn put_in_force(&mut self) {
        let snapshot = self.arguments.policy.load();
        let standing = *self.arguments.standing.load();
        if self.in_force && standing.generation == snapshot.generation {
            return self.tell_awaiting();
        }
        match self.change_to(&snapshot, standing).await {
            Ok(()) => {
                self.in_force = true;
                self.problem = None;
                self.tell_awaiting();
                if self.arguments.keeper.tell(keeper::Message::Ready).is_err() {
                    tracing::warn!("The keeper could not be told that packets are judged");
                }
            }
            Err(error) => {
                let problem = error.chain();
                events::policy_delayed(&problem);
                self.problem = Some(problem);
                self.try_again_later(snapshot.generation);
            }
        }
    }

    async fn change_to(&mut self, snapshot: &Snapshot, standing: Standing) -> Result<(), Error> {
        let started = Instant::now();
        let fresh = standing.generation == PolicyGeneration(0) && !self.arguments.inherits_rules;
        let epoch = if fresh { standing.epoch } else { standing.epoch.next() };
        let rules = WantedRules {
            epoch: epoch.get(),
            mode: snapshot.mode,
            judge_loopback: snapshot.judges_loopback(),
        };
        self.arguments
            .keeper
            .ask(RULES_DEADLINE, |reply| keeper::Message::SetRules { rules, reply })
            .await
            .map_err(Error::Keeper)?
            .map_err(Error::Rules)?;
        let now_standing = Standing { generation: snapshot.generation, epoch };
        self.arguments.publisher.publish(self.context.generation(), now_standing);
        let (live, cut) = self.judge_live(snapshot, epoch).await?;
        events::policy_in_force(snapshot.generation.0, epoch.get(), live, cut, started.elapsed());
        Ok(())
    }

    /// Judges every tracked connection again. Returns how many there were and how many were cut.
    /// Where it depends on an interface that nobody knows, the next packet shows it.
    async fn judge_live(
        &mut self,
        snapshot: &Snapshot,
        epoch: Epoch,
    ) -> Result<(usize, usize), Error> {
        let wants_interface = snapshot.looks_at_interfaces();
        let mut conntrack = Conntrack::open()?;
        let own: HashSet<_> = own_addresses()?.into_iter().collect();
        let layout = self.arguments.layout;
        let mut live: Vec<(Entry, Flow)> = Vec::new();
        let mut unsure: Vec<Entry> = Vec::new();
        for entry in conntrack.list()? {
            let wants_none = entry.ended || is_own_traffic(&entry, &layout);
            if wants_none || is_settled(&entry, &layout, epoch) {
                continue;
            }
            match Side::of(&entry, &own, &self.arguments.orientation, |flow| {
                self.decided.knows(flow)
            }) {
                Some(Side::Known(flow))
                    if !wants_interface || self.decided.interface_of(&flow).is_some() =>
                {
                    live.push((entry, flow));
                }
                Some(Side::Known(_) | Side::Unsure(_)) => unsure.push(entry),
                None => {}
            }
        }
        // Their next packets are judged where they show up.
        unsure.retain(|entry| entry.labels.is_some_and(|labels| labels != 0));
        conntrack.take_labels(&layout, &unsure)?;
        let mut cut = 0;
        for batch in live.chunks(MAX_BATCH) {
            cut += self.judge_batch(&mut conntrack, batch, epoch).await?;
        }
        Ok((live.len(), cut))
    }

    async fn judge_batch(
        &mut self,
        conntrack: &mut Conntrack,
        batch: &[(Entry, Flow)],
        epoch: Epoch,
    ) -> Result<usize, Error> {
        let request = |flow: &Flow| Request {
            flow: *flow,
            uid: self.decided.uid_of(flow),
            owner: None,
            is_open: true,
            interface: self.decided.interface_of(flow),
        };
        let requests: Vec<_> = batch.iter().map(|(_, flow)| request(flow)).collect();
        let judgements = self
            .arguments
            .verdict
            .ask(JUDGE_DEADLINE, |reply| verdict::Message::JudgeAll { requests, reply })
            .await
            .map_err(Error::Verdict)?;
        let mut sweep = Sweep::default();
        for ((entry, flow), judgement) in batch.iter().zip(&judgements) {
            sweep.add(*entry, flow, judgement, epoch);
            self.decided.judged(flow, judgement);
        }
        // Labels first: from here on nothing of a forbidden flow gets out. Then
        // the sockets, so that both ends learn at once.
        conntrack.set_verdicts(&self.arguments.layout, &sweep.verdicts)?;
        conntrack.take_labels(&self.arguments.layout, &sweep.unlabelled)?;
        if !sweep.cut.is_empty() {
            let mut sockets = SocketDiag::open()?;
            for (local, remote) in &sweep.cut {
                sockets.destroy_tcp(*local, *remote)?;
            }
        }
        let forbidden =
            |judgement: &&seawall_messages::Judgement| judgement.action != Action::Allow;
        Ok(judgements.iter().filter(forbidden).count())
    }

    fn await_policy(&mut self, generation: PolicyGeneration, reply: Reply<Result<(), String>>) {
        self.awaiting.push((generation, reply));
        // Bounded by dropping the oldest: its asker learns that nobody will answer.
        if self.awaiting.len() > 64 {
            self.awaiting.remove(0);
        }
        self.tell_awaiting();
    }

    fn tell_awaiting(&mut self) {
        let reached = if self.in_force {
            self.arguments.standing.load().generation
        } else {
            PolicyGeneration(0)
        };
        for (generation, reply) in std::mem::take(&mut self.awaiting) {
            if generation <= reached {
                reply.send(Ok(()));
            } else if let Some(problem) = &self.problem {
                reply.send(Err(problem.clone()));
            } else {
                self.awaiting.push((generation, reply));
            }
        }
    }

    fn try_again_later(&mut self, generation: PolicyGeneration) {
        self.tell_awaiting();
        let address = self.context.address().clone();
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            // A full mailbox holds another reason to look at the policy; a stopped one needs none.
            let _ = address.tell(Message::PolicyPublished { generation });
        });
    }

    /// Decided flows, newest first. Those that are allowed are open while the kernel still tracks them.
    fn connections(&mut self) -> Vec<Connection> {
        self.look();
        self.decided.newest()
    }

    /// What changed since then. Those who ask often share a look.
    fn changes(&mut self, since: Cursor) -> ConnectionChanges {
        self.look_if_due();
        self.decided.changes(since)
    }

    fn look_if_due(&mut self) {
        if self.pace.is_due(Instant::now()) {
            self.look();
        }
    }

    /// Looks which connections the kernel still tracks.
    fn look(&mut self) {
        let started = Instant::now();
        let tracked = match self.tracked() {
            Ok(tracked) => tracked,
            Err(error) => {
                tracing::warn!(problem = error.chain(), "Live connections could not be listed");
                self.pace.done(started, started.elapsed());
                return;
            }
        };
        let standing = *self.arguments.standing.load();
        let layout = &self.arguments.layout;
        let is_settled = |entry: &Entry| is_settled(entry, layout, standing.epoch);
        let tracked: HashMap<Flow, bool> =
            tracked.iter().map(|(entry, flow)| (*flow, is_settled(entry))).collect();
        self.decided.looked(&tracked, standing.generation, SystemTime::now());
        self.pace.done(started, started.elapsed());
    }

    fn tracked(&self) -> Result<Vec<(Entry, Flow)>, Error> {
        let own: HashSet<_> = own_addresses()?.into_iter().collect();
        let entries = Conntrack::open()?.list()?.into_iter().filter(|entry| !entry.ended);
        let with_flow = |entry: Entry| {
            let side = Side::of(&entry, &own, &self.arguments.orientation, |flow| {
                self.decided.knows(flow)
            });
            side.map(|side| (entry, side.flow()))
        };
        Ok(entries.filter_map(with_flow).collect())
    }

    fn status(&self) -> DatapathStatus {
        let (parked_flows, parked_packets) = self.arguments.parked.get();
        DatapathStatus {
            protecting: self.in_force,
            backend: self.arguments.keeper_facts.load().backend.clone(),
            generation: self.arguments.standing.load().generation,
            parked_flows,
            parked_packets,
            asked_flows: self.arguments.parked.asked(),
            problems: self.problem.iter().cloned().collect(),
        }
    }
}

/// Later for each run of the controller, and exact in a JSON number.
fn milliseconds_since_1970() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or_default()
}
