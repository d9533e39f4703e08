//! Listens for probes, above everything that a firewall could hold back.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, socket_with};

use super::{EXPERIMENTAL, Kind};
use crate::check::{uninterrupted, until};
use crate::world::Host;

/// Largest probe, with room.
const BUFFER_BYTES: usize = 8192;

/// A listening socket, and what it has heard.
#[derive(Debug)]
pub struct Ear {
    socket: Socket,
    heard: Vec<u64>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Raw(OwnedFd),
}

impl Ear {
    pub(super) fn open(host: &Host, kind: Kind, on: IpAddr, port: u16) -> Self {
        let address = SocketAddr::new(on, port);
        let socket = match kind {
            Kind::Tcp => {
                let listener = host.listen(address);
                listener
                    .set_nonblocking(true)
                    .unwrap_or_else(|error| panic!("a listener can't be non-blocking: {error}"));
                Socket::Tcp(listener)
            }
            Kind::Udp | Kind::Fragments | Kind::DestinationOptions => {
                let socket = host.datagrams(address);
                socket
                    .set_nonblocking(true)
                    .unwrap_or_else(|error| panic!("a socket can't be non-blocking: {error}"));
                Socket::Udp(socket)
            }
            Kind::Icmp | Kind::Experimental => Socket::Raw(open_raw(host, kind, on)),
        };
        Self { socket, heard: Vec::new() }
    }

    /// Whether this probe has arrived so far.
    pub fn heard(&mut self, token: u64) -> bool {
        self.drain();
        self.heard.contains(&token)
    }

    /// Whether it arrives within the time.
    pub fn hears(&mut self, token: u64, within: Duration) -> bool {
        until(within, || self.heard(token).then_some(())).is_some()
    }

    /// How many probes have arrived so far.
    pub fn count(&mut self) -> usize {
        self.drain();
        self.heard.len()
    }

    fn drain(&mut self) {
        let mut buffer = [0_u8; BUFFER_BYTES];
        match &self.socket {
            Socket::Tcp(listener) => {
                while let Ok((_, from)) = listener.accept() {
                    self.heard.push(u64::from(from.port()));
                }
            }
            Socket::Udp(socket) => {
                while let Ok(length) = uninterrupted(|| socket.recv(&mut buffer)) {
                    self.heard.extend(tokens(&buffer[..length]));
                }
            }
            Socket::Raw(socket) => {
                while let Ok((length, _)) =
                    rustix::net::recv(socket, &mut buffer, RecvFlags::DONTWAIT)
                {
                    self.heard.extend(tokens(&buffer[..length]));
                }
            }
        }
    }
}

/// The token of a probe, wherever in the packet it starts.
fn tokens(bytes: &[u8]) -> Option<u64> {
    bytes
        .windows(8)
        .filter_map(|window| Some(u64::from_be_bytes(window.try_into().ok()?)))
        .find(|number| number >> 32 == 0x5ea3_a11b)
}

fn open_raw(host: &Host, kind: Kind, on: IpAddr) -> OwnedFd {
    let (family, icmp) = match on {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let protocol = match kind {
        Kind::Icmp => icmp,
        _ => super::voice::protocol(EXPERIMENTAL),
    };
    host.inside(|| {
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))
            .unwrap_or_else(|error| panic!("can't open a raw socket: {error}"));
        rustix::net::bind(&socket, &SocketAddr::new(on, 0))
            .unwrap_or_else(|error| panic!("can't bind a raw socket to {on}: {error}"));
        socket
    })
}
