//! Whose connections a rule speaks of, and in which network it counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::when::Moment;

/// What else has to be so for a rule to match. All of it; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// `network=…`: it counts while the machine is in that network, or is not.
    pub network: Option<InNetwork>,
    /// `user=…`: it speaks of the connections of that user alone.
    pub user: Option<UserMatch>,
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
}

/// In no named network, and without users that have names.
impl From<Moment> for Present {
    fn from(moment: Moment) -> Self {
        Self { moment, networks: Vec::new(), users: BTreeMap::new() }
    }
}

impl Only {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the machine is where it has to be.
    pub(super) fn holds(&self, present: &Present) -> bool {
        self.network.as_ref().is_none_or(|network| {
            present.networks.iter().any(|name| *name == network.name) == network.inside
        })
    }

    /// With the numbers of the users that are named.
    pub(super) fn resolved(&self, present: &Present) -> Self {
        let mut resolved = self.clone();
        if let Some(UserMatch { name: Some(name), id }) = &mut resolved.user {
            *id = present.users.get(name).copied();
        }
        resolved
    }

    /// Whether these connections are meant. `in_doubt`: what is said where nobody
    /// knows whose it is.
    pub(super) fn covers(&self, user: User, in_doubt: bool) -> bool {
        let Some(wanted) = &self.user else { return true };
        match (wanted.id, user) {
            // A user whom this machine doesn't know has no connections.
            (None, _) | (_, User::Nobody) => false,
            (Some(_), User::Unknown) => in_doubt,
            (Some(id), User::Is(own)) => id == own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment { unix_seconds: 0, weekday: 0, minute: 0 };

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
            assert_eq!(only.covers(subject, false), certainly, "{only:?} {subject:?}");
            assert_eq!(only.covers(subject, true), in_doubt, "{only:?} {subject:?}");
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
}
