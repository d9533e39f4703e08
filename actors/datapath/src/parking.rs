//! The flow table of `datapath/new`: which flows wait for a verdict and with
//! which packets, and what becomes of them.
//!
//! Pure: packets, answers and time go in, effects come out. A flow is asked
//! about once, however many of its packets wait; they go on in order of arrival.
//! Flows that wait for the user lie apart ([`Asked`]).

mod count;
mod end;
mod user;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use seawall_messages::keeper::Layout;
use seawall_messages::process::{Owner, Owners};
use seawall_messages::verdict::{self, Request};
use seawall_messages::{Action, Flow, Hook, Judgement, Layer, Protocol};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::{Answer, Packet};
use seawall_runtime::AskError;

pub use self::count::ParkedCount;
use self::end::{Waited, denial};
use crate::answer::{Decision, answer, came_back};
use crate::memory::Memory;
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
/// How soon a question that could not be asked is asked again.
const RETRY: Duration = Duration::from_millis(10);
/// How soon it is looked whether the user's answers changed, where nobody tells.
const LOOK_FOR_ANSWERS: Duration = Duration::from_millis(500);
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
    /// Tell `datapath/rest`, which will meet packets of this flow.
    Learn(Flow, Judgement),
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
}

/// Whether `verdict` has the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Asked,
    RetryAt(Instant),
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
        if self.answer_from_memory(&packet, &flow, owners, standing, now, effects) {
            return;
        }
        self.make_way(&packet, &flow, owners, effects);
        match self.asked.join(packet, &flow) {
            Joined::No => {}
            Joined::Waits => return,
            Joined::Full => return refuse(packet, effects),
        }
        if self.parked.contains_key(&flow) {
            return self.park(packet, flow, None, now, effects);
        }
        let mut owner = None;
        let recalled = self.memory.of_service(&flow, None, standing, now).or_else(|| {
            owner = owners.owner(&flow, packet.uid);
            self.memory.of_service(&flow, Some(owner?.process), standing, now)
        });
        match recalled {
            Some(judgement) => {
                let waited =
                    Waited { flow, uid: packet.uid, owner, since: now, packets: &[packet] };
                self.conclude(&waited, judgement, standing, now, None, effects);
            }
            None => self.park(packet, flow, owner, now, effects),
        }
    }

    /// Lets go of what waits of a TCP connection whose ends are another program's by now: whoever sent that is gone, and
    /// what is said of it is not said of the other.
    fn make_way(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        owners: &dyn Owners,
        effects: &mut Vec<Effect>,
    ) {
        let waiting = self.asked.get(flow).or_else(|| self.parked.get(flow));
        let former = waiting.filter(|_| flow.protocol == Protocol::TCP).and_then(|it| it.owner);
        let Some(former) = former else { return };
        let now = owners.owner(flow, packet.uid);
        if now.is_some_and(|now| now.process != former.process) {
            let gone = self.asked.remove(flow).or_else(|| self.unpark(flow));
            let packets = gone.into_iter().flat_map(|gone| gone.packets);
            effects.extend(packets.map(|packet| Effect::Answer(packet, Answer::Drop)));
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
                    let judgement = denial(&flow, Layer::Quarantine, text, standing);
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

    /// Time passed: retries that are due, flows that waited too long.
    pub(crate) fn tick(&mut self, standing: Standing, now: Instant, effects: &mut Vec<Effect>) {
        if self.parked.is_empty() {
            return;
        }
        let overdue: Vec<Flow> = self
            .parked
            .iter()
            .filter(|(_, parked)| now.duration_since(parked.since) >= PARKED_DEADLINE)
            .map(|(flow, _)| *flow)
            .collect();
        for flow in overdue {
            let text = "No verdict came in time; it is asked about again when it tries again";
            let judgement = denial(&flow, Layer::Unanswered, text, standing);
            // Remembered for no time at all: the next attempt asks anew.
            self.release(flow, judgement, standing, now, Some(now), effects);
        }
        if self.retries > 0 {
            self.retry_due(now, effects);
        }
    }

    /// When `tick` has something to do next.
    pub(crate) fn next_tick(&self, now: Instant) -> Option<Duration> {
        let for_user = self.asked.next_end();
        let for_user = for_user.map(|end| end.saturating_duration_since(now).min(LOOK_FOR_ANSWERS));
        if self.retries > 0 {
            return Some(for_user.map_or(RETRY, |wait| wait.min(RETRY)));
        }
        let oldest = self.parked.values().map(|parked| parked.since).min();
        let oldest = oldest.map(|since| (since + PARKED_DEADLINE).saturating_duration_since(now));
        oldest.into_iter().chain(for_user).min()
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
        let decision = Decision::from(&denial(&flow, Layer::Quarantine, text, standing));
        let answer = answer(&packet, decision, standing, &self.layout);
        effects.push(Effect::Answer(packet, answer));
        effects.push(Effect::Refused(Layer::Quarantine));
    }

    /// Answers a packet whose flow has its verdict already. `false`: it has none that counts.
    fn answer_from_memory(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        owners: &dyn Owners,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(judgement) = self.memory.of_flow(flow, standing, now) else { return false };
        // Once a TCP connection was allowed, its packets are met elsewhere: this begins one anew, maybe another's.
        let begins = flow.protocol == Protocol::TCP && packet.queue.kind == QueueKind::New;
        let is_allowed = judgement.action == Action::Allow;
        if begins && is_allowed && owners.owner(flow, packet.uid).is_some() {
            self.memory.forget_flow(flow);
            return false;
        }
        let decision = Decision::from(judgement);
        effects.push(Effect::Answer(*packet, answer(packet, decision, standing, &self.layout)));
        // It was told when the flow was decided; that it hands on a packet shows that it forgot.
        if was_handed_on(packet) {
            effects.push(Effect::Learn(*flow, judgement.clone()));
        }
        true
    }

    fn park(
        &mut self,
        packet: Packet,
        flow: Flow,
        owner: Option<Owner>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let flows = self.parked.len();
        let full = self.packets >= MOST_PACKETS;
        match self.parked.entry(flow) {
            Entry::Occupied(mut entry) => {
                let waiting = &mut entry.get_mut().packets;
                if full || waiting.len() >= MOST_PACKETS_PER_FLOW {
                    return refuse(packet, effects);
                }
                waiting.push(packet);
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
                    is_open: was_handed_on(&packet),
                    asked_until: None,
                    packets,
                });
                self.by_token.insert(token, flow);
                effects.push(Effect::Ask(token, parked.request(flow)));
            }
        }
        self.packets += 1;
    }

    fn ask_again(&mut self, flow: Flow, effects: &mut Vec<Effect>) {
        if let Some(parked) = self.parked.get(&flow) {
            effects.push(Effect::Ask(parked.token, parked.request(flow)));
        }
    }

    fn retry_later(&mut self, flow: &Flow, now: Instant) {
        let Some(parked) = self.parked.get_mut(flow) else { return };
        if parked.asking == Asking::Asked {
            self.retries += 1;
        }
        parked.asking = Asking::RetryAt(now + RETRY);
    }

    fn retry_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (flow, parked) in &mut self.parked {
            if matches!(parked.asking, Asking::RetryAt(at) if at <= now) {
                parked.asking = Asking::Asked;
                self.retries -= 1;
                effects.push(Effect::Ask(parked.token, parked.request(*flow)));
            }
        }
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
