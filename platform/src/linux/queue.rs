//! The kernel's packet queues: opened by the keeper, read by the worker's threads.
//!
//! A packet is received straight into the journal, and its slot is freed only
//! after its verdict was sent. Whoever dies in between leaves the packet to
//! its successor, and a verdict that is sent twice is harmless: the kernel
//! answers that it doesn't know the packet any more.
//!
//! Nothing here blocks, and nothing allocates per packet.

mod counters;
mod message;
mod reader;
mod receive;
mod requeue;
mod runs;
mod slots;
mod socket;
mod verdict;

use super::layout::QueueId;
use crate::packet::Headers;

pub use self::{
    counters::{QueueCounters, counters},
    reader::QueueReader,
    socket::QueueSocket,
};

/// How a queue is set up.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// Bytes of each packet that are copied.
    pub copy_range: u32,
    /// Packets that may wait in the kernel for a verdict, per queue.
    pub max_length: u32,
    /// Receive buffer asked of the kernel, in bytes (doubled by it).
    pub receive_buffer_bytes: usize,
}

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another program reads this queue.
    #[error("queue {number} is in use by another program; set another queue_base in [service]")]
    Busy {
        /// The queue's number.
        number: u16,
    },
    /// The kernel refused something.
    #[error("can't {doing}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// The place of a received packet in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);

/// A packet that waits for an answer. Must be answered exactly once.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Its place in the journal.
    pub slot: Slot,
    /// The queue that it came from.
    pub queue: QueueId,
    /// Its number within that queue.
    pub id: u32,
    /// Its mark when it was queued.
    pub mark: u32,
    /// User id of the sending socket, where the kernel told it.
    pub uid: Option<u32>,
    /// Interface it came in by.
    pub in_interface: Option<u32>,
    /// Interface it leaves by.
    pub out_interface: Option<u32>,
    /// What its headers say; `None` where even addresses are missing.
    pub headers: Option<Headers>,
    /// Its whole length in bytes (more than was copied; GSO packets up to 64 KiB and beyond).
    pub length_bytes: u32,
    /// How often a worker or thread crashed with this packet in hand.
    pub crashes: u32,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// On to the next table, as it is.
    Accept,
    /// Gone.
    Drop,
    /// Through the chain again, with this mark.
    Repeat {
        /// The whole packet mark, foreign bits included.
        mark: u32,
    },
    /// To another of our queues, at the same hook.
    HandOn {
        /// Its number.
        queue_number: u16,
    },
}

/// Whether equal answers in a row may be told to the kernel as one batch.
/// Only for sockets none of whose queues holds packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// One by one, by id.
    Single,
    /// A batch verdict for each run of equal answers in one queue.
    Runs,
}
