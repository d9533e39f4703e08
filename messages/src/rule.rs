//! One line of a policy: who or what it speaks of, and whether that is permitted.
//!
//! Parsing and printing live with the policy; these are the parsed forms, which
//! `verdict` compares and `api` shows.

mod breadth;
mod domain;
mod entity;
mod list;
mod place;
mod service;
mod subject;
mod when;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::domain::{DomainForm, DomainPattern, domain_name, is_domain_name, zones_of};
pub use self::entity::{Entity, ScopeSet};
pub use self::list::Rules;
pub use self::place::{Continent, Country, NoCountry};
pub use self::service::Service;
pub use self::subject::{Port, Subject};
pub use self::when::{DAY_MINUTES, Moment, Weekly, When};

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
}

impl Data {
    /// What is missing, as told to people.
    pub fn missing(self) -> &'static str {
        match self {
            Self::Names => "the names of connections, which aren't known yet",
            Self::Geography => "geographic data, which isn't there yet",
            Self::FilterLists => "filter lists, which aren't there yet",
        }
    }
}

impl Rule {
    /// Whether the rule speaks of it. Where a header is cut off, a rule that
    /// denies or asks gets the benefit of the doubt, one that permits doesn't. A rule
    /// that permits a name doesn't permit the names that it is an alias of.
    pub fn judge(&self, subject: &Subject<'_>) -> Match {
        if !self.is_active {
            return Match::No;
        }
        // Numbers before addresses: what is cheap to compare decides most rules.
        let serves = self.service.is_none_or(|service| match self.permission {
            Permission::Permit => service.covers(subject),
            Permission::Deny | Permission::Ask => service.may_cover(subject),
        });
        if !serves {
            return Match::No;
        }
        self.entity.judge(subject, self.permission != Permission::Permit)
    }

    /// The rule as it is at that moment.
    pub fn at(&self, moment: Moment) -> Self {
        Self { is_active: self.when.holds(moment), ..self.clone() }
    }

    /// Whether the rule certainly speaks of it.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.judge(subject) == Match::Yes
    }
}
