//! One line of a policy: who or what it speaks of, and whether that is permitted.
//!
//! Parsing and printing live with the policy; these are the parsed forms, which
//! `verdict` compares and `api` shows.

mod breadth;
mod domain;
mod entity;
mod list;
mod only;
mod place;
mod service;
mod subject;
mod when;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::domain::{
    DomainForm, DomainPattern, domain_name, is_domain_name, is_in_zone, registered_zone,
    written_name, zones_of,
};
pub use self::entity::{Entity, ScopeSet};
pub use self::list::Rules;
pub use self::only::{InNetwork, InterfaceMatch, Only, Present, User, UserMatch};
pub use self::place::{Continent, Country, NoCountry};
pub use self::service::Service;
pub use self::subject::{Port, Subject};
pub use self::when::{Boot, DAY_MINUTES, End, Moment, Run, Weekly, When};

/// What a matching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// `+`
    Permit,
    /// `-`
    Deny,
    /// `?`: the user is asked.
    Ask,
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
    /// When it counts.
    pub when: When,
    /// Where else, and of whom it speaks; `None`: everywhere, and of all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub only: Option<Arc<Only>>,
    /// Whether it counts now.
    pub is_active: bool,
    /// The rule in canonical form, shared by every reason that names it.
    pub text: Arc<str>,
}

/// Whether a rule speaks of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It does.
    Yes,
    /// It doesn't.
    No,
    /// Nobody can say without that. Such a rule decides nothing.
    Lacks(Data),
}

/// What a rule may need to know beyond addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// The name that was called.
    Names,
    /// In which country an address is, and whose network it is in.
    Geography,
    /// Which filter lists something is on.
    FilterLists,
    /// The number of a user who is named.
    Users,
}

impl Data {
    /// What is missing, as told to people.
    pub fn missing(self) -> &'static str {
        match self {
            Self::Names => "the names of connections, which aren't known yet",
            Self::Geography => "geographic data, which isn't there yet",
            Self::FilterLists => "filter lists, which aren't there yet",
            Self::Users => "a user of that name, whom this machine doesn't have",
        }
    }
}

impl Rule {
    /// Whether the rule speaks of it. Where a header is cut off, a rule that
    /// denies or asks gets the benefit of the doubt, one that permits doesn't; so, too,
    /// where nobody knows which user a connection is of, or which way it goes. A rule
    /// that permits a name doesn't permit the names that it is an alias of.
    pub fn judge(&self, subject: &Subject<'_>) -> Match {
        if !self.is_active {
            return Match::No;
        }
        let in_doubt = self.permission != Permission::Permit;
        // Numbers before addresses: what is cheap to compare decides most rules.
        let serves = self.service.is_none_or(|service| match self.permission {
            Permission::Permit => service.covers(subject),
            Permission::Deny | Permission::Ask => service.may_cover(subject),
        });
        let is_theirs = self
            .only
            .as_ref()
            .is_none_or(|only| only.covers(subject.user, subject.interface, in_doubt));
        if !serves || !is_theirs {
            return Match::No;
        }
        self.entity.judge(subject, in_doubt)
    }

    /// The rule as it is at present.
    pub fn at(&self, present: &Present) -> Self {
        let only = self.only.as_ref();
        let is_active = self.when.holds(present.moment, &present.runs)
            && only.is_none_or(|only| only.holds(present));
        let only = only.map(|only| Arc::new(only.resolved(present)));
        Self { is_active, only, ..self.clone() }
    }

    /// What it needs that isn't there, so that it decides nothing.
    pub fn lacks(&self) -> Option<Data> {
        let user = self.only.as_ref().and_then(|only| only.user.as_ref());
        let lacks_user = user.is_some_and(|user| user.id.is_none());
        self.entity.lacks().or_else(|| lacks_user.then_some(Data::Users))
    }

    /// Why it doesn't count although it could, for people.
    pub fn why_not(&self) -> String {
        let network = self.only.as_ref().and_then(|only| only.network.as_ref());
        match network {
            Some(InNetwork { name, inside }) if self.when.is_empty() => {
                let word = if *inside { "not " } else { "" };
                format!("this machine is {word}in the network {name}")
            }
            _ => self.when.why_not().to_owned(),
        }
    }

    /// Whether it counts in that network, or elsewhere, only.
    pub fn names_network(&self, name: &str) -> bool {
        let network = self.only.as_ref().and_then(|only| only.network.as_ref());
        network.is_some_and(|network| *network.name == *name)
    }

    /// Whether what it says depends on the interface.
    pub fn looks_at_interfaces(&self) -> bool {
        self.only.as_ref().is_some_and(|only| only.interface.is_some())
    }

    /// Whether what it says depends on whose a connection is.
    pub fn looks_at_users(&self) -> bool {
        self.only.as_ref().is_some_and(|only| only.user.is_some())
    }

    /// Whether the rule certainly speaks of it.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.judge(subject) == Match::Yes
    }
}
