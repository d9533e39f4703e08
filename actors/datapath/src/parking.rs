//! The flow table of `datapath/new`: which flows wait for a verdict and with
//! which packets, and what becomes of them.
//!
//! Pure: packets, answers and time go in, effects come out. A flow is asked
//! about once, however many of its packets wait; they go on in order of arrival.
//! Flows that wait for the user lie apart ([`Asked`]).

mod user;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seawall_messages::keeper::Layout;
use seawall_messages::process::{Owner, Owners};
use seawall_messages::verdict::{self, Action, Lifetime, Request};
use seawall_messages::{Breadth, Flow, Hook, Judgement, Layer, Protocol, Reach, Reason};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::{Answer, Packet};
use seawall_runtime::AskError;

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

/// How much waits, as the thread last said: for `seawall status`.
#[derive(Debug, Default)]
pub struct ParkedCount {
    flows: AtomicUsize,
    packets: AtomicUsize,
    asked: AtomicUsize,
}

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

/// A flow that has its verdict now.
struct Waited<'a> {
    flow: Flow,
    uid: Option<u32>,
    owner: Option<Owner>,
    since: Instant,
    packets: &'a [Packet],
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

impl ParkedCount {
    /// Flows and packets that wait.
    pub fn get(&self) -> (usize, usize) {
        (self.flows.load(Ordering::Relaxed), self.packets.load(Ordering::Relaxed))
    }

    /// Flows that wait for the user.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Says how much waits: for `verdict`, and for the user.
    pub(crate) fn set(&self, flows: usize, packets: usize, asked: usize) {
        self.asked.store(asked, Ordering::Relaxed);
        self.flows.store(flows, Ordering::Relaxed);
        self.packets.store(packets, Ordering::Relaxed);
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
        if self.answer_from_memory(&packet, &flow, standing, now, effects) {
            return;
        }
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
            owner = owners.owner(&flow);
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
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(judgement) = self.memory.of_flow(flow, standing, now) else { return false };
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

    /// Answers all packets of a flow and forgets that it waited. `until`: how
    /// long the verdict is remembered, where that is not as usual.
    fn release(
        &mut self,
        flow: Flow,
        judgement: Judgement,
        standing: Standing,
        now: Instant,
        until: Option<Instant>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(parked) = self.unpark(&flow) else { return };
        self.conclude_parked(flow, parked, judgement, standing, now, until, effects);
    }

    /// Takes a flow out of those that wait for `verdict`.
    fn unpark(&mut self, flow: &Flow) -> Option<Parked> {
        let parked = self.parked.remove(flow)?;
        self.by_token.remove(&parked.token);
        if parked.asking != Asking::Asked {
            self.retries -= 1;
        }
        self.packets -= parked.packets.len();
        Some(parked)
    }

    /// Answers the packets of a flow that waits no more.
    #[allow(clippy::too_many_arguments, reason = "as many things go into an answer")]
    fn conclude_parked(
        &mut self,
        flow: Flow,
        mut parked: Parked,
        judgement: Judgement,
        standing: Standing,
        now: Instant,
        until: Option<Instant>,
        effects: &mut Vec<Effect>,
    ) {
        let waited = Waited {
            flow,
            uid: parked.uid,
            owner: parked.owner,
            since: parked.since,
            packets: &parked.packets,
        };
        self.conclude(&waited, judgement, standing, now, until, effects);
        parked.packets.clear();
        self.spare.push(parked.packets);
    }

    /// Answers the packets of a flow that has its verdict, and remembers what later packets need.
    fn conclude(
        &mut self,
        waited: &Waited<'_>,
        judgement: Judgement,
        standing: Standing,
        now: Instant,
        until: Option<Instant>,
        effects: &mut Vec<Effect>,
    ) {
        let Waited { flow, uid, owner, since, packets } = *waited;
        let judgement = if is_of_nobody_any_more(&flow, &judgement, packets) {
            Judgement { lifetime: Lifetime::Once, ..judgement }
        } else {
            judgement
        };
        let decision = Decision::from(&judgement);
        for packet in packets {
            effects.push(Effect::Answer(*packet, answer(packet, decision, standing, &self.layout)));
        }
        let is_remembered = decision.lifetime != Lifetime::Once;
        let stays =
            is_remembered && packets.iter().any(|packet| Self::stays_in_queue(packet, decision));
        if !is_remembered {
            // The next packet asks for itself.
        } else if judgement.action != Action::Allow {
            let until = Some(until.unwrap_or(now + DENIAL_LIFETIME));
            self.memory.learn_flow(flow, judgement.clone(), until);
        } else if stays {
            self.memory.learn_flow(flow, judgement.clone(), None);
        }
        if stays {
            effects.push(Effect::Learn(flow, judgement.clone()));
        }
        effects.push(Effect::Decided {
            flow,
            permanent: decision.is_permanent(standing) && !stays,
            judgement,
            uid,
            owner,
            interface: packets.first().and_then(interface_of),
            waited: now.duration_since(since),
        });
    }

    /// Whether later packets of the flow will come to the queue of later
    /// packets again, so that `datapath/rest` has to know the verdict: it is
    /// for this packet only, or the flow came from that queue and may have no
    /// room for a label.
    fn stays_in_queue(packet: &Packet, decision: Decision) -> bool {
        let tracked = packet.queue.kind != QueueKind::Untracked;
        was_handed_on(packet)
            || (decision.action == Action::Allow
                && tracked
                && decision.lifetime == Lifetime::Packet)
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

/// Whether packets came for a program that may be gone: replies to a datagram,
/// whose verdict depends on whose it was. Only what that program sends itself shows that it is there.
fn is_of_nobody_any_more(flow: &Flow, judgement: &Judgement, packets: &[Packet]) -> bool {
    flow.protocol != Protocol::TCP
        && judgement.reach != Reach::Service
        && packets.iter().all(|packet| packet.queue.kind == QueueKind::ParkedReply)
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

/// A denial that no policy made.
fn denial(flow: &Flow, layer: Layer, text: &'static str, standing: Standing) -> Judgement {
    use seawall_messages::Direction;
    Judgement {
        action: match flow.direction {
            Direction::Inbound => Action::Drop,
            Direction::Outbound | Direction::Forwarded => Action::Reject,
        },
        lifetime: Lifetime::Flow,
        reason: Reason::plain(layer, text),
        generation: standing.generation,
        reach: Reach::Flow,
        breadth: Breadth::Service,
    }
}
