//! A list of rules, of which the first that matches decides.
//!
//! Long lists have an index, so that what a decision costs hardly depends on
//! their length: each rule lies where the most telling thing that it asks for
//! leads to it, and only those places are looked at that the connection leads to.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use super::domain::{DomainForm, zones_of};
use super::entity::Entity;
use super::only::Present;
use super::subject::{Port, Subject};
use super::{Permission, Rule, breadth};
use crate::scope::Scope;
use crate::verdict::Breadth;

/// Longest list that is gone through without an index: that takes no longer.
const SHORT: usize = 24;

/// See the module.
#[derive(Clone, Default)]
pub struct Rules {
    rules: Arc<[Rule]>,
    index: Option<Arc<Index>>,
    breadth: breadth::ByScope,
    asks: bool,
    looks_at_users: bool,
    looks_at_interfaces: bool,
}

/// Positions of rules, each list in order.
#[derive(Default)]
struct Index {
    addresses: HashMap<IpAddr, Vec<u32>>,
    networks: Vec<Networks>,
    names: HashMap<Arc<str>, Vec<u32>>,
    /// Names by a part of them: each is compared.
    patterns: Vec<u32>,
    /// Everyone, or a scope, at a single port.
    ports: HashMap<u16, Vec<u32>>,
    /// Everyone, or a scope, otherwise: each is compared.
    wide: Vec<u32>,
}

/// The networks of one family and size.
struct Networks {
    is_v4: bool,
    prefix_len: u8,
    /// By their first bits.
    by_bits: HashMap<u128, Vec<u32>>,
}

/// The best position so far.
struct Search<'a, F> {
    rules: &'a [Rule],
    subject: &'a Subject<'a>,
    applies: F,
    best: u32,
}

impl Rules {
    /// The list as it is at present.
    pub fn at(&self, present: &Present) -> Self {
        // Most lists stay what they are.
        if self.stays(present) {
            return self.clone();
        }
        self.iter().map(|rule| rule.at(present)).collect()
    }

    /// Whether the list is at present what it is.
    pub fn stays(&self, present: &Present) -> bool {
        self.iter().all(|rule| match rule.only {
            None => rule.when.holds(present.moment, &present.runs) == rule.is_active,
            Some(_) => rule.at(present) == *rule,
        })
    }

    /// Whether what it says may depend on which user a connection is of.
    pub fn looks_at_users(&self) -> bool {
        self.looks_at_users
    }

    /// The first rule that matches and applies, and its position, counted from 1.
    pub fn first_match(
        &self,
        subject: &Subject<'_>,
        applies: impl Fn(&Rule) -> bool,
    ) -> Option<(u32, &Rule)> {
        match &self.index {
            // Which ports a header had that was cut off is not known: all may be meant.
            Some(index) if subject.port != Port::Unseen => {
                let mut search = Search { rules: &self.rules, subject, applies, best: u32::MAX };
                index.search(&mut search);
                let rule = self.rules.get(usize::try_from(search.best).ok()?)?;
                Some((search.best + 1, rule))
            }
            _ => (1..).zip(&*self.rules).find(|(_, rule)| rule.matches(subject) && applies(rule)),
        }
    }

    /// Whether one of its rules, whenever it counts, has the user asked.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Whether what it says may depend on the interface.
    pub fn looks_at_interfaces(&self) -> bool {
        self.looks_at_interfaces
    }

    /// How far what this list says of an address of that scope holds for others.
    pub fn breadth(&self, scope: Scope) -> Breadth {
        self.breadth.of(scope)
    }
}

impl Index {
    fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (position, rule) in (0..).zip(rules) {
            index.enter(position, rule);
        }
        // The widest last: what is found before may spare looking there.
        index.networks.sort_by_key(|networks| std::cmp::Reverse(networks.prefix_len));
        index
    }

    fn enter(&mut self, position: u32, rule: &Rule) {
        match &rule.entity {
            Entity::Address(address) => note(&mut self.addresses, *address, position),
            Entity::Network(network) => self.enter_network(position, network),
            Entity::Domain(pattern) => match pattern.form {
                DomainForm::Exact | DomainForm::Zone => {
                    note(&mut self.names, Arc::clone(&pattern.text), position);
                }
                DomainForm::Suffix | DomainForm::Prefix | DomainForm::Contains => {
                    self.patterns.push(position);
                }
            },
            Entity::Any | Entity::Scopes(_) => {
                match rule.service.and_then(|service| service.ports) {
                    Some((first, last)) if first == last => {
                        note(&mut self.ports, first, position);
                    }
                    _ => self.wide.push(position),
                }
            }
            // They decide nothing yet.
            Entity::Country(_)
            | Entity::Continent(_)
            | Entity::AutonomousSystem(_)
            | Entity::FilterLists(_) => {}
        }
    }

    fn enter_network(&mut self, position: u32, network: &IpNet) {
        let (is_v4, prefix_len) = (network.addr().is_ipv4(), network.prefix_len());
        let same = |known: &Networks| known.is_v4 == is_v4 && known.prefix_len == prefix_len;
        let place = self.networks.iter().position(same).unwrap_or_else(|| {
            self.networks.push(Networks { is_v4, prefix_len, by_bits: HashMap::new() });
            self.networks.len() - 1
        });
        note(&mut self.networks[place].by_bits, first_bits(network.addr(), prefix_len), position);
    }

    fn search<F: Fn(&Rule) -> bool>(&self, search: &mut Search<'_, F>) {
        let subject = search.subject;
        search.among(&self.wide);
        if let Port::Is(port) = subject.port {
            search.among(found(&self.ports, &port));
        }
        if let Some(address) = subject.address {
            search.among(found(&self.addresses, &address));
            for networks in self.networks.iter().filter(|it| it.is_v4 == address.is_ipv4()) {
                search.among(found(&networks.by_bits, &first_bits(address, networks.prefix_len)));
            }
        }
        for name in subject.name.iter().chain(subject.alias_of) {
            for zone in zones_of(name) {
                search.among(found(&self.names, zone));
            }
        }
        if subject.name.is_some() {
            search.among(&self.patterns);
        }
    }
}

impl<F: Fn(&Rule) -> bool> Search<'_, F> {
    /// Looks for a better one among rules in order.
    fn among(&mut self, positions: &[u32]) {
        for &position in positions {
            if position >= self.best {
                return;
            }
            let rule = usize::try_from(position).ok().and_then(|position| self.rules.get(position));
            if rule.is_some_and(|rule| rule.matches(self.subject) && (self.applies)(rule)) {
                self.best = position;
                return;
            }
        }
    }
}

fn note<K: Eq + Hash>(places: &mut HashMap<K, Vec<u32>>, key: K, position: u32) {
    places.entry(key).or_default().push(position);
}

fn found<'a, K, Q>(places: &'a HashMap<K, Vec<u32>>, key: &Q) -> &'a [u32]
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    // Most lists have nothing in most places.
    if places.is_empty() {
        return &[];
    }
    places.get(key).map_or(&[], Vec::as_slice)
}

/// The first bits of an address, as a number; of the same family and length only
/// may they be compared.
fn first_bits(address: IpAddr, prefix_len: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(width - u32::from(prefix_len)).unwrap_or(0)
}

impl From<Vec<Rule>> for Rules {
    fn from(rules: Vec<Rule>) -> Self {
        let index = (rules.len() > SHORT).then(|| Arc::new(Index::new(&rules)));
        let breadth = breadth::ByScope::of_all(&rules);
        let asks = rules.iter().any(|rule| rule.permission == Permission::Ask);
        let looks_at_users = rules.iter().any(Rule::looks_at_users);
        let looks_at_interfaces = rules.iter().any(Rule::looks_at_interfaces);
        Self { rules: rules.into(), index, breadth, asks, looks_at_users, looks_at_interfaces }
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self::from(rules.into_iter().collect::<Vec<_>>())
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.rules
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.rules.iter()
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Rules {}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&*self.rules).finish()
    }
}
