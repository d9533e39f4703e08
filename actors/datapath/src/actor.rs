//! `datapath`: the controller. Puts a published policy in force, lists flows, knows how things stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::datapath::{
    Connection, ConnectionChanges, Cursor, DatapathStatus, Message, NewQueueMessage,
    RestQueueMessage,
};
use seawall_messages::keeper::{self, KeeperFacts, Layout};
use seawall_messages::process::{self, Question};
use seawall_messages::verdict;
use seawall_messages::{Flow, Snapshot};
use seawall_platform::linux::conntrack::{Conntrack, Entry};
use seawall_platform::linux::sockets::own_addresses;
use seawall_runtime::{
    Address, Component, Context, Failure, Lease, LeaseError, Lender, Pace, Published, Publisher,
    StartError,
};

use crate::error::Error;
use crate::flow_of::Orientation;
use crate::hits::Hits;
use crate::listing::Listing;
use crate::parking::ParkedCount;
use crate::side::Side;
use crate::standing::Standing;
use crate::sweep::{entry_of_flow, is_settled};

use self::in_force::Progress;

mod in_force;

/// The shortest pause between two looks at what the kernel tracks, for those who ask often.
const LOOK_AT_MOST: Duration = Duration::from_millis(500);
/// How long a verdict may be under way to its packet.
const UNDER_WAY: Duration = Duration::from_millis(100);
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
    progress: Progress,
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
            progress: Progress::default(),
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::PolicyPublished { .. } => self.put_in_force().await,
            Message::AwaitPolicy { generation, reply } => self.progress.wait(generation, reply),
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
            protecting: self.progress.is_protecting(),
            backend: self.arguments.keeper_facts.load().backend.clone(),
            generation: self.arguments.standing.load().generation,
            parked_flows,
            parked_packets,
            asked_flows: self.arguments.parked.asked(),
            problems: self.progress.problem().into_iter().cloned().collect(),
        }
    }
}

/// Later for each run of the controller, and exact in a JSON number.
fn milliseconds_since_1970() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or_default()
}
