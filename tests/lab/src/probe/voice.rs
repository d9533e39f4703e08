//! Sends probes and sees what the sender sees.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Instant;

use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use socket2::{Domain, Socket, Type};

use super::{EXPERIMENTAL, Kind, Path, Patience, Sent};
use crate::check::uninterrupted;
use crate::wire;

/// Makes three or four fragments of a datagram.
const FRAGMENTED_BYTES: usize = 5000;

/// What the sender saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// TCP: connected.
    Connected,
    /// TCP: a reset answered.
    Refused,
    /// An ICMP error, or the kernel's own refusal.
    Unreachable,
    /// No answer, for as long as patience lasted.
    Silence,
}

pub(super) fn send(path: &Path<'_>, kind: Kind, port: u16, token: u64, patience: Patience) -> Sent {
    let begun = Instant::now();
    let to = SocketAddr::new(path.destination, port);
    let (outcome, token) = path.from.inside(|| match kind {
        Kind::Tcp => tcp(path.source, to, patience),
        Kind::Udp => (udp(path.source, to, token, 8, patience), token),
        Kind::Fragments => (udp(path.source, to, token, FRAGMENTED_BYTES, patience), token),
        Kind::Icmp | Kind::Experimental | Kind::DestinationOptions => {
            raw(path, kind, port, token);
            (Outcome::Silence, token)
        }
    });
    Sent { outcome, token, took: begun.elapsed() }
}

/// A protocol number for `socket`.
pub(super) fn protocol(number: u8) -> Protocol {
    NonZeroU32::new(u32::from(number))
        .map(Protocol::from_raw)
        .unwrap_or_else(|| panic!("protocol 0 can't be asked for"))
}

fn bound(kind: Type, source: IpAddr) -> Socket {
    let address = SocketAddr::new(source, 0);
    Socket::new(Domain::for_address(address), kind, None)
        .and_then(|socket| socket.bind(&address.into()).map(|()| socket))
        .unwrap_or_else(|error| panic!("can't bind a socket to {source}: {error}"))
}

fn tcp(source: IpAddr, to: SocketAddr, patience: Patience) -> (Outcome, u64) {
    let socket = bound(Type::STREAM, source);
    let token = socket
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket())
        .map_or(0, |address| u64::from(address.port()));
    let outcome = match socket.connect_timeout(&to.into(), patience.0) {
        Ok(()) => Outcome::Connected,
        Err(error) => outcome_of(&error),
    };
    (outcome, token)
}

fn udp(source: IpAddr, to: SocketAddr, token: u64, size: usize, patience: Patience) -> Outcome {
    let socket: std::net::UdpSocket = bound(Type::DGRAM, source).into();
    let mut payload = vec![0_u8; size];
    payload[..8].copy_from_slice(&token.to_be_bytes());
    let attempt = socket
        .connect(to)
        .and_then(|()| socket.send(&payload))
        .and_then(|_| socket.set_read_timeout(Some(patience.0)))
        .and_then(|()| uninterrupted(|| socket.recv(&mut payload)));
    match attempt {
        Ok(_) => Outcome::Connected,
        Err(error) => outcome_of(&error),
    }
}

fn outcome_of(error: &std::io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Silence,
        _ => Outcome::Unreachable,
    }
}

fn raw(path: &Path<'_>, kind: Kind, port: u16, token: u64) {
    let payload = token.to_be_bytes();
    let identifier = token as u16;
    let (number, packet) = match (kind, path.source, path.destination) {
        (Kind::Icmp, IpAddr::V4(_), _) => (ipproto::ICMP, wire::icmp_echo(identifier, 1, &payload)),
        (Kind::Icmp, IpAddr::V6(_), _) => {
            (ipproto::ICMPV6, wire::icmp6_echo(identifier, 1, &payload))
        }
        (Kind::DestinationOptions, IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ports = (40_000 + (identifier & 0x3fff), port);
            let packet = wire::udp_behind_destination_options(source, destination, ports, &payload);
            (protocol(255), packet)
        }
        _ => (protocol(EXPERIMENTAL), payload.to_vec()),
    };
    let family = if path.source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(number))
        .unwrap_or_else(|error| panic!("can't open a raw socket: {error}"));
    if kind != Kind::DestinationOptions {
        rustix::net::bind(&socket, &SocketAddr::new(path.source, 0))
            .unwrap_or_else(|error| panic!("can't bind a raw socket to {}: {error}", path.source));
    }
    // A refusal by the local packet filter (EPERM) is one of the outcomes under test.
    let _ = sendto(&socket, &packet, SendFlags::empty(), &SocketAddr::new(path.destination, 0));
}
