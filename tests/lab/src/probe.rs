//! One packet, or one connection, of a kind: sent from one host, listened for on another.

mod ear;
mod voice;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::ear::Ear;
pub use self::voice::Outcome;
use crate::world::{Family, Host};

/// An IP protocol number set aside for experiments (RFC 3692).
pub const EXPERIMENTAL: u8 = 253;

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP connection.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An echo request.
    Icmp,
    /// A packet of protocol 253.
    Experimental,
    /// A UDP datagram of 5,000 bytes, in fragments.
    Fragments,
    /// A UDP datagram behind a destination options header: IPv6 only.
    DestinationOptions,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Experimental,
        Self::Fragments,
        Self::DestinationOptions,
    ];

    /// Whether the family knows this kind.
    pub fn exists_in(self, family: Family) -> bool {
        self != Self::DestinationOptions || family == Family::V6
    }

    /// Whether it has ports.
    pub fn has_ports(self) -> bool {
        !matches!(self, Self::Icmp | Self::Experimental)
    }
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The host that sends.
    pub from: &'a Host,
    /// Its address for this.
    pub source: IpAddr,
    /// The host that is sent to.
    pub to: &'a Host,
    /// Its address for this.
    pub destination: IpAddr,
}

/// Something sent: what the sender saw of it, and how to know it again.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// What the sender saw.
    pub outcome: Outcome,
    /// In the payload; for TCP, the port of the side that called.
    pub token: u64,
    /// How long the sender took to see it.
    pub took: Duration,
}

/// How long to wait for an answer to the sender.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_millis(1500))
    }
}

static TOKEN: AtomicU64 = AtomicU64::new(0);

/// A number that no other probe of this process has, and that other traffic doesn't hold.
fn new_token() -> u64 {
    0x5ea3_a11b_0000_0000 | TOKEN.fetch_add(1, Ordering::Relaxed)
}

impl<'a> Path<'a> {
    /// A path between two hosts.
    pub fn new(from: &'a Host, source: IpAddr, to: &'a Host, destination: IpAddr) -> Self {
        Self { from, source, to, destination }
    }

    /// Starts to listen at the far end.
    pub fn listen(&self, kind: Kind, port: u16) -> Ear {
        Ear::open(self.to, kind, self.destination, port)
    }

    /// Sends one, and looks for an answer as long as patience lasts.
    pub fn send(&self, kind: Kind, port: u16, patience: Patience) -> Sent {
        voice::send(self, kind, port, new_token(), patience)
    }
}
