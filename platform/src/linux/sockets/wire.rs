//! Sockets as sock_diag writes them (linux/inet_diag.h, linux/sock_diag.h).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use seawall_messages::Protocol;

use super::Socket;
use crate::linux::netlink::{Request, attributes, read_u32};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// Follows `struct inet_diag_msg`: whether an IPv6 socket takes IPv6 only.
const INET_DIAG_SKV6ONLY: u16 = 11;

/// Bytes of `struct inet_diag_sockid`.
const ID_BYTES: usize = 48;
/// Bytes of `struct inet_diag_msg`.
const MESSAGE_BYTES: usize = 72;
/// Where it holds the socket's id.
const ID_AT: usize = 4;
/// Within an id: ports, addresses, interface, cookie.
const SOURCE_AT: usize = 4;
const DESTINATION_AT: usize = 20;
const INTERFACE_AT: usize = 36;
const COOKIE_AT: usize = 40;
/// Within the message.
const UID_AT: usize = 64;
const INODE_AT: usize = 68;

/// TCP_TIME_WAIT as a bit of the states asked for: remnants, a busy machine has
/// tens of thousands of them.
const TIME_WAIT: u32 = 1 << 6;

/// INET_DIAG_NOCOOKIE.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// The states that matter to us (net/tcp_states.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// TCP_LISTEN.
    Listen,
    /// TCP_CLOSE: for UDP, a socket that isn't connected.
    Close,
    /// Any other.
    Connected,
}

impl Listed {
    /// The socket's cookie, as SO_COOKIE gives it.
    pub(super) fn cookie(&self) -> u64 {
        let half = |at| u64::from(read_u32(&self.id, at).unwrap_or(0));
        half(COOKIE_AT) | half(COOKIE_AT + 4) << 32
    }
}

/// A socket and what names it to the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) socket: Socket,
    pub(super) state: State,
    family: u8,
    id: [u8; ID_BYTES],
}

/// Asks for all sockets of a family and protocol that somebody may still use.
pub(super) fn list_request(family: i32, protocol: Protocol) -> Request {
    // Families are small numbers.
    request(SOCK_DIAG_BY_FAMILY, family as u8, protocol, &[0; ID_BYTES])
}

/// Asks for the socket between two ends. The tables of UDP are asked as for the socket
/// that a packet to `local` would reach: its ends stand the other way round.
pub(super) fn find_request(protocol: Protocol, own: SocketAddr, other: SocketAddr) -> Request {
    let (local, remote) = if protocol == Protocol::TCP { (own, other) } else { (other, own) };
    let mut id = [0; ID_BYTES];
    id[..2].copy_from_slice(&local.port().to_be_bytes());
    id[2..4].copy_from_slice(&remote.port().to_be_bytes());
    let (source, destination) = (local.ip().to_canonical(), remote.ip().to_canonical());
    let family = write_address(&mut id[SOURCE_AT..DESTINATION_AT], source);
    write_address(&mut id[DESTINATION_AT..INTERFACE_AT], destination);
    if let SocketAddr::V6(local) = local {
        id[INTERFACE_AT..COOKIE_AT].copy_from_slice(&local.scope_id().to_ne_bytes());
    }
    id[COOKIE_AT..].copy_from_slice(&NO_COOKIE);
    request(SOCK_DIAG_BY_FAMILY, family as u8, protocol, &id)
}

/// Cuts exactly this socket.
pub(super) fn destroy_request(listed: &Listed) -> Request {
    request(SOCK_DESTROY, listed.family, Protocol::TCP, &listed.id)
}

/// A `struct inet_diag_req_v2`.
fn request(kind: u16, family: u8, protocol: Protocol, id: &[u8; ID_BYTES]) -> Request {
    let mut header = vec![family, protocol.0, 0, 0];
    header.extend_from_slice(&(!TIME_WAIT).to_ne_bytes());
    header.extend_from_slice(id);
    Request::new(kind, &header)
}

fn write_address(field: &mut [u8], address: IpAddr) -> i32 {
    match address {
        IpAddr::V4(address) => {
            field[..4].copy_from_slice(&address.octets());
            libc::AF_INET
        }
        IpAddr::V6(address) => {
            field.copy_from_slice(&address.octets());
            libc::AF_INET6
        }
    }
}

/// The socket of a message; none if it is malformed.
pub(super) fn parse(protocol: Protocol, payload: &[u8]) -> Option<Listed> {
    let (&family, &state) = (payload.first()?, payload.get(1)?);
    let state = match state {
        7 => State::Close,
        10 => State::Listen,
        _ => State::Connected,
    };
    let id: [u8; ID_BYTES] = payload.get(ID_AT..ID_AT + ID_BYTES)?.try_into().ok()?;
    let local = read_end(family, &id, 0, SOURCE_AT)?;
    let remote = read_end(family, &id, 2, DESTINATION_AT)?;
    let only_v6 = attributes(payload.get(MESSAGE_BYTES..)?)
        .any(|(kind, value)| kind == INET_DIAG_SKV6ONLY && value == [1]);
    let socket = Socket {
        protocol,
        local,
        remote,
        listening: match state {
            State::Listen => true,
            State::Close => protocol != Protocol::TCP && remote.port() == 0,
            State::Connected => false,
        },
        only_v6,
        uid: read_u32(payload, UID_AT)?,
        inode: read_u32(payload, INODE_AT)?,
    };
    Some(Listed { socket, state, family, id })
}

fn read_end(
    family: u8,
    id: &[u8; ID_BYTES],
    port_at: usize,
    address_at: usize,
) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(id.get(port_at..port_at + 2)?.try_into().ok()?);
    let octets: [u8; 16] = id.get(address_at..address_at + 16)?.try_into().ok()?;
    let address = match i32::from(family) {
        libc::AF_INET => {
            let [a, b, c, d, ..] = octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(octets)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_sockets_are_left_out() {
        for length in 0..MESSAGE_BYTES {
            assert!(parse(Protocol::TCP, &vec![2; length]).is_none(), "{length}");
        }
        assert!(parse(Protocol::TCP, &[2; MESSAGE_BYTES]).is_some());
        assert!(parse(Protocol::TCP, &[77; MESSAGE_BYTES]).is_none(), "an unknown family");
    }
}
