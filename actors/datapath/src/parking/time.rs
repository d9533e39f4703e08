//! What time does to flows that wait: questions are put again, and what waited too long is denied.

use std::time::{Duration, Instant};

use seawall_messages::{Flow, Layer};

use super::{Asking, Effect, PARKED_DEADLINE, Parking, denial};
use crate::standing::Standing;

/// How soon a question that could not be asked is asked again.
const RETRY: Duration = Duration::from_millis(10);
/// How soon it is looked whether the user's answers changed, where nobody tells.
const LOOK_FOR_ANSWERS: Duration = Duration::from_millis(500);

impl Parking {
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
            self.release(flow, judgement, standing, now, None, effects);
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

    pub(super) fn ask_again(&mut self, flow: Flow, effects: &mut Vec<Effect>) {
        if let Some(parked) = self.parked.get(&flow) {
            effects.push(Effect::Ask(parked.token, parked.request(flow)));
        }
    }

    pub(super) fn retry_later(&mut self, flow: &Flow, now: Instant) {
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
