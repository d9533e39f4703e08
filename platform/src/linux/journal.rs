//! Where received packets lie until they are answered: a memfd that outlives
//! the worker, so that its successor judges the very packets that it held.
//!
//! Slots of one size in shared memory. A slot is in use while the length field
//! of the netlink message in it is not zero: the kernel sets it by writing the
//! message, the worker clears it after the verdict was sent. There is no other
//! state to keep consistent, so a kill at any instruction leaves it readable.
//!
//! A header of one slot's size comes first: magic, version, slot size, slot
//! count, the high-water mark (slots from there on were never offered to the
//! kernel), and the slot in hand plus one. Each slot is its crash count, four
//! reserved bytes, and the message. A slot never spans two pages.

mod mapping;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use self::mapping::Mapping;

/// Bytes of a slot, and of the header.
const SLOT_BYTES: usize = 512;

/// Where the message starts in its slot: the crash count and the reserved bytes come first.
const MESSAGE_OFFSET: usize = 8;

/// The longest message that a slot takes; of a longer one the head is kept.
pub const MAX_MESSAGE_BYTES: usize = SLOT_BYTES - MESSAGE_OFFSET;

/// The largest journal: 32 MiB, and no more packets than a queue holds by default settings.
pub const MAX_SLOTS: u32 = 65_536;

/// "SeaW", so that no other memory is taken for a journal.
const MAGIC: u32 = u32::from_le_bytes(*b"SeaW");

/// Raised when header or slots change shape.
const VERSION: u32 = 1;

/// Byte offsets of the header's fields, 32 bits each.
mod header {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 4;
    pub(super) const SLOT_BYTES: usize = 8;
    pub(super) const SLOTS: usize = 12;
    pub(super) const HIGH_WATER: usize = 16;
    pub(super) const IN_HAND: usize = 20;
}

/// The shared memory of one queue socket.
#[derive(Debug)]
pub struct Journal {
    fd: OwnedFd,
    memory: Mapping,
    slots: u32,
}

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused the memory.
    #[error("can't {doing} the packet journal")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Written by a worker of another version, or damaged. Recover with [`super::queue::QueueReader::requeue_all`].
    #[error("the packet journal is of another version or damaged")]
    Unreadable,
}

impl Journal {
    /// Makes an empty journal with room for `slots` packets, 1 to [`MAX_SLOTS`]. By the keeper.
    /// Memory is used only for slots that were.
    pub fn create(slots: u32) -> Result<Self, JournalError> {
        let slots = slots.clamp(1, MAX_SLOTS);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("seawall-journal", flags).map_err(system("make"))?;
        rustix::fs::ftruncate(&fd, size_bytes(slots) as u64).map_err(system("size"))?;
        // Nobody who holds the descriptor can pull the memory from under the others.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals).map_err(system("seal"))?;
        let memory = Mapping::new(&fd, size_bytes(slots)).map_err(system("map"))?;
        memory.store(header::VERSION, VERSION);
        memory.store(header::SLOT_BYTES, SLOT_BYTES as u32);
        memory.store(header::SLOTS, slots);
        memory.store(header::MAGIC, MAGIC);
        Ok(Self { fd, memory, slots })
    }

    /// Opens one that was handed over. Checks magic, version and bounds.
    pub fn open(fd: OwnedFd) -> Result<Self, JournalError> {
        let length_bytes = rustix::fs::fstat(&fd).map_err(system("look at"))?.st_size;
        // Anything but a memfd has no seals, and memory that may shrink would kill its readers.
        let sealed =
            rustix::fs::fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
        let slots = slots_of(length_bytes).filter(|_| sealed).ok_or(JournalError::Unreadable)?;
        let memory = Mapping::new(&fd, size_bytes(slots)).map_err(system("map"))?;
        let readable = memory.load(header::MAGIC) == MAGIC
            && memory.load(header::VERSION) == VERSION
            && memory.load(header::SLOT_BYTES) == SLOT_BYTES as u32
            && memory.load(header::SLOTS) == slots
            && memory.load(header::HIGH_WATER) <= slots
            && memory.load(header::IN_HAND) <= slots;
        if readable { Ok(Self { fd, memory, slots }) } else { Err(JournalError::Unreadable) }
    }

    /// Packets that it has room for.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Slots below this one may be in use.
    pub(super) fn high_water(&self) -> u32 {
        self.memory.load(header::HIGH_WATER).min(self.slots)
    }

    /// Makes ready every slot below `to`. They are touched here: a page that
    /// is missing while the kernel copies would cost the packet.
    pub(super) fn raise_high_water(&self, to: u32) {
        let to = to.min(self.slots);
        for slot in self.high_water()..to {
            self.free(slot);
        }
        self.memory.store(header::HIGH_WATER, to);
    }

    /// The slot that was being judged.
    pub(super) fn in_hand(&self) -> Option<u32> {
        self.memory.load(header::IN_HAND).checked_sub(1).filter(|&slot| slot < self.slots)
    }

    /// Notes the slot that is being judged.
    pub(super) fn set_in_hand(&self, slot: Option<u32>) {
        self.memory.store(header::IN_HAND, slot.map_or(0, |slot| slot.saturating_add(1)));
    }

    /// Whether a message lies in the slot.
    pub(super) fn in_use(&self, slot: u32) -> bool {
        self.memory.load(slot_offset(slot) + MESSAGE_OFFSET) != 0
    }

    /// Empties a slot. The crash count goes first: a kill in between must not
    /// leave it for the next packet.
    pub(super) fn free(&self, slot: u32) {
        self.memory.store(slot_offset(slot), 0);
        self.memory.store(slot_offset(slot) + MESSAGE_OFFSET, 0);
    }

    /// How often somebody crashed with this slot in hand.
    pub(super) fn crashes(&self, slot: u32) -> u32 {
        self.memory.load(slot_offset(slot))
    }

    /// Counts one more crash.
    pub(super) fn count_crash(&self, slot: u32) {
        self.memory.store(slot_offset(slot), self.crashes(slot).saturating_add(1));
    }

    /// Copies the slot's message out, and returns as much of it as says it is there.
    pub(super) fn message<'buffer>(
        &self,
        slot: u32,
        buffer: &'buffer mut [u8; MAX_MESSAGE_BYTES],
    ) -> &'buffer [u8] {
        let offset = slot_offset(slot) + MESSAGE_OFFSET;
        let length_bytes = (self.memory.load(offset) as usize).min(MAX_MESSAGE_BYTES);
        let message = &mut buffer[..length_bytes];
        self.memory.copy_out(offset, message);
        message
    }

    /// Where the kernel writes the slot's message: [`MAX_MESSAGE_BYTES`] that stay mapped as long as `self`.
    pub(super) fn message_address(&self, slot: u32) -> *mut u8 {
        self.memory.address(slot_offset(slot) + MESSAGE_OFFSET, MAX_MESSAGE_BYTES)
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn slot_offset(slot: u32) -> usize {
    (slot as usize + 1) * SLOT_BYTES
}

fn size_bytes(slots: u32) -> usize {
    slot_offset(slots)
}

fn slots_of(length_bytes: i64) -> Option<u32> {
    let length_bytes = usize::try_from(length_bytes).ok()?;
    let slots = u32::try_from((length_bytes / SLOT_BYTES).checked_sub(1)?).ok()?;
    ((1..=MAX_SLOTS).contains(&slots) && size_bytes(slots) == length_bytes).then_some(slots)
}

fn system(doing: &'static str) -> impl Fn(rustix::io::Errno) -> JournalError {
    move |errno| JournalError::System { doing, source: errno.into() }
}

#[cfg(test)]
mod tests;
