//! Flows go from those that wait for `verdict` to those that wait for the user, and back.

use std::time::Instant;

use seawall_messages::verdict::Waiting;
use seawall_messages::{Flow, Layer};

use super::end::denial;
use super::{Asking, Effect, Parked, Parking, refuse};
use crate::standing::Standing;
use crate::waiting::{MOST_ASKED_PACKETS_PER_FLOW, Seen};

impl Parking {
    /// Flows and packets that wait for the user, beside those.
    pub(crate) fn asked(&self) -> (usize, usize) {
        self.asked.counts()
    }

    /// What the user answered may have changed, or the policy: what waits for the user is
    /// asked about again. Those whose time is over are denied.
    pub(crate) fn look_at_asked(
        &mut self,
        answers: u64,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let known = Seen { answers, generation: standing.generation };
        for (flow, parked) in self.asked.take_changed(known) {
            effects.push(Effect::Ask(parked.token, parked.request(flow)));
            self.packets += parked.packets.len();
            self.by_token.insert(parked.token, flow);
            self.parked.insert(flow, Parked { since: now, asking: Asking::Asked, ..parked });
        }
        for (flow, parked) in self.asked.take_ended(now) {
            let text =
                "The user was asked and gave no answer in time; `seawall prompts` still takes one";
            let judgement = denial(&flow, Layer::NobodyAnswered, text, standing);
            self.conclude_parked(flow, parked, judgement, standing, now, None, effects);
        }
    }

    /// The user is asked about a flow: it lies apart from now on, if there is room.
    pub(super) fn wait_for_user(
        &mut self,
        flow: Flow,
        waiting: &Waiting,
        standing: Standing,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut parked) = self.unpark(&flow) else { return };
        // What was asked about before waits no longer than it may.
        let end = parked.asked_until.unwrap_or(now + waiting.at_most);
        let most = parked.packets.len().min(MOST_ASKED_PACKETS_PER_FLOW);
        if !self.asked.has_room_for(most) {
            let text = "As many connections wait for the user's answer as may";
            let judgement = denial(&flow, Layer::NobodyAnswered, text, standing);
            self.conclude_parked(flow, parked, judgement, standing, now, None, effects);
            return;
        }
        for packet in parked.packets.drain(most..) {
            refuse(packet, effects);
        }
        let behind = std::mem::take(&mut parked.behind);
        self.asked.add(flow, parked, end);
        self.admit_behind(flow, behind, standing, now, effects);
    }
}
