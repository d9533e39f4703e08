//! Ends that another program uses while a flow between them waits: what is said of the one is not said of the other.

use std::time::Instant;

use seawall_messages::process::{Owner, Owners};
use seawall_messages::{Flow, Protocol};
use seawall_platform::linux::queue::{Answer, Packet};

use super::{Arrived, Effect, Parked, Parking};
use crate::standing::Standing;

impl Parking {
    /// Lets go of what waits of another program, where that would wait for long, or is over: of a TCP connection
    /// whoever sent it is gone. Its datagrams wait only a moment for `verdict`, and what comes meanwhile waits behind them.
    pub(super) fn make_way(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        owners: &dyn Owners,
        effects: &mut Vec<Effect>,
    ) {
        let for_verdict = || self.parked.get(flow).filter(|_| flow.protocol == Protocol::TCP);
        let waiting = self.asked.get(flow).or_else(for_verdict);
        let Some(waiting) = waiting.filter(|waiting| waiting.owner.is_some()) else { return };
        if owners.owner(flow, packet.uid).is_some_and(|now| waiting.is_anothers(&now)) {
            self.let_go(flow, effects);
        }
    }

    /// What other processes sent is judged by itself.
    pub(super) fn admit_behind(
        &mut self,
        flow: Flow,
        behind: Vec<(Packet, Owner)>,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        for (packet, owner) in behind {
            if self.asked.get(&flow).is_some_and(|asked| asked.is_anothers(&owner)) {
                self.let_go(&flow, effects);
            }
            let arrived = Arrived { packet, flow, is_open: false };
            self.admit(arrived, || Some(owner), standing, now, effects);
        }
    }

    fn let_go(&mut self, flow: &Flow, effects: &mut Vec<Effect>) {
        let gone = self.asked.remove(flow).or_else(|| self.unpark(flow));
        let Some(Parked { packets, .. }) = gone else { return };
        effects.extend(packets.into_iter().map(|packet| Effect::Answer(packet, Answer::Drop)));
    }
}
