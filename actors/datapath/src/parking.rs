//! The flow table of `datapath/new`: which flows wait for a verdict and with
//! which packets, and what becomes of them.
//!
//! Pure: packets, answers and time go in, effects come out. A flow is asked
//! about once, however many of its packets wait; they go on in order of arrival.
//! Flows that wait for the user lie apart ([`Asked`]).

mod count;
mod end;
mod taken;
mod time;
mod user;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use seawall_messages::keeper::Layout;
use seawall_messages::process::{Owner, Owners, ProcessKey};
use seawall_messages::verdict::{self, Request};
use seawall_messages::{Flow, Hook, Judgement, Layer, Lifetime, Reach};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::{Answer, Packet};
use seawall_runtime::AskError;

pub use self::count::ParkedCount;
use self::end::{Waited, denial};
use crate::answer::{Decision, answer, came_back};
use crate::memory::{Memory, Unknown};
use crate::standing::Standing;
use crate::suspects::QUARANTINE;
use crate::waiting::{Asked, Joined};

/// Flows that may wait at once: a burst of a busy server, 0.4 s at 10,000 connections a second.
pub(crate) const MOST_FLOWS: usize = 4_096;
/// Packets of one flow that may wait: UDP senders do not wait for an answer.
pub(crate) const MOST_PACKETS_PER_FLOW: usize = 64;
/// Packets in all that may wait. Below the journal's 16,384 slots, so that there is always room to receive.
pub(crate) const MOST_PACKETS: usize = 12_288;

/// A flow that has no verdict by then is denied; it is asked about again when it tries again.
pub(crate) const PARKED_DEADLINE: Duration = Duration::from_secs(5);
/// How long a denial is remembered: a retry within it costs no question.
const DENIAL_LIFETIME: Duration = Duration::from_secs(10);
/// Crashes that are enough.
const CRASHES_ENOUGH: u8 = 2;

/// What the shell has to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Tell the kernel.
    Answer(Packet, Answer),
    /// Ask `verdict`; its answer comes back with the token.
    Ask(u64, Request),
    /// Tell `datapath/rest`, which will meet packets of this flow: of that process, where it is known.
    Learn(Flow, Judgement, Option<ProcessKey>),
    /// A flow was decided, after it waited that long.
    Decided {
        /// The flow.
        flow: Flow,
        /// Its verdict.
        judgement: Judgement,
        /// User id of the socket's owner, where known.
        uid: Option<u32>,
        /// Whose it is, where the kernel noted that and it was asked.
        owner: Option<Owner>,
        /// The interface that leads to the other end, where it is known.
        interface: Option<u32>,
        /// Whether it left the queue.
        permanent: bool,
        /// Time from the first packet to the verdict.
        waited: Duration,
    },
    /// The rules in the kernel are not ours.
    RulesSuspect,
    /// The flow's judgement crashed `verdict` twice: deny what calls the same service.
    Quarantine(Flow),
    /// A packet was dropped without a verdict of its own.
    Refused(Layer),
}

/// A flow without a verdict.
#[derive(Debug)]
pub(crate) struct Parked {
    token: u64,
    since: Instant,
    asking: Asking,
    crashes: u8,
    uid: Option<u32>,
    owner: Option<Owner>,
    interface: Option<u32>,
    /// Whether packets of it passed before.
    is_open: bool,
    /// When its time is over, once the user was asked.
    pub(crate) asked_until: Option<Instant>,
    pub(crate) packets: Vec<Packet>,
    /// What other processes sent from the same ends meanwhile.
    behind: Vec<(Packet, Owner)>,
}

/// Whether `verdict` has the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Asked,
    RetryAt(Instant),
}

/// A packet, with what is known of its flow.
struct Arrived {
    packet: Packet,
    flow: Flow,
    /// Whether packets of it passed before.
    is_open: bool,
}

/// The flow table.
#[derive(Debug)]
pub(crate) struct Parking {
    layout: Layout,
    parked: HashMap<Flow, Parked>,
    by_token: HashMap<u64, Flow>,
    memory: Memory,
    asked: Asked,
    packets: usize,
    next_token: u64,
    spare: Vec<Vec<Packet>>,
    retries: usize,
}

impl Parked {
    fn request(&self, flow: Flow) -> Request {
        let Self { uid, owner, is_open, interface, .. } = *self;
        Request { flow, uid, owner, is_open, interface }
    }

    /// Whether it waits for what is said of another process.
    fn is_anothers(&self, owner: &Owner) -> bool {
        self.owner.is_some_and(|own| own.process != owner.process)
    }

    /// Packets that wait.
    fn waiting(&self) -> usize {
        self.packets.len() + self.behind.len()
    }
}

impl Parking {
    /// An empty table.
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout,
            parked: HashMap::new(),
            by_token: HashMap::new(),
            memory: Memory::new(),
            asked: Asked::default(),
            packets: 0,
            next_token: 0,
            spare: Vec::new(),
            retries: 0,
        }
    }

    /// Flows that wait.
    pub(crate) fn flows(&self) -> usize {
        self.parked.len()
    }

    /// Packets that wait.
    pub(crate) fn packets(&self) -> usize {
        self.packets
    }

    /// A packet came. `flow`: its flow, in its true direction. `owners` is
    /// looked into only where it matters.
    pub(crate) fn packet(
        &mut self,
        packet: Packet,
        flow: Flow,
        owners: &dyn Owners,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if came_back(&packet, &self.layout) {
            effects.push(Effect::Answer(packet, Answer::Drop));
            effects.push(Effect::RulesSuspect);
            return;
        }
        let answered = self.answer_from_memory(&packet, &flow, owners, standing, now, effects);
        let Err(unknown) = answered else { return };
        let is_open = was_handed_on(&packet) && unknown != Unknown::Anothers;
        self.make_way(&packet, &flow, owners, effects);
        match self.asked.join(packet, &flow) {
            Joined::No => {}
            Joined::Waits => return,
            Joined::Full => return refuse(packet, effects),
        }
        if let Some(parked) = self.parked.get(&flow) {
            let owner = parked.owner.and_then(|_| owners.owner(&flow, packet.uid));
            return self.park(packet, flow, owner, is_open, now, effects);
        }
        let arrived = Arrived { packet, flow, is_open };
        self.admit(arrived, || owners.owner(&flow, packet.uid), standing, now, effects);
    }

    /// Answers a packet of a flow that doesn't wait, if what was said of others speaks for it; else it waits.
    fn admit(
        &mut self,
        arrived: Arrived,
        owner: impl FnOnce() -> Option<Owner>,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Arrived { packet, flow, is_open } = arrived;
        let mut known = None;
        let recalled = self.memory.of_service(&flow, None, standing, now).or_else(|| {
            known = owner();
            self.memory.of_service(&flow, Some(known?.process), standing, now)
        });
        match recalled {
            Some(judgement) => {
                let waited =
                    Waited { flow, uid: packet.uid, owner: known, since: now, packets: &[packet] };
                self.conclude(&waited, judgement, standing, now, None, effects);
            }
            None => self.park(packet, flow, known, is_open, now, effects),
        }
    }

    /// `verdict` answered, or won't.
    pub(crate) fn answered(
        &mut self,
        token: u64,
        answer: Result<verdict::Answer, AskError>,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        // A flow that was denied by deadline has no token any more.
        let Some(flow) = self.by_token.get(&token).copied() else { return };
        match answer {
            Ok(verdict::Answer::Judged(judgement))
                if Decision::from(&judgement).counts_under(standing) =>
            {
                let owner = self.parked.get(&flow).and_then(|parked| parked.owner);
                self.memory.learn_service(&flow, owner, &judgement, now);
                self.release(flow, judgement, standing, now, None, effects);
            }
            Ok(verdict::Answer::Waits(waiting))
                if waiting.generation >= standing.generation
                    && !self.asked.seen().is_beyond(&waiting) =>
            {
                self.wait_for_user(flow, &waiting, standing, now, effects);
            }
            // Made under an old policy, or without the latest answer of the user.
            Ok(_) => self.ask_again(flow, effects),
            Err(AskError::Crashed) => {
                let Some(parked) = self.parked.get_mut(&flow) else { return };
                parked.crashes += 1;
                if parked.crashes >= CRASHES_ENOUGH {
                    let text = "Its judgement crashed a component twice";
                    // Whoever sends it: what crashed would crash again.
                    let judgement = Judgement {
                        lifetime: Lifetime::Flow,
                        reach: Reach::Service,
                        ..denial(&flow, Layer::Quarantine, text, standing)
                    };
                    self.release(flow, judgement, standing, now, Some(now + QUARANTINE), effects);
                    effects.push(Effect::Quarantine(flow));
                } else {
                    self.ask_again(flow, effects);
                }
            }
            Err(AskError::Unavailable | AskError::Overloaded | AskError::TimedOut) => {
                self.retry_later(&flow, now);
            }
        }
    }

    /// Forgets what was decided of these flows.
    pub(crate) fn forget(&mut self, flows: &[Flow]) {
        for flow in flows {
            self.memory.forget_flow(flow);
        }
    }

    /// The question could not even be put.
    pub(crate) fn not_asked(&mut self, token: u64, now: Instant) {
        if let Some(flow) = self.by_token.get(&token).copied() {
            self.retry_later(&flow, now);
        }
    }

    /// A packet of a flow that is not to be looked at.
    pub(crate) fn quarantined(
        &mut self,
        packet: Packet,
        flow: Flow,
        standing: Standing,
        effects: &mut Vec<Effect>,
    ) {
        let text = "It calls a service that crashed a component twice";
        let denial = denial(&flow, Layer::Quarantine, text, standing);
        let decision = Decision::from(&denial);
        let answer = answer(&packet, decision, standing, &self.layout);
        effects.push(Effect::Answer(packet, answer));
        effects.push(Effect::Refused(Layer::Quarantine));
    }

    /// Answers a packet whose flow has its verdict already.
    fn answer_from_memory(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        owners: &dyn Owners,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Unknown> {
        let (judgement, said_of) = self.memory.of_flow(packet, flow, owners, standing, now)?;
        let decision = Decision::from(judgement);
        effects.push(Effect::Answer(*packet, answer(packet, decision, standing, &self.layout)));
        // It was told when the flow was decided; that it hands on a packet shows that it forgot.
        if was_handed_on(packet) {
            effects.push(Effect::Learn(*flow, judgement.clone(), said_of.process()));
        }
        Ok(())
    }

    fn park(
        &mut self,
        packet: Packet,
        flow: Flow,
        owner: Option<Owner>,
        is_open: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let flows = self.parked.len();
        let full = self.packets >= MOST_PACKETS;
        match self.parked.entry(flow) {
            Entry::Occupied(mut entry) => {
                let parked = entry.get_mut();
                if full || parked.waiting() >= MOST_PACKETS_PER_FLOW {
                    return refuse(packet, effects);
                }
                match owner.filter(|owner| parked.is_anothers(owner)) {
                    Some(another) => parked.behind.push((packet, another)),
                    None => parked.packets.push(packet),
                }
            }
            Entry::Vacant(entry) => {
                if full || flows >= MOST_FLOWS {
                    return refuse(packet, effects);
                }
                let token = self.next_token;
                self.next_token += 1;
                let mut packets = self.spare.pop().unwrap_or_default();
                packets.push(packet);
                let parked = entry.insert(Parked {
                    token,
                    since: now,
                    asking: Asking::Asked,
                    crashes: 0,
                    uid: packet.uid,
                    owner,
                    interface: interface_of(&packet),
                    is_open,
                    asked_until: None,
                    packets,
                    behind: Vec::new(),
                });
                self.by_token.insert(token, flow);
                effects.push(Effect::Ask(token, parked.request(flow)));
            }
        }
        self.packets += 1;
    }
}

/// A packet for which there is no room.
fn refuse(packet: Packet, effects: &mut Vec<Effect>) {
    effects.push(Effect::Answer(packet, Answer::Drop));
    effects.push(Effect::Refused(Layer::Overload));
}

/// The number of the interface that leads to the other end; of a forwarded flow, to the side
/// that was called.
fn interface_of(packet: &Packet) -> Option<u32> {
    let is_reply = matches!(packet.queue.kind, QueueKind::RestReply | QueueKind::ParkedReply);
    match (packet.queue.hook, is_reply) {
        (Hook::Output, _) | (Hook::Forward, false) => packet.out_interface,
        (Hook::Input, _) | (Hook::Forward, true) => packet.in_interface,
    }
}

/// Whether `datapath/rest` met the packet and did not know its flow.
fn was_handed_on(packet: &Packet) -> bool {
    matches!(packet.queue.kind, QueueKind::ParkedOriginal | QueueKind::ParkedReply)
}
