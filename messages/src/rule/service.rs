//! Which protocol and ports a rule speaks of.

use serde::{Deserialize, Serialize};

use super::subject::{Port, Subject};
use crate::flow::Protocol;

/// A protocol, and ports of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `None` stands for `*`: any protocol that has ports.
    pub protocol: Option<Protocol>,
    /// First and last destination port, both included. `None`: any, or none at all.
    pub ports: Option<(u16, u16)>,
}

impl Service {
    /// Whether it certainly uses this service. What has no port, or one that is
    /// unknown, never matches a service with ports.
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        if self.protocol.is_some() && self.protocol != subject.protocol {
            return false;
        }
        match (self.ports, subject.port) {
            (None, _) => true,
            (Some((first, last)), Port::Is(port)) => (first..=last).contains(&port),
            (Some(_), Port::Absent | Port::Unseen) => false,
        }
    }

    /// Whether it uses this service as far as one can see: as [`Self::covers`],
    /// and also where its header is cut off so that what the service asks for is
    /// unknown. A protocol without ports has none to hide.
    pub fn may_cover(&self, subject: &Subject<'_>) -> bool {
        let (Port::Unseen, Some(protocol)) = (subject.port, subject.protocol) else {
            return self.covers(subject);
        };
        is_extension_header(protocol)
            || match self.protocol {
                Some(own) => own == protocol,
                None => protocol.has_ports(),
            }
    }
}

/// Whether the number names an IPv6 extension header (IANA "IPv6 Extension
/// Header Types"): the header chain was cut off there, so that the protocol
/// behind it is unknown.
fn is_extension_header(protocol: Protocol) -> bool {
    matches!(protocol.0, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}
