//! What a connection looks like from its headers alone.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The place in the kernel's packet path where a packet was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Leaves a local socket.
    Output,
    /// Is delivered to a local socket.
    Input,
    /// Passes through this machine (containers, virtual machines).
    Forward,
}

/// Who opened the connection, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A program here opened it.
    Outbound,
    /// Another host opened it towards this one.
    Inbound,
    /// Neither end is here.
    Forwarded,
}

impl Direction {
    /// The direction as shown to people and used in JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Forwarded => "forwarded",
        }
    }
}

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// IGMP (RFC 3376).
    pub const IGMP: Self = Self(2);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// DCCP (RFC 4340).
    pub const DCCP: Self = Self(33);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// SCTP (RFC 9260).
    pub const SCTP: Self = Self(132);
    /// UDP-Lite (RFC 3828).
    pub const UDP_LITE: Self = Self(136);

    /// Whether the protocol is ICMP of either family.
    pub fn is_icmp(self) -> bool {
        self == Self::ICMP || self == Self::ICMPV6
    }

    /// Whether the first four bytes of its header are source and destination port.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::DCCP | Self::SCTP | Self::UDP_LITE)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::IGMP => f.write_str("IGMP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::DCCP => f.write_str("DCCP"),
            Self::ICMPV6 => f.write_str("ICMP6"),
            Self::SCTP => f.write_str("SCTP"),
            Self::UDP_LITE => f.write_str("UDP-LITE"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of the header after the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Ports, in host byte order, of the side that opened the flow and of the other.
    Ports {
        /// Port of the side that opened the flow.
        initiator: u16,
        /// Port of the side that was called.
        responder: u16,
    },
    /// ICMP of either family.
    Icmp {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
        /// Identifier of an echo; 0 for other types.
        identifier: u16,
    },
    /// A protocol without ports.
    Portless,
    /// The header is not in the bytes at hand: beyond the copy range, a later
    /// fragment, or malformed. Never permitted by a rule that names a port.
    Truncated,
}

/// A connection as judged: who called whom, how, and in which direction.
///
/// Two packets of one connection, in whichever direction they travel, give
/// equal flows. It is the key of every flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// Who opened it, seen from this machine.
    pub direction: Direction,
    /// IP protocol, after all IPv6 extension headers.
    pub protocol: Protocol,
    /// Address of the side that opened the flow.
    pub initiator: IpAddr,
    /// Address of the side that was called.
    pub responder: IpAddr,
    /// Ports or their like.
    pub transport: Transport,
}

impl Flow {
    /// A flow between two sockets.
    pub fn between(
        direction: Direction,
        protocol: Protocol,
        initiator: SocketAddr,
        responder: SocketAddr,
    ) -> Self {
        let transport =
            Transport::Ports { initiator: initiator.port(), responder: responder.port() };
        Self {
            direction,
            protocol,
            initiator: initiator.ip(),
            responder: responder.ip(),
            transport,
        }
    }

    /// The other end: the one that rules speak of. For forwarded flows, the side that was called.
    pub fn remote(&self) -> IpAddr {
        match self.direction {
            Direction::Outbound | Direction::Forwarded => self.responder,
            Direction::Inbound => self.initiator,
        }
    }

    /// This machine's address. For forwarded flows, the side that called.
    pub fn local(&self) -> IpAddr {
        match self.direction {
            Direction::Outbound | Direction::Forwarded => self.initiator,
            Direction::Inbound => self.responder,
        }
    }

    /// The port that was called: the one that rules compare, in every direction.
    pub fn destination_port(&self) -> Option<u16> {
        match self.transport {
            Transport::Ports { responder, .. } => Some(responder),
            _ => None,
        }
    }
}

impl Flow {
    /// The flow without its caller's port (or echo identifier): what
    /// connections to the same service have in common. `None` where there is none.
    pub fn service(&self) -> Option<Self> {
        let transport = match self.transport {
            Transport::Ports { responder, .. } => Transport::Ports { initiator: 0, responder },
            Transport::Icmp { kind, code, .. } => Transport::Icmp { kind, code, identifier: 0 },
            Transport::Portless | Transport::Truncated => return None,
        };
        Some(Self { transport, ..*self })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.direction.as_str(), self.protocol)?;
        match self.transport {
            Transport::Ports { initiator, responder } => write!(
                f,
                "{} > {}",
                SocketAddr::new(self.initiator, initiator),
                SocketAddr::new(self.responder, responder)
            ),
            Transport::Icmp { kind, code, .. } => {
                write!(f, "{} > {} type {kind} code {code}", self.initiator, self.responder)
            }
            Transport::Portless => write!(f, "{} > {}", self.initiator, self.responder),
            Transport::Truncated => {
                write!(f, "{} > {} (truncated)", self.initiator, self.responder)
            }
        }
    }
}
