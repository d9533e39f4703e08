//! Whose connections a rule speaks of, through which interface, and in which network it counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::when::{Moment, Run};
use crate::policy::Pattern;

/// What else has to be so for a rule to match. All of it; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// `network=…`: it counts while the machine is in that network, or is not.
    pub network: Option<InNetwork>,
    /// `user=…`: it speaks of the connections of that user alone.
    pub user: Option<UserMatch>,
    /// `interface=…`: it speaks of what goes through such an interface alone.
    pub interface: Option<InterfaceMatch>,
}

/// Whether the machine is in a named network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InNetwork {
    /// The name of a `[[network]]`.
    pub name: Arc<str>,
    /// Whether it has to be, or must not be.
    pub inside: bool,
}

/// The user that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMatch {
    /// The name, where the rule says one.
    pub name: Option<Arc<str>>,
    /// The number. Of a name: as this machine knew it when the policy was published.
    pub id: Option<u32>,
}

/// The interfaces that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceMatch {
    /// A name; a `*` stands for any text.
    pub pattern: Arc<str>,
    /// The numbers of those that fit, in order, when the policy was published.
    pub fitting: Arc<[u32]>,
    /// The numbers of those that don't. One that came since may be either.
    pub others: Arc<[u32]>,
}

/// Whose the local socket of a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// Nobody knows.
    #[default]
    Unknown,
    /// This machine has no socket for it: it is forwarded, or the kernel's own.
    Nobody,
    /// The user with this number.
    Is(u32),
}

/// What is so at a moment, as far as rules look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The moment.
    pub moment: Moment,
    /// The named networks that the machine is in.
    pub networks: Vec<Arc<str>>,
    /// The users of this machine by name, as far as rules name them.
    pub users: BTreeMap<Arc<str>, u32>,
    /// Numbers and names of this machine's interfaces, loopback included.
    pub interfaces: Vec<(u32, Arc<str>)>,
    /// The runs of apps that go on, as far as rules end with them.
    pub runs: Vec<Run>,
}

/// In no named network, without users or interfaces that have names, and no app runs.
impl From<Moment> for Present {
    fn from(moment: Moment) -> Self {
        let (networks, interfaces, runs) = (Vec::new(), Vec::new(), Vec::new());
        Self { moment, networks, users: BTreeMap::new(), interfaces, runs }
    }
}

impl Only {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the machine is where it has to be.
    pub(super) fn holds(&self, present: &Present) -> bool {
        self.network
            .as_ref()
            .is_none_or(|network| present.networks.contains(&network.name) == network.inside)
    }

    /// With the numbers of users and interfaces that are named.
    pub(super) fn resolved(&self, present: &Present) -> Self {
        let mut resolved = self.clone();
        if let Some(UserMatch { name: Some(name), id }) = &mut resolved.user {
            *id = present.users.get(name).copied();
        }
        if let Some(interface) = &mut resolved.interface {
            interface.resolve(&present.interfaces);
        }
        resolved
    }

    /// Whether these connections are meant. `in_doubt`: what is said where nobody
    /// knows whose it is, or which way it goes.
    pub(super) fn covers(&self, user: User, interface: Option<u32>, in_doubt: bool) -> bool {
        let goes_there = self.interface.as_ref().is_none_or(|wanted| {
            interface.and_then(|index| wanted.fits(index)).unwrap_or(in_doubt)
        });
        goes_there && self.covers_user(user, in_doubt)
    }

    fn covers_user(&self, user: User, in_doubt: bool) -> bool {
        let Some(wanted) = &self.user else { return true };
        match (wanted.id, user) {
            // A user whom this machine doesn't know has no connections.
            (None, _) | (_, User::Nobody) => false,
            (Some(_), User::Unknown) => in_doubt,
            (Some(id), User::Is(own)) => id == own,
        }
    }
}

impl InterfaceMatch {
    /// Of interfaces that nobody has looked at yet.
    pub fn new(pattern: &str) -> Self {
        Self { pattern: Arc::from(pattern), fitting: Arc::from([]), others: Arc::from([]) }
    }

    fn resolve(&mut self, interfaces: &[(u32, Arc<str>)]) {
        let pattern = Pattern::new(&self.pattern);
        let (mut fitting, mut others) = (Vec::new(), Vec::new());
        for (index, name) in interfaces {
            let list = if pattern.fits(name) { &mut fitting } else { &mut others };
            list.push(*index);
        }
        fitting.sort_unstable();
        others.sort_unstable();
        (self.fitting, self.others) = (fitting.into(), others.into());
    }

    /// Whether the interface of that number is meant; `None`: nobody knows it yet.
    fn fits(&self, index: u32) -> Option<bool> {
        if self.fitting.binary_search(&index).is_ok() {
            return Some(true);
        }
        self.others.binary_search(&index).is_ok().then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment { unix_seconds: 0, weekday: 0, minute: 0, boot: None };

    fn in_network(name: &str, inside: bool) -> Only {
        let network = Some(InNetwork { name: Arc::from(name), inside });
        Only { network, ..Only::default() }
    }

    #[test]
    fn a_network_has_to_be_there_or_must_not_be() {
        let at_home = Present { networks: vec![Arc::from("home")], ..Present::from(MOMENT) };
        let nowhere = Present::from(MOMENT);
        let cases = [
            (in_network("home", true), &at_home, true),
            (in_network("home", false), &at_home, false),
            (in_network("office", true), &at_home, false),
            (in_network("office", false), &at_home, true),
            (in_network("home", true), &nowhere, false),
            (in_network("home", false), &nowhere, true),
            (Only::default(), &nowhere, true),
        ];
        for (only, present, expected) in cases {
            assert_eq!(only.holds(present), expected, "{only:?}");
        }
    }

    #[test]
    fn a_user_is_meant_by_number_and_in_doubt_where_nobody_knows() {
        let user = |id| Only { user: Some(UserMatch { name: None, id }), ..Only::default() };
        let cases = [
            (Only::default(), User::Unknown, true, true),
            (user(Some(7)), User::Is(7), true, true),
            (user(Some(7)), User::Is(8), false, false),
            (user(Some(7)), User::Nobody, false, false),
            (user(Some(7)), User::Unknown, false, true),
            (user(None), User::Unknown, false, false),
            (user(None), User::Is(7), false, false),
        ];
        for (only, subject, certainly, in_doubt) in cases {
            assert_eq!(only.covers(subject, None, false), certainly, "{only:?} {subject:?}");
            assert_eq!(only.covers(subject, None, true), in_doubt, "{only:?} {subject:?}");
        }
    }

    #[test]
    fn names_become_numbers_and_lose_them_again() {
        let name = Some(Arc::from("alice"));
        let alice = Only { user: Some(UserMatch { name, id: Some(1) }), ..Only::default() };
        let users = BTreeMap::from([(Arc::from("alice"), 1000)]);
        let id = |present: &Present| alice.resolved(present).user.and_then(|user| user.id);
        assert_eq!(id(&Present { users, ..Present::from(MOMENT) }), Some(1000));
        assert_eq!(id(&Present::from(MOMENT)), None);
    }

    #[test]
    fn an_interface_is_meant_by_its_name_and_in_doubt_where_nobody_knows_it_yet() {
        let interface = Some(InterfaceMatch::new("tun*"));
        let unseen = Only { interface, ..Only::default() };
        let named = |index, name: &str| (index, Arc::from(name));
        let interfaces = vec![named(9, "tun1"), named(2, "eth0"), named(7, "tun0")];
        let seen = unseen.resolved(&Present { interfaces, ..Present::from(MOMENT) });
        // The rules, the interface; what is certain, and what is said in doubt.
        let cases = [
            (&seen, Some(7), true, true),
            (&seen, Some(9), true, true),
            (&seen, Some(2), false, false),
            (&seen, Some(11), false, true),
            (&seen, None, false, true),
            (&unseen, Some(7), false, true),
        ];
        for (only, interface, certainly, in_doubt) in cases {
            assert_eq!(only.covers(User::Nobody, interface, false), certainly, "{interface:?}");
            assert_eq!(only.covers(User::Nobody, interface, true), in_doubt, "{interface:?}");
        }
    }
}
