//! Whom a rule speaks of.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::domain::DomainPattern;
use super::place::{Continent, Country};
use super::subject::Subject;
use super::{Data, Match};
use crate::scope::Scope;

/// An address, a name, or many of them.
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
    /// Names.
    Domain(DomainPattern),
    /// Addresses on the Internet in a country.
    Country(Country),
    /// Addresses on the Internet in a continent.
    Continent(Continent),
    /// Addresses on the Internet of an autonomous system, by its number (RFC 6793).
    AutonomousSystem(u32),
    /// What is on any of these filter lists.
    FilterLists(Arc<[Arc<str>]>),
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

impl Entity {
    /// Whether it is meant. `by_alias`: a name is also meant by what it is an alias of.
    pub(super) fn judge(&self, subject: &Subject<'_>, by_alias: bool) -> Match {
        let by_address =
            |fits: &dyn Fn(IpAddr) -> bool| yes_or_no(subject.address.is_some_and(fits));
        match self {
            Self::Any => Match::Yes,
            Self::Address(own) => by_address(&|address| *own == address),
            Self::Network(network) => by_address(&|address| is_within(address, network)),
            Self::Scopes(set) => by_address(&|address| set.contains(Scope::of(address))),
            Self::Domain(pattern) => match subject.name {
                Some(name) => yes_or_no(
                    pattern.fits(name)
                        || by_alias && subject.alias_of.iter().any(|name| pattern.fits(name)),
                ),
                None => Match::Lacks(Data::Names),
            },
            Self::Country(_) | Self::Continent(_) | Self::AutonomousSystem(_) => {
                match subject.address.is_some_and(|address| Scope::of(address) == Scope::Global) {
                    true => Match::Lacks(Data::Geography),
                    false => Match::No,
                }
            }
            Self::FilterLists(_) => Match::Lacks(Data::FilterLists),
        }
    }

    /// Whether the entity is or contains `address`, whatever its name and place.
    pub fn contains(&self, address: IpAddr) -> bool {
        let subject = Subject { address: Some(address.to_canonical()), ..Subject::default() };
        self.judge(&subject, false) == Match::Yes
    }

    /// Whether the entity is about loopback addresses and nothing else, or
    /// names the scope. `*` and networks that merely include them don't count:
    /// denying those never cuts a machine off from itself.
    pub fn names_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Network(network) => network.addr().is_loopback(),
            Self::Scopes(set) => set.localhost,
            _ => false,
        }
    }

    /// What it needs that isn't there, so that rules about it decide nothing.
    pub fn lacks(&self) -> Option<Data> {
        match self {
            Self::Any | Self::Address(_) | Self::Network(_) | Self::Scopes(_) => None,
            Self::Domain(_) => Some(Data::Names),
            Self::Country(_) | Self::Continent(_) | Self::AutonomousSystem(_) => {
                Some(Data::Geography)
            }
            Self::FilterLists(_) => Some(Data::FilterLists),
        }
    }
}

impl ScopeSet {
    fn contains(self, scope: Scope) -> bool {
        (self.localhost && scope.is_localhost())
            || (self.lan && scope.is_lan())
            || (self.internet && scope.is_internet())
    }
}

fn yes_or_no(is_meant: bool) -> Match {
    if is_meant { Match::Yes } else { Match::No }
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
