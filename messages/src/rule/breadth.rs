//! How much of an address and a port the rules of a list look at: what they
//! don't look at may differ without another verdict.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Rule;
use super::entity::Entity;
use crate::scope::Scope;
use crate::verdict::Breadth;

/// For addresses of the LAN and of the Internet that one host has.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByScope {
    lan: Breadth,
    internet: Breadth,
}

/// Which of the two a rule may speak of.
#[derive(Clone, Copy)]
struct Touches {
    lan: bool,
    internet: bool,
}

const BOTH: Touches = Touches { lan: true, internet: true };

/// What rules count as LAN, multicast aside: see [`Scope`].
const LAN: [IpNet; 7] = [
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v6(0xfc00, 7),
    v6(0xfe80, 10),
];

impl Default for ByScope {
    fn default() -> Self {
        Self { lan: Breadth::Scope, internet: Breadth::Scope }
    }
}

impl ByScope {
    /// What all of these rules leave.
    pub(super) fn of_all(rules: &[Rule]) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let (touches, breadth) = (touches(&rule.entity), breadth(rule));
            if touches.lan {
                all.lan = all.lan.min(breadth);
            }
            if touches.internet {
                all.internet = all.internet.min(breadth);
            }
        }
        all
    }

    /// Multicast and the like have rules of their own beside these.
    pub(super) fn of(self, scope: Scope) -> Breadth {
        match scope {
            Scope::SiteLocal => self.lan,
            Scope::Global => self.internet,
            _ => Breadth::Service,
        }
    }
}

fn breadth(rule: &Rule) -> Breadth {
    match rule.entity {
        Entity::Any | Entity::Scopes(_) => {
            match rule.service.is_some_and(|service| service.ports.is_some()) {
                true => Breadth::Port,
                false => Breadth::Scope,
            }
        }
        _ => Breadth::Service,
    }
}

fn touches(entity: &Entity) -> Touches {
    match entity {
        Entity::Any | Entity::Domain(_) | Entity::FilterLists(_) => BOTH,
        Entity::Scopes(set) => Touches { lan: set.lan, internet: set.internet },
        Entity::Address(address) => {
            let scope = Scope::of(*address);
            Touches { lan: scope.is_lan(), internet: scope.is_internet() }
        }
        Entity::Network(network) if LAN.iter().any(|lan| lan.contains(network)) => {
            Touches { lan: true, internet: false }
        }
        Entity::Network(network) => {
            Touches { lan: LAN.iter().any(|lan| network.contains(lan)), internet: true }
        }
        Entity::Country(_) | Entity::Continent(_) | Entity::AutonomousSystem(_) => {
            Touches { lan: false, internet: true }
        }
    }
}

const fn v4([a, b, c, d]: [u8; 4], prefix_len: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len))
}

const fn v6(first: u16, prefix_len: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), prefix_len))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Permission, ScopeSet, Service, When};
    use super::*;

    fn rule(entity: Entity, ports: Option<(u16, u16)>) -> Rule {
        let service = ports.map(|ports| Service { protocol: None, ports: Some(ports) });
        Rule {
            permission: Permission::Deny,
            entity,
            service,
            when: When::default(),
            only: None,
            is_active: true,
            text: Arc::from("a rule"),
        }
    }

    fn network(text: &str) -> Entity {
        Entity::Network(text.parse().expect("a network"))
    }

    #[test]
    fn rules_leave_what_they_do_not_look_at() {
        use Breadth::{Port, Scope, Service};
        let lan = ScopeSet { lan: true, ..ScopeSet::default() };
        let cases = [
            (Entity::Any, None, Scope, Scope),
            (Entity::Any, Some((25, 25)), Port, Port),
            (Entity::Scopes(lan), Some((1, 9)), Port, Scope),
            (Entity::Address([10, 0, 0, 1].into()), None, Service, Scope),
            (Entity::Address([9, 9, 9, 9].into()), None, Scope, Service),
            (Entity::Address([127, 0, 0, 1].into()), None, Scope, Scope),
            (network("10.1.0.0/16"), None, Service, Scope),
            (network("9.0.0.0/8"), None, Scope, Service),
            (network("100.0.0.0/8"), None, Service, Service),
            (network("0.0.0.0/0"), None, Service, Service),
            (network("fd00::/8"), None, Service, Scope),
            (network("2000::/3"), None, Scope, Service),
            (network("::/0"), None, Service, Service),
            (Entity::AutonomousSystem(1), None, Scope, Service),
        ];
        for (entity, ports, lan, internet) in cases {
            let all = ByScope::of_all(&[rule(entity.clone(), ports), rule(Entity::Any, None)]);
            assert_eq!((all.lan, all.internet), (lan, internet), "{entity:?} {ports:?}");
        }
    }
}
