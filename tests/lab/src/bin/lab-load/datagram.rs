//! The numbered datagram that `udp` sends and `serve` counts: big-endian
//! magic, flags, flow, sequence number, and the sender's monotonic clock.

use rustix::time::{ClockId, clock_gettime};

/// Bytes of the header; a datagram is at least this long.
pub(crate) const HEADER_BYTES: usize = 28;
const MAGIC: u32 = 0x5ea3_a110;
const WANTS_ECHO: u32 = 1;

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) wants_echo: bool,
    pub(crate) flow: u32,
    pub(crate) sequence: u64,
    pub(crate) sent_ns: u64,
}

impl Datagram {
    /// Writes the header to the start of `bytes`, which must hold it.
    pub(crate) fn write(&self, bytes: &mut [u8]) {
        bytes[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[4..8].copy_from_slice(&u32::from(self.wants_echo).to_be_bytes());
        bytes[8..12].copy_from_slice(&self.flow.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads a header; `None` for anything that is not one of ours.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if word(0)? != MAGIC {
            return None;
        }
        Some(Self {
            wants_echo: word(4)? & WANTS_ECHO != 0,
            flow: word(8)?,
            sequence: long(12)?,
            sent_ns: long(20)?,
        })
    }
}

/// The monotonic clock, shared by all processes of the machine.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_foreign_bytes_are_not() {
        let header = Datagram { wants_echo: true, flow: 7, sequence: 1 << 40, sent_ns: 99 };
        let mut bytes = [0; HEADER_BYTES];
        header.write(&mut bytes);
        assert_eq!(Datagram::read(&bytes), Some(header));
        assert_eq!(Datagram::read(&bytes[..HEADER_BYTES - 1]), None);
        bytes[0] ^= 1;
        assert_eq!(Datagram::read(&bytes), None);
    }
}
