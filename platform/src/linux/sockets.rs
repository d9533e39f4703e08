//! Sockets of this machine: list, find, destroy, all over sock_diag; own addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::SOCK_DIAG;
use seawall_messages::Protocol;

use self::wire::{Listed, State};
use super::netlink::{Netlink, Request, attributes, read_address};

mod closed;
mod wire;

pub use self::closed::{ClosedSockets, Closings};

/// RTM_GETADDR (linux/rtnetlink.h).
const GET_ADDRESSES: u16 = 22;
/// Bytes of `struct ifaddrmsg`.
const ADDRESS_HEADER_BYTES: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Reads the kernel's socket tables. Blocking, bounded by a time-out.
pub struct SocketDiag {
    netlink: Netlink,
}

/// A socket of this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// TCP or UDP (and UDP-Lite, SCTP where the kernel tells them).
    pub protocol: Protocol,
    /// Its own end. IPv4, where an IPv6 socket speaks IPv4.
    pub local: SocketAddr,
    /// The other end; unspecified with port 0 where there is none.
    pub remote: SocketAddr,
    /// Whether it waits for others: a TCP listener, or an unconnected bound UDP socket.
    pub listening: bool,
    /// Whether an IPv6 socket takes IPv6 only.
    pub only_v6: bool,
    /// Owner.
    pub uid: u32,
    /// Inode, as in /proc/PID/fd.
    pub inode: u32,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}")]
pub struct SocketsError {
    /// What was attempted.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

impl SocketDiag {
    /// Opens the socket.
    pub fn open() -> Result<Self, SocketsError> {
        let netlink = Netlink::open(Some(SOCK_DIAG)).map_err(failed("open the socket tables"))?;
        Ok(Self { netlink })
    }

    /// All TCP and UDP sockets of both families: listening and connected.
    /// UDP-Lite and SCTP, where the kernel tells them.
    pub fn list(&mut self) -> Result<Vec<Socket>, SocketsError> {
        let mut sockets = Vec::new();
        for protocol in [Protocol::TCP, Protocol::UDP, Protocol::UDP_LITE, Protocol::SCTP] {
            match self.list_protocol(protocol) {
                Ok(listed) => sockets.extend(listed.into_iter().map(|listed| listed.socket)),
                // The kernel was built without it, or its module isn't there.
                Err(error)
                    if error.kind() == ErrorKind::NotFound
                        && protocol != Protocol::TCP
                        && protocol != Protocol::UDP => {}
                Err(error) => return Err(failed("list sockets")(error)),
            }
        }
        Ok(sockets)
    }

    /// The socket at `local` that speaks, or would speak, with `remote`: of
    /// TCP a connection or a listener, else one that is connected or bound. With its cookie. One round trip.
    pub fn find(
        &mut self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Option<(Socket, u64)>, SocketsError> {
        match self.netlink.look_up(wire::find_request(protocol, local, remote)) {
            Ok(answer) => {
                let found = wire::parse(protocol, &answer);
                Ok(found.map(|found| (found.socket, found.cookie())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("find a socket")(error)),
        }
    }

    /// Cuts the local TCP connection between these ends (SOCK_DESTROY). `false`: there was none.
    ///
    /// Only that connection: the kernel would cut a listener on the same port
    /// in its stead, so it is named by its cookie.
    pub fn destroy_tcp(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<bool, SocketsError> {
        let Some(found) = self.find_tcp(local, remote).map_err(failed("find a connection"))? else {
            return Ok(false);
        };
        match self.netlink.ask(wire::destroy_request(&found)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("cut a connection")(error)),
        }
    }

    fn find_tcp(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> std::io::Result<Option<Listed>> {
        let is_it = |listed: &Listed| {
            listed.state != State::Listen
                && same_end(listed.socket.local, local)
                && same_end(listed.socket.remote, remote)
        };
        match self.netlink.look_up(wire::find_request(Protocol::TCP, local, remote)) {
            Ok(answer) => {
                let found = wire::parse(Protocol::TCP, &answer);
                if let Some(found) = found.filter(is_it) {
                    return Ok(Some(found));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The direct look-up doesn't see a socket that is bound to a device.
        Ok(self.list_protocol(Protocol::TCP)?.into_iter().find(is_it))
    }

    fn list_protocol(&mut self, protocol: Protocol) -> std::io::Result<Vec<Listed>> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = wire::list_request(family, protocol);
            let listed = self.netlink.dump(&request, |into: &mut Vec<Listed>, payload| {
                into.extend(wire::parse(protocol, payload));
            })?;
            all.extend(listed);
        }
        Ok(all)
    }
}

/// The addresses of this machine's interfaces, in this network namespace.
pub fn own_addresses() -> Result<Vec<IpAddr>, SocketsError> {
    let request = Request::new(GET_ADDRESSES, &[0; ADDRESS_HEADER_BYTES]);
    Netlink::open(None)
        .and_then(|mut netlink| {
            netlink.dump(&request, |addresses: &mut Vec<IpAddr>, payload| {
                addresses.extend(interface_address(payload));
            })
        })
        .map_err(failed("list own addresses"))
}

/// On a point-to-point link IFA_ADDRESS is the other end's.
fn interface_address(payload: &[u8]) -> Option<IpAddr> {
    let (mut local, mut address) = (None, None);
    for (kind, value) in attributes(payload.get(ADDRESS_HEADER_BYTES..)?) {
        match kind {
            IFA_LOCAL => local = read_address(value),
            IFA_ADDRESS => address = read_address(value),
            _ => {}
        }
    }
    local.or(address)
}

/// Scope and flow label aside.
fn same_end(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> SocketsError {
    move |source| SocketsError { doing, source }
}
