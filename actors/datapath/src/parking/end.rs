//! How a flow's waiting ends: its packets are answered, and what later packets need is remembered.

use std::time::Instant;

use seawall_messages::process::Owner;
use seawall_messages::verdict::{Action, Lifetime};
use seawall_messages::{Breadth, Direction, Flow, Judgement, Layer, Protocol, Reach, Reason};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::Packet;

use super::{Asking, DENIAL_LIFETIME, Effect, Parked, Parking, interface_of, was_handed_on};
use crate::answer::{Decision, answer};
use crate::said_of::SaidOf;
use crate::standing::Standing;

/// A flow that has its verdict now.
pub(super) struct Waited<'a> {
    pub(super) flow: Flow,
    pub(super) uid: Option<u32>,
    pub(super) owner: Option<Owner>,
    pub(super) since: Instant,
    pub(super) packets: &'a [Packet],
}

impl Parking {
    /// Answers all packets of a flow and forgets that it waited. `until`: how
    /// long the verdict is remembered, where that is not as usual.
    pub(super) fn release(
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
    pub(super) fn unpark(&mut self, flow: &Flow) -> Option<Parked> {
        let parked = self.parked.remove(flow)?;
        self.by_token.remove(&parked.token);
        if parked.asking != Asking::Asked {
            self.retries -= 1;
        }
        self.packets -= parked.waiting();
        Some(parked)
    }

    /// Answers the packets of a flow that waits no more.
    #[allow(clippy::too_many_arguments, reason = "as many things go into an answer")]
    pub(super) fn conclude_parked(
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
        self.admit_behind(flow, parked.behind, standing, now, effects);
    }

    /// Answers the packets of a flow that has its verdict, and remembers what later packets need.
    pub(super) fn conclude(
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
        let process = owner.map(|owner| owner.process);
        let said_of = SaidOf::of(&judgement, process);
        if !is_remembered {
            // The next packet asks for itself.
        } else if judgement.action != Action::Allow {
            let until = Some(until.unwrap_or(now + DENIAL_LIFETIME));
            self.memory.learn_flow(flow, judgement.clone(), said_of, until);
        } else if stays {
            self.memory.learn_flow(flow, judgement.clone(), said_of, None);
        }
        if stays {
            effects.push(Effect::Learn(flow, judgement.clone(), process));
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
}

/// Whether packets came for a program that may be gone: replies to a datagram,
/// whose verdict depends on whose it was. Only what that program sends itself shows that it is there.
fn is_of_nobody_any_more(flow: &Flow, judgement: &Judgement, packets: &[Packet]) -> bool {
    flow.protocol != Protocol::TCP
        && judgement.reach != Reach::Service
        && packets.iter().all(|packet| packet.queue.kind == QueueKind::ParkedReply)
}

/// A denial that no policy made: the next packet asks for itself.
pub(super) fn denial(
    flow: &Flow,
    layer: Layer,
    text: &'static str,
    standing: Standing,
) -> Judgement {
    Judgement {
        action: match flow.direction {
            Direction::Inbound => Action::Drop,
            Direction::Outbound | Direction::Forwarded => Action::Reject,
        },
        lifetime: Lifetime::Once,
        reason: Reason::plain(layer, text),
        generation: standing.generation,
        reach: Reach::Flow,
        breadth: Breadth::Service,
    }
}
