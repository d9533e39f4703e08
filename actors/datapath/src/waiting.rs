//! Flows that wait for an answer of the user, with their packets: apart from
//! those that wait for `verdict`, so that nobody's verdict is held up by them.
//!
//! Pure. They have bounds of their own: however many wait here, there is as
//! much room for others as ever. Nothing here is looked at while packets of
//! others come, but for the one time at which the next of them is over.

use std::collections::HashMap;
use std::time::Instant;

use seawall_messages::verdict::Waiting;
use seawall_messages::{Flow, PolicyGeneration};
use seawall_platform::linux::queue::Packet;

use crate::parking::Parked;

/// Flows that may wait for the user at once: some for each of a hundred apps.
pub(crate) const MOST_ASKED_FLOWS: usize = 1_024;
/// Packets of one of them that may wait: repetitions of the first, while somebody reads.
pub(crate) const MOST_ASKED_PACKETS_PER_FLOW: usize = 16;
/// Packets in all that may wait for the user. With those that wait for
/// `verdict`, below the journal's 16,384 slots.
pub(crate) const MOST_ASKED_PACKETS: usize = 2_048;

/// Which answers and which policy are known: what waits is asked about again when they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Version of the user's answers.
    pub(crate) answers: u64,
    /// The policy.
    pub(crate) generation: PolicyGeneration,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    flows: HashMap<Flow, Parked>,
    packets: usize,
    /// When the first of them is over; never later than that.
    next_end: Option<Instant>,
    seen: Seen,
}

/// Whether a packet found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Its flow doesn't wait here.
    No,
    /// It waits.
    Waits,
    /// There is no room.
    Full,
}

impl Seen {
    /// Whether an answer that was made knowing this much is out of date by now.
    pub(crate) fn is_beyond(&self, waiting: &Waiting) -> bool {
        self.answers > waiting.answers || self.generation > waiting.generation
    }
}

impl Asked {
    /// Flows and packets that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.flows.len(), self.packets)
    }

    /// What is known by now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether so many packets more find room.
    pub(crate) fn has_room_for(&self, packets: usize) -> bool {
        self.flows.len() < MOST_ASKED_FLOWS && self.packets + packets <= MOST_ASKED_PACKETS
    }

    /// A flow waits for the user from here on, until its end.
    pub(crate) fn add(&mut self, flow: Flow, mut parked: Parked, end: Instant) {
        self.packets += parked.packets.len();
        self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        parked.asked_until = Some(end);
        self.flows.insert(flow, parked);
    }

    /// A flow, if it waits here.
    pub(crate) fn get(&self, flow: &Flow) -> Option<&Parked> {
        self.flows.get(flow)
    }

    /// A flow waits no more.
    pub(crate) fn remove(&mut self, flow: &Flow) -> Option<Parked> {
        let parked = self.flows.remove(flow)?;
        self.packets -= parked.packets.len();
        Some(parked)
    }

    /// A packet came: it waits with its flow, if that waits here.
    pub(crate) fn join(&mut self, packet: Packet, flow: &Flow) -> Joined {
        let Some(parked) = self.flows.get_mut(flow) else { return Joined::No };
        let is_full = self.packets >= MOST_ASKED_PACKETS
            || parked.packets.len() >= MOST_ASKED_PACKETS_PER_FLOW;
        if is_full {
            return Joined::Full;
        }
        parked.packets.push(packet);
        self.packets += 1;
        Joined::Waits
    }

    /// The flows that are to be asked about again, because more is known now.
    pub(crate) fn take_changed(&mut self, now_known: Seen) -> Vec<(Flow, Parked)> {
        if now_known == self.seen {
            return Vec::new();
        }
        self.seen = now_known;
        self.packets = 0;
        self.next_end = None;
        self.flows.drain().collect()
    }

    /// The flows whose time is over.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Vec<(Flow, Parked)> {
        if self.next_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        let has_ended =
            |_: &Flow, parked: &mut Parked| parked.asked_until.is_none_or(|end| end <= now);
        let ended: Vec<_> = self.flows.extract_if(has_ended).collect();
        self.packets -= ended.iter().map(|(_, parked)| parked.packets.len()).sum::<usize>();
        self.next_end = self.flows.values().filter_map(|parked| parked.asked_until).min();
        ended
    }

    /// When the first of them is over.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.next_end
    }
}
