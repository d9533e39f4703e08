//! One line of a policy: who or what it speaks of, and whether that is permitted.
//!
//! Parsing and printing live with the policy; these are the parsed forms, which
//! `verdict` compares and `api` shows. The forms that need names, filter lists
//! or geographic data come with those parts: a new variant of [`Entity`].

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::flow::{Flow, Protocol, Transport};
use crate::scope::Scope;

/// What a matching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// `+`
    Permit,
    /// `-`
    Deny,
}

/// Whom a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entity {
    /// `*`: everyone.
    Any,
    /// One address.
    Address(IpAddr),
    /// A network in CIDR form, host bits cleared.
    Network(IpNet),
    /// Any of the scopes that are set.
    Scopes(ScopeSet),
}

/// The scopes that a rule names, of the three that rules know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeSet {
    /// This machine.
    pub localhost: bool,
    /// Link-local, private and near multicast addresses.
    pub lan: bool,
    /// All other valid addresses.
    pub internet: bool,
}

/// Which protocol and ports a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `None` stands for `*`: any protocol that has ports.
    pub protocol: Option<Protocol>,
    /// First and last destination port, both included. `None`: any, or none at all.
    pub ports: Option<(u16, u16)>,
}

/// A parsed rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it says when it matches.
    pub permission: Permission,
    /// Whom it speaks of.
    pub entity: Entity,
    /// Which protocol and ports; `None` for all.
    pub service: Option<Service>,
    /// The rule in canonical form, shared by every reason that names it.
    pub text: Arc<str>,
}

impl Entity {
    /// Whether the entity is or contains `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Any => true,
            Self::Address(own) => *own == address,
            Self::Network(network) => is_within(address, network),
            Self::Scopes(set) => {
                let scope = Scope::of(address);
                (set.localhost && scope.is_localhost())
                    || (set.lan && scope.is_lan())
                    || (set.internet && scope.is_internet())
            }
        }
    }

    /// Whether the entity is about loopback addresses and nothing else, or
    /// names the scope. `*` and networks that merely include them don't count:
    /// denying those never cuts a machine off from itself.
    pub fn names_loopback(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Address(address) => address.is_loopback(),
            Self::Network(network) => network.addr().is_loopback(),
            Self::Scopes(set) => set.localhost,
        }
    }
}

impl Service {
    /// Whether the flow certainly uses this service. A flow whose ports are
    /// unknown or that has none never matches a service with ports.
    pub fn covers(&self, flow: &Flow) -> bool {
        if self.protocol.is_some_and(|protocol| protocol != flow.protocol) {
            return false;
        }
        match self.ports {
            None => true,
            Some((first, last)) => {
                flow.destination_port().is_some_and(|port| (first..=last).contains(&port))
            }
        }
    }

    /// Whether the flow uses this service as far as one can see: as
    /// [`Self::covers`], and also where its header is cut off so that what the
    /// service asks for is unknown. A protocol without ports has none to hide.
    pub fn may_cover(&self, flow: &Flow) -> bool {
        if flow.transport != Transport::Truncated {
            return self.covers(flow);
        }
        is_extension_header(flow.protocol)
            || match self.protocol {
                Some(protocol) => protocol == flow.protocol,
                None => flow.protocol.has_ports(),
            }
    }
}

impl Rule {
    /// Whether the rule speaks of this flow. Where the flow's header is cut off,
    /// a rule that denies gets the benefit of the doubt, one that permits doesn't.
    pub fn matches(&self, flow: &Flow) -> bool {
        // Numbers before addresses: what is cheap to compare decides most rules.
        self.service.is_none_or(|service| match self.permission {
            Permission::Permit => service.covers(flow),
            Permission::Deny => service.may_cover(flow),
        }) && self.entity.contains(flow.remote())
    }
}

/// Whether the address begins with the bits of the network. As `IpNet::contains`,
/// which works out both ends of the network, but cheaper: this runs for every rule.
fn is_within(address: IpAddr, network: &IpNet) -> bool {
    let (same_bits, prefix_len) = match (network, address) {
        (IpNet::V4(network), IpAddr::V4(address)) => {
            let differing = network.addr().to_bits() ^ address.to_bits();
            (differing.leading_zeros(), network.prefix_len())
        }
        (IpNet::V6(network), IpAddr::V6(address)) => {
            let differing = network.addr().to_bits() ^ address.to_bits();
            (differing.leading_zeros(), network.prefix_len())
        }
        _ => return false,
    };
    same_bits >= u32::from(prefix_len)
}

/// Whether the number names an IPv6 extension header (IANA "IPv6 Extension
/// Header Types"): the header chain was cut off there, so that the protocol
/// behind it is unknown.
fn is_extension_header(protocol: Protocol) -> bool {
    matches!(protocol.0, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}
