//! The worker's side: receive, judge elsewhere, answer.

use std::os::fd::{AsFd, BorrowedFd};

use metrics::Counter;
use seawall_messages::keeper::Layout;

use super::message::{self, Message, Queued};
use super::receive::{MAX_MESSAGES, Scatter};
use super::requeue::{StaleIds, requeue};
use super::runs::Line;
use super::slots::Slots;
use super::socket::system;
use super::verdict::{Reach, Verdicts};
use super::{Answer, Batching, Packet, QueueError, QueueSocket, Slot};
use crate::linux::journal::{Journal, MAX_MESSAGE_BYTES};
use crate::linux::layout::QueueId;
use crate::packet;

/// A packet on which this many incarnations crashed is handed out with its headers unread:
/// reading them may be what kills.
const CRASHES_BEFORE_UNREAD: u32 = 2;

/// Messages that a receive is prepared for where the one before was not full: each has its price.
const SMALL_BURST: usize = 8;

/// Reads packets straight into the journal and answers them.
pub struct QueueReader {
    socket: QueueSocket,
    journal: Journal,
    layout: Layout,
    batching: Batching,
    slots: Slots,
    lines: [Line; QueueId::COUNT],
    verdicts: Verdicts,
    stale: StaleIds,
    scatter: Box<Scatter>,
    /// How many messages the next receive is prepared for.
    burst: usize,
    message: Box<[u8; MAX_MESSAGE_BYTES]>,
    metrics: Metrics,
}

impl QueueReader {
    /// Joins a socket with its journal.
    pub fn new(socket: QueueSocket, journal: Journal, layout: Layout, batching: Batching) -> Self {
        Self {
            slots: slots_of(&journal),
            stale: socket.stale.get().copied().unwrap_or_default(),
            socket,
            journal,
            layout,
            batching,
            lines: [Line::default(); QueueId::COUNT],
            verdicts: Verdicts::default(),
            scatter: Scatter::new(),
            burst: SMALL_BURST,
            message: Box::new([0; MAX_MESSAGE_BYTES]),
            metrics: Metrics::default(),
        }
    }

    /// What a predecessor received and did not answer, in the order of arrival.
    /// Counts a crash for the packet that it had in hand. Called once per incarnation, before `receive`.
    ///
    /// Answers that a predecessor gave and did not flush are forgotten: its packets are judged anew.
    pub fn held(&mut self, into: &mut Vec<Packet>) {
        if let Some(slot) = self.journal.in_hand().filter(|&slot| self.journal.in_use(slot)) {
            self.journal.count_crash(slot);
        }
        self.verdicts.clear();
        self.lines = [Line::default(); QueueId::COUNT];
        self.slots = slots_of(&self.journal);

        let first = into.len();
        for slot in 0..self.journal.high_water() {
            if self.journal.in_use(slot) {
                self.admit(slot, into);
            }
        }
        self.journal.set_in_hand(None);
        let held = into.get_mut(first..).unwrap_or_default();
        sort_by_arrival(held);
        for packet in held {
            let order = self.lines[packet.queue.index()].arrive();
            self.slots.wait(packet.slot.0, order);
        }
    }

    /// Takes what waits in the socket, at most as many packets as there are
    /// free slots and 64. Never blocks. Returns how many were added to `into`.
    pub fn receive(&mut self, into: &mut Vec<Packet>) -> Result<usize, QueueError> {
        let mut offered = [0; MAX_MESSAGES];
        let count = self.slots.offer(&mut offered[..self.burst]);
        let Some(highest) = offered[..count].iter().max() else {
            return Ok(0);
        };
        if *highest >= self.journal.high_water() {
            self.journal.raise_high_water(highest + 1);
        }
        let received = self
            .scatter
            .receive(&self.socket, &self.journal, &offered[..count])
            .map_err(system("receive packets"))?;
        self.slots.take(received);
        self.burst = if received < count { SMALL_BURST } else { MAX_MESSAGES };
        let first = into.len();
        for &slot in &offered[..received] {
            self.admit(slot, into);
        }
        if received > 0 {
            self.journal.set_in_hand(None);
        }
        for packet in into.get(first..).unwrap_or_default() {
            let order = self.lines[packet.queue.index()].arrive();
            self.slots.wait(packet.slot.0, order);
        }
        Ok(into.len() - first)
    }

    /// Notes which packet is being judged, so that a crash on it can be blamed. One store.
    pub fn in_hand(&mut self, slot: Option<Slot>) {
        self.journal.set_in_hand(slot.map(|slot| slot.0));
    }

    /// Queues an answer; sent by `flush`. A second answer to the same packet changes nothing.
    pub fn answer(&mut self, packet: &Packet, answer: Answer) {
        let Some(order) = self.slots.answer(packet.slot.0) else {
            return;
        };
        let number = packet.queue.number(&self.layout);
        match self.batching {
            Batching::Single => self.verdicts.push(Reach::One, number, packet.id, answer),
            Batching::Runs => self.lines[packet.queue.index()].answer(
                order,
                packet.id,
                answer,
                number,
                &mut self.verdicts,
            ),
        }
    }

    /// Sends all queued answers, with few system calls, then frees their slots.
    /// After an error nothing is freed, and the next call sends them all again.
    pub fn flush(&mut self) -> Result<(), QueueError> {
        if self.batching == Batching::Runs {
            for queue in QueueId::all() {
                self.lines[queue.index()]
                    .finish_run(queue.number(&self.layout), &mut self.verdicts);
            }
        }
        self.socket.send(&self.verdicts)?;
        self.verdicts.clear();
        let Self { slots, journal, .. } = self;
        slots.free_answered(|slot| journal.free(slot));
        Ok(())
    }

    /// Free slots.
    pub fn room(&self) -> usize {
        self.slots.room()
    }

    /// Sends everything that waits in our queues back to the start of its
    /// chain (NF_REPEAT up to the last id in /proc/net/netfilter/nfnetlink_queue): for a journal
    /// that can't be read. The reader that is made of `socket` next passes over the messages
    /// about them. Returns how many packets there were.
    pub fn requeue_all(socket: &QueueSocket, layout: &Layout) -> Result<u32, QueueError> {
        let (packets, stale) = requeue(socket, layout)?;
        // A second call finds nothing that the first has left.
        let _ = socket.stale.set(stale);
        Ok(packets)
    }

    /// Reads the message in a slot, and keeps it if it is a packet to be judged. It counts as in
    /// hand meanwhile.
    fn admit(&mut self, slot: u32, into: &mut Vec<Packet>) {
        self.journal.set_in_hand(Some(slot));
        match message::read(self.journal.message(slot, &mut self.message)) {
            Message::Packet(queued) => {
                let number = queued.queue_number;
                let Some(queue) = QueueId::from_number(number, &self.layout) else {
                    self.metrics.unknown.increment(1);
                    self.verdicts.push(Reach::One, number, queued.id, Answer::Drop);
                    self.discard(slot);
                    return;
                };
                if self.stale.is_stale(queue, queued.id) {
                    self.discard(slot);
                    return;
                }
                into.push(describe(Slot(slot), queue, &queued, self.journal.crashes(slot)));
            }
            Message::Refused { errno } => {
                if errno == libc::ENOENT { &self.metrics.late } else { &self.metrics.refused }
                    .increment(1);
                self.discard(slot);
            }
            Message::Other => {
                self.metrics.unknown.increment(1);
                self.discard(slot);
            }
        }
    }

    fn discard(&mut self, slot: u32) {
        self.journal.free(slot);
        self.slots.put_back(slot);
    }
}

impl AsFd for QueueReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

struct Metrics {
    /// Verdicts for packets that were answered already.
    late: Counter,
    /// Other errors that the kernel answered with.
    refused: Counter,
    /// Messages that are no packet of ours.
    unknown: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            late: metrics::counter!("seawall_queue_late_verdicts_total"),
            refused: metrics::counter!("seawall_queue_refused_messages_total"),
            unknown: metrics::counter!("seawall_queue_unknown_messages_total"),
        }
    }
}

fn slots_of(journal: &Journal) -> Slots {
    let high_water = journal.high_water();
    Slots::new(journal.slots(), |slot| slot < high_water && journal.in_use(slot))
}

fn describe(slot: Slot, queue: QueueId, queued: &Queued<'_>, crashes: u32) -> Packet {
    let headers =
        if crashes < CRASHES_BEFORE_UNREAD { packet::parse(queued.payload) } else { None };
    Packet {
        slot,
        queue,
        id: queued.id,
        mark: queued.mark,
        uid: queued.uid,
        in_interface: queued.in_interface,
        out_interface: queued.out_interface,
        headers,
        length_bytes: queued.length_bytes,
        crashes,
    }
}

/// By queue, then by id on its circle of 2^32. All ids of a queue that wait at one time lie within
/// half of it, so any of them serves as the centre.
fn sort_by_arrival(packets: &mut [Packet]) {
    let mut centres = [None; QueueId::COUNT];
    for packet in packets.iter() {
        centres[packet.queue.index()].get_or_insert(packet.id);
    }
    packets.sort_unstable_by_key(|packet| {
        let centre = centres[packet.queue.index()].unwrap_or(0);
        (packet.queue, packet.id.wrapping_sub(centre).wrapping_add(1 << 31))
    });
}

#[cfg(test)]
mod tests;
