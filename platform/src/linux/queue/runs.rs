//! When a batch verdict may be used, and for what.
//!
//! A batch verdict answers every packet that waits in a queue up to an id, so
//! it may be used only if each of them was judged, and alike. That is so for a
//! run of equal answers that were given in the order of arrival with nothing
//! left out. A packet answered out of turn gets a verdict of its own, and so do
//! those after it, until nothing of that queue waits.

use super::Answer;
use super::verdict::{Reach, Verdicts};

/// One queue's order of arrival, and the run that is growing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    received: u32,
    answered: u32,
    /// All packets before this one were answered in turn.
    in_turn: u32,
    run: Option<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    answer: Answer,
    last_id: u32,
    packets: u32,
}

impl Line {
    /// A packet arrived. Returns its place in the order.
    pub(super) fn arrive(&mut self) -> u32 {
        let order = self.received;
        self.received = order.wrapping_add(1);
        order
    }

    /// A packet was answered: adds it to the run, or ends the run first.
    pub(super) fn answer(
        &mut self,
        order: u32,
        id: u32,
        answer: Answer,
        queue_number: u16,
        verdicts: &mut Verdicts,
    ) {
        let in_turn = order == self.in_turn;
        self.answered = self.answered.wrapping_add(1);
        if in_turn {
            self.in_turn = order.wrapping_add(1);
        }
        match &mut self.run {
            Some(run) if in_turn && run.answer == answer => {
                run.last_id = id;
                run.packets += 1;
            }
            _ => {
                self.finish_run(queue_number, verdicts);
                if in_turn {
                    self.run = Some(Run { answer, last_id: id, packets: 1 });
                } else {
                    verdicts.push(Reach::One, queue_number, id, answer);
                }
            }
        }
        if self.answered == self.received {
            self.in_turn = self.received;
        }
    }

    /// Turns the run into a verdict.
    pub(super) fn finish_run(&mut self, queue_number: u16, verdicts: &mut Verdicts) {
        if let Some(Run { answer, last_id, packets }) = self.run.take() {
            let reach = if packets == 1 { Reach::One } else { Reach::UpTo };
            verdicts.push(reach, queue_number, last_id, answer);
        }
    }
}

#[cfg(test)]
mod tests;
