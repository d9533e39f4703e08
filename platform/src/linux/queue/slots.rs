//! Which slots of the journal are free: private bookkeeping, rebuilt from the journal itself.
//!
//! The slot freed last is used first, so that few pages of the journal are ever touched.

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// A packet without an answer, and its place in the order of arrival of its queue.
    Waiting {
        order: u32,
    },
    /// A packet whose answer was not sent yet.
    Answered,
}

/// All slots of a journal.
#[derive(Debug)]
pub(super) struct Slots {
    states: Vec<State>,
    /// The next one to use is the last.
    free: Vec<u32>,
    answered: Vec<u32>,
}

impl Slots {
    /// Takes those as waiting that are in use, the others as free.
    pub(super) fn new(count: u32, in_use: impl Fn(u32) -> bool) -> Self {
        let state = |slot| if in_use(slot) { State::Waiting { order: 0 } } else { State::Free };
        let states: Vec<State> = (0..count).map(state).collect();
        let free = (0..count).rev().filter(|&slot| !in_use(slot)).collect();
        Self { states, free, answered: Vec::new() }
    }

    /// How many are free.
    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    /// The slots to use next, as many as fit; they stay free. Returns how many.
    pub(super) fn offer(&self, into: &mut [u32]) -> usize {
        let next = self.free.iter().rev();
        into.iter_mut().zip(next).map(|(place, &slot)| *place = slot).count()
    }

    /// The first `count` offered slots were filled. Each must be passed to
    /// one of the functions below.
    pub(super) fn take(&mut self, count: usize) {
        self.free.truncate(self.free.len().saturating_sub(count));
    }

    /// The slot holds a packet.
    pub(super) fn wait(&mut self, slot: u32, order: u32) {
        if let Some(state) = self.states.get_mut(slot as usize) {
            *state = State::Waiting { order };
        }
    }

    /// The slot's packet has an answer. Returns its place in the order of
    /// arrival; `None` if no packet waits there.
    pub(super) fn answer(&mut self, slot: u32) -> Option<u32> {
        let state = self.states.get_mut(slot as usize)?;
        let State::Waiting { order } = *state else {
            return None;
        };
        *state = State::Answered;
        self.answered.push(slot);
        Some(order)
    }

    /// The slot holds nothing of use.
    pub(super) fn put_back(&mut self, slot: u32) {
        if let Some(state) = self.states.get_mut(slot as usize) {
            *state = State::Free;
            self.free.push(slot);
        }
    }

    /// All answers were sent: frees their slots, and tells which.
    pub(super) fn free_answered(&mut self, mut each: impl FnMut(u32)) {
        while let Some(slot) = self.answered.pop() {
            each(slot);
            self.put_back(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(slots: &Slots, count: usize) -> Vec<u32> {
        let mut list = vec![u32::MAX; count];
        let offered = slots.offer(&mut list);
        list.truncate(offered);
        list
    }

    #[test]
    fn low_slots_come_first_and_freed_ones_come_back_first() {
        let mut slots = Slots::new(6, |_| false);
        assert_eq!(offered(&slots, 3), [0, 1, 2]);
        slots.take(3);
        (0..3).for_each(|slot| slots.wait(slot, slot));
        assert_eq!(offered(&slots, 9), [3, 4, 5]);
        assert_eq!(slots.answer(0), Some(0));
        assert_eq!(slots.answer(1), Some(1));
        assert_eq!(slots.room(), 3);
        let mut freed = Vec::new();
        slots.free_answered(|slot| freed.push(slot));
        assert_eq!(freed, [1, 0]);
        assert_eq!(offered(&slots, 9), [0, 1, 3, 4, 5]);
    }

    #[test]
    fn a_packet_is_answered_once() {
        let mut slots = Slots::new(2, |_| false);
        slots.take(1);
        slots.wait(0, 7);
        assert_eq!(slots.answer(0), Some(7));
        assert_eq!(slots.answer(0), None);
        assert_eq!(slots.answer(1), None, "nothing was received there");
        assert_eq!(slots.answer(99), None, "no such slot");
        slots.free_answered(|_| {});
        assert_eq!(slots.answer(0), None);
        assert_eq!(slots.room(), 2);
    }

    #[test]
    fn slots_in_use_are_not_offered() {
        let slots = Slots::new(5, |slot| slot % 2 == 0);
        assert_eq!(offered(&slots, 5), [1, 3]);
    }
}
