//! What rules look at.

use std::net::IpAddr;

use super::only::User;
use crate::flow::{Direction, Flow, Protocol, Transport};

/// A connection, or what is known of one that could be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The address at the other end.
    pub address: Option<IpAddr>,
    /// The name that was called, as [`super::is_domain_name`] wants it.
    pub name: Option<&'a str>,
    /// The names that this one is an alias of, as it was answered (CNAME, RFC 1034, 3.6.2).
    pub alias_of: &'a [&'a str],
    /// Its IP protocol.
    pub protocol: Option<Protocol>,
    /// The port that is called.
    pub port: Port,
    /// Whose the local socket is.
    pub user: User,
    /// The number of the interface that leads to the other end, where it is known.
    pub interface: Option<u32>,
}

/// What is known of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// There is none.
    #[default]
    Absent,
    /// This one.
    Is(u16),
    /// The header that has it was cut off.
    Unseen,
}

impl From<&Flow> for Subject<'_> {
    fn from(flow: &Flow) -> Self {
        let port = match flow.transport {
            Transport::Ports { responder, .. } => Port::Is(responder),
            Transport::Icmp { .. } | Transport::Portless => Port::Absent,
            Transport::Truncated => Port::Unseen,
        };
        Self {
            address: Some(flow.remote().to_canonical()),
            name: None,
            alias_of: &[],
            protocol: Some(flow.protocol),
            port,
            user: match flow.direction {
                Direction::Forwarded => User::Nobody,
                Direction::Outbound | Direction::Inbound => User::Unknown,
            },
            interface: None,
        }
    }
}
