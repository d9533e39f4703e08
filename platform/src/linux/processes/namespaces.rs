//! Network namespaces of other processes: containers'. Their addresses, and
//! the sockets in them, as `/proc/PID/net` shows them.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use seawall_messages::Protocol;

use super::owners::{list, open_proc};
use super::{ProcessesError, file_id};
use crate::linux::sockets::Socket;

/// Most network namespaces told of.
pub const MAX_NAMESPACES: usize = 1_024;

/// Most processes told of one namespace.
pub const MAX_MEMBERS: usize = 256;

/// Most bytes read of a table: some 200,000 sockets.
const MAX_TABLE_BYTES: u64 = 32 * 1024 * 1024;

/// TCP_LISTEN (net/tcp_states.h).
const LISTEN: &str = "0A";

/// A network namespace that isn't the calling thread's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkNamespace {
    /// Inode of its file.
    pub inode: u64,
    /// Processes in it, lowest id first.
    pub members: Vec<u32>,
    /// Whether there are more of them than [`MAX_MEMBERS`].
    pub has_more: bool,
    /// Its addresses, but for loopback.
    pub addresses: HashSet<IpAddr>,
}

/// The network namespaces that processes live in, but for the calling thread's.
/// Stops at [`MAX_NAMESPACES`].
pub fn network_namespaces() -> Result<Vec<NetworkNamespace>, ProcessesError> {
    let ours = file_id("/proc/thread-self/ns/net").map(|file| file.inode);
    let mut found: BTreeMap<u64, NetworkNamespace> = BTreeMap::new();
    for process in list(&open_proc()?)?.iter().rev() {
        let Some(inode) = network_namespace_of(process.pid).filter(|inode| Some(*inode) != ours)
        else {
            continue;
        };
        if found.len() == MAX_NAMESPACES && !found.contains_key(&inode) {
            continue;
        }
        let namespace = found.entry(inode).or_insert_with(|| NetworkNamespace {
            inode,
            members: Vec::new(),
            has_more: false,
            addresses: addresses_seen_by(process.pid),
        });
        if namespace.members.len() < MAX_MEMBERS {
            namespace.members.push(process.pid);
        } else {
            namespace.has_more = true;
        }
    }
    Ok(found.into_values().collect())
}

/// Inode of a process's network namespace; `None` where it is gone or may not be read.
pub fn network_namespace_of(pid: u32) -> Option<u64> {
    file_id(format!("/proc/{pid}/ns/net")).map(|file| file.inode)
}

/// The one socket in a process's network namespace that sends from `own` to `other`: a TCP
/// connection, or a UDP socket that is connected to `other`, or to nobody. `None` for none, and for several.
pub fn socket_seen_by(
    pid: u32,
    protocol: Protocol,
    own: SocketAddr,
    other: SocketAddr,
) -> Option<Socket> {
    let tables: &[&str] = match (protocol, own) {
        (Protocol::TCP, SocketAddr::V4(_)) => &["tcp", "tcp6"],
        (Protocol::TCP, SocketAddr::V6(_)) => &["tcp6"],
        (Protocol::UDP, SocketAddr::V4(_)) => &["udp", "udp6"],
        (Protocol::UDP, SocketAddr::V6(_)) => &["udp6"],
        _ => return None,
    };
    let texts: Vec<String> = tables.iter().map(|table| table_of(pid, table)).collect();
    let all = texts.iter().flat_map(|text| sockets_in(text, protocol));
    let sockets = all.filter(|socket| {
        let is_own = same(socket.local, own) || is_any(socket.local, own);
        let is_others = same(socket.remote, other);
        let is_unconnected = protocol == Protocol::UDP && socket.remote.port() == 0;
        is_own && (is_others || is_unconnected) && !socket.listening
    });
    let (exact, by_port): (Vec<_>, Vec<_>) = sockets.partition(|socket| socket.remote.port() != 0);
    match (exact.as_slice(), by_port.as_slice()) {
        ([one], _) | ([], [one]) => Some(*one),
        _ => None,
    }
}

fn table_of(pid: u32, name: &str) -> String {
    let mut text = Vec::new();
    // What is gone, or has no such table, has no sockets.
    if let Ok(file) = File::open(format!("/proc/{pid}/net/{name}")) {
        let _ = file.take(MAX_TABLE_BYTES).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Addresses from `fib_trie` and `if_inet6`.
fn addresses_seen_by(pid: u32) -> HashSet<IpAddr> {
    let mut addresses = local_v4(&table_of(pid, "fib_trie"));
    addresses.extend(all_v6(&table_of(pid, "if_inet6")));
    addresses
}

/// An address that is followed by `/32 host LOCAL` is the namespace's own.
fn local_v4(fib_trie: &str) -> HashSet<IpAddr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut own = HashSet::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.filter(|address| !address.is_loopback())
        {
            own.insert(address.into());
        }
    }
    own
}

/// Lines begin with an address in 32 hexadecimal digits.
fn all_v6(if_inet6: &str) -> HashSet<IpAddr> {
    let address = |line: &str| {
        let bits = u128::from_str_radix(line.get(..32)?, 16).ok()?;
        Some(Ipv6Addr::from_bits(bits)).filter(|address| !address.is_loopback()).map(IpAddr::from)
    };
    if_inet6.lines().filter_map(address).collect()
}

/// The sockets of a table (proc_net_tcp in the kernel's documentation).
fn sockets_in(text: &str, protocol: Protocol) -> impl Iterator<Item = Socket> {
    text.lines().skip(1).filter_map(move |line| socket_of(line, protocol))
}

fn socket_of(line: &str, protocol: Protocol) -> Option<Socket> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = end(columns.next()?)?;
    let remote = end(columns.next()?)?;
    let listening = protocol == Protocol::TCP && columns.next()? == LISTEN;
    let mut columns = line.split_ascii_whitespace().skip(7);
    let uid = columns.next()?.parse().ok()?;
    let inode = columns.nth(1)?.parse().ok().filter(|inode| *inode != 0)?;
    Some(Socket { protocol, local, remote, listening, only_v6: false, uid, inode })
}

/// `0100007F:0050`: the address as words of 32 bits in the machine's order.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip() == other.ip().to_canonical()
}

/// Whether a socket that is bound to a port only sends from that end, too.
fn is_any(local: SocketAddr, own: SocketAddr) -> bool {
    local.ip().is_unspecified() && local.port() == own.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_from_those_of_networks() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.7.0.0\n        /24 link UNICAST\n\
                    Local:\n     |-- 10.7.0.2\n        /32 host LOCAL\n     |-- 10.7.0.255\n\
                    \x20       /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), HashSet::from([IpAddr::from([10, 7, 0, 2])]));
        let table = "fd070000000000000000000000000002 02 40 00 80     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\nnonsense\n";
        let expected: IpAddr = "fd07::2".parse().expect("an address");
        assert_eq!(all_v6(table), HashSet::from([expected]));
        assert!(local_v4("/32 host LOCAL").is_empty());
    }

    #[test]
    fn lines_of_tables_are_read_and_others_left_out() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = "   0: 0200070A:1388 0100070A:0050 01 00000000:00000000 02:000003E8 00000000  1000        0 4711 2 x\n";
        let v6 = "   1: 000007FD000000000000000002000000:1388 000007FD000000000000000001000000:0050 01 0:0 0:0 0 0 0 4712 2 x\n";
        let mapped = "   2: 0000000000000000FFFF00000200070A:1389 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 4713 2 x\n";
        let bad = "   3: 0200070A 0100070A:0050 01\n   4: zz:zz\n\n   5: 0200070A:1388 0100070A:0050 06 0:0 0:0 0 0 0 0 3 x\n";
        let text = [head, line, v6, mapped, bad].concat();
        let found: Vec<_> = sockets_in(&text, Protocol::UDP)
            .map(|socket| {
                (socket.local.to_string(), socket.remote.to_string(), socket.uid, socket.inode)
            })
            .collect();
        // The words are in this machine's order.
        if cfg!(target_endian = "little") {
            let expected = [
                ("10.7.0.2:5000", "10.7.0.1:80", 1000, 4711),
                ("[fd07::2]:5000", "[fd07::1]:80", 0, 4712),
                ("10.7.0.2:5001", "[::]:0", 0, 4713),
            ]
            .map(|(local, remote, uid, inode)| (local.into(), remote.into(), uid, inode));
            assert_eq!(found, expected);
        }
    }
}
