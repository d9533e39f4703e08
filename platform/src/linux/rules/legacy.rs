//! Fingerprints of legacy iptables tables, read in-process. The kernel raises
//! no event when they change, so they are polled, and forking for each look is
//! out of the question.
//!
//! Layouts: linux/netfilter_ipv4/ip_tables.h and linux/netfilter_ipv6/ip6_tables.h.

use std::hash::{DefaultHasher, Hasher};
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::tables::Family;

/// IPT_SO_GET_INFO and IP6T_SO_GET_INFO.
const GET_INFO: i32 = 64;
/// IPT_SO_GET_ENTRIES and IP6T_SO_GET_ENTRIES.
const GET_ENTRIES: i32 = 65;
/// Bytes of `struct ipt_getinfo`: name, valid hooks, five entries, five underflows, count, size.
const INFO_BYTES: usize = 32 + 4 + 20 + 20 + 4 + 4;
/// Where `struct ipt_getinfo` holds the size of the entries.
const INFO_SIZE: Range<usize> = 80..84;
/// Bytes of `struct ipt_get_entries` before the entries: name, size, padding.
const ENTRIES_HEADER_BYTES: usize = 40;
/// Where it holds their size.
const ENTRIES_SIZE: Range<usize> = 32..36;
/// A table of a hundred thousand rules has about 20 MB.
const MAX_TABLE_BYTES: usize = 128 * 1024 * 1024;
/// How often a table may change between asking its size and reading it.
const ATTEMPTS: usize = 10;

/// Where fields lie in an entry (`struct ipt_entry`, `struct ip6t_entry`).
struct EntryLayout {
    next_offset: Range<usize>,
    /// Kept by the kernel for itself, with padding, and the two packet counters.
    volatile: Range<usize>,
}

const V4_ENTRY: EntryLayout = EntryLayout { next_offset: 90..92, volatile: 92..112 };
const V6_ENTRY: EntryLayout = EntryLayout { next_offset: 142..144, volatile: 144..168 };

/// Reads tables of one family.
pub(super) struct LegacyTables {
    fd: OwnedFd,
    family: Family,
}

impl LegacyTables {
    pub(super) fn open(family: Family) -> std::io::Result<Self> {
        let domain = match family {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        // IPPROTO_RAW, as iptables does: such a socket never receives.
        let protocol = std::num::NonZero::new(255).map(rustix::net::Protocol::from_raw);
        let fd = rustix::net::socket_with(domain, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { fd, family })
    }

    /// A number that changes with the rules of these tables, and not with their counters.
    pub(super) fn fingerprint(&self, names: &[&str]) -> std::io::Result<u64> {
        let mut hasher = DefaultHasher::new();
        for name in names {
            let mut entries = self.entries(name)?;
            mask_counters(&mut entries, self.family)?;
            hasher.write_usize(entries.len());
            hasher.write(&entries);
        }
        Ok(hasher.finish())
    }

    fn entries(&self, name: &str) -> std::io::Result<Vec<u8>> {
        for _ in 0..ATTEMPTS {
            let mut info = [0; INFO_BYTES];
            write_name(&mut info, name)?;
            self.option(GET_INFO, &mut info)?;
            let size_bytes = read_u32(&info, INFO_SIZE)?;
            let size = size_bytes as usize;
            if size > MAX_TABLE_BYTES {
                return Err(Error::new(ErrorKind::InvalidData, "a table is too large"));
            }
            let mut entries = vec![0; ENTRIES_HEADER_BYTES + size];
            write_name(&mut entries, name)?;
            if let Some(field) = entries.get_mut(ENTRIES_SIZE) {
                field.copy_from_slice(&size_bytes.to_ne_bytes());
            }
            match self.option(GET_ENTRIES, &mut entries) {
                Ok(()) => return Ok(entries.split_off(ENTRIES_HEADER_BYTES)),
                // The table changed its size since.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::WouldBlock, "the table changes all the time"))
    }

    fn option(&self, option: i32, buffer: &mut [u8]) -> std::io::Result<()> {
        let level = match self.family {
            Family::V4 => libc::IPPROTO_IP,
            Family::V6 => libc::IPPROTO_IPV6,
        };
        system::get_option(self.fd.as_fd(), level, option, buffer)
    }
}

fn write_name(buffer: &mut [u8], name: &str) -> std::io::Result<()> {
    // The name field has 32 bytes, the last of which stays zero.
    let field = buffer.get_mut(..name.len()).filter(|_| name.len() < 32);
    field.ok_or(ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    Ok(())
}

/// Zeroes what changes without anybody changing rules.
fn mask_counters(entries: &mut [u8], family: Family) -> std::io::Result<()> {
    let layout = match family {
        Family::V4 => V4_ENTRY,
        Family::V6 => V6_ENTRY,
    };
    let mut rest = entries;
    while !rest.is_empty() {
        let next = rest.get(layout.next_offset.clone()).and_then(|bytes| bytes.try_into().ok());
        let next = usize::from(u16::from_ne_bytes(next.ok_or(ErrorKind::InvalidData)?));
        if next < layout.volatile.end || next > rest.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        let (entry, behind) = rest.split_at_mut(next);
        entry.get_mut(layout.volatile.clone()).ok_or(ErrorKind::InvalidData)?.fill(0);
        rest = behind;
    }
    Ok(())
}

fn read_u32(buffer: &[u8], field: Range<usize>) -> std::io::Result<u32> {
    let bytes = buffer.get(field).and_then(|bytes| bytes.try_into().ok());
    Ok(u32::from_ne_bytes(bytes.ok_or(ErrorKind::InvalidData)?))
}

#[allow(unsafe_code, reason = "rustix knows no socket options of netfilter")]
mod system {
    use std::io::{Error, ErrorKind};
    use std::os::fd::{AsRawFd, BorrowedFd};

    /// getsockopt(2) that fills the whole buffer; its content goes in as well.
    pub(super) fn get_option(
        fd: BorrowedFd<'_>,
        level: i32,
        option: i32,
        buffer: &mut [u8],
    ) -> std::io::Result<()> {
        let mut length =
            libc::socklen_t::try_from(buffer.len()).map_err(|_| ErrorKind::InvalidInput)?;
        // SAFETY: `buffer` is initialised and writable for `length` bytes, which
        // bounds what the kernel reads and writes; `length` outlives the call.
        let outcome = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                level,
                option,
                buffer.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if outcome == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of `length` bytes whose counters hold `count`.
    fn entry(length: u16, count: u8) -> Vec<u8> {
        let mut bytes = vec![7; usize::from(length)];
        bytes[V4_ENTRY.next_offset].copy_from_slice(&length.to_ne_bytes());
        bytes[V4_ENTRY.volatile].fill(count);
        bytes
    }

    #[test]
    fn only_counters_are_masked() {
        let mut one = [entry(112, 1), entry(152, 2)].concat();
        let mut other = [entry(112, 3), entry(152, 4)].concat();
        mask_counters(&mut one, Family::V4).unwrap();
        mask_counters(&mut other, Family::V4).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.iter().filter(|byte| **byte == 0).count(), 2 * 20 + 2);
    }

    #[test]
    fn entries_that_lead_nowhere_are_refused() {
        for (length, kept) in [(0, 112), (111, 112), (200, 112), (112, 60)] {
            let mut bytes = entry(112, 0);
            bytes[V4_ENTRY.next_offset].copy_from_slice(&u16::to_ne_bytes(length));
            bytes.truncate(kept);
            assert!(mask_counters(&mut bytes, Family::V4).is_err(), "{length} {kept}");
        }
    }
}
