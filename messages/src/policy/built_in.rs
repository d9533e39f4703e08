//! The profiles that come with Seawall, as `verdict` looks at them.

use super::{AppPolicy, DefaultAction, Profiles, Snapshot};
use crate::flow::{Direction, Flow};
use crate::rule::{Rules, Subject};

/// Those that are switched on. They permit outbound connections and deny nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuiltIns {
    pub(super) profiles: Profiles,
    /// Whatever is permitted to any of them.
    permits: Rules,
}

impl BuiltIns {
    /// Whether none is switched on.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }
}

impl From<Vec<AppPolicy>> for BuiltIns {
    fn from(all: Vec<AppPolicy>) -> Self {
        let mut permits = Vec::new();
        for rule in all.iter().flat_map(|app| app.filter.outgoing_rules.iter()) {
            if !permits.contains(rule) {
                permits.push(rule.clone());
            }
        }
        Self { profiles: Profiles::from(all), permits: Rules::from(permits) }
    }
}

impl Snapshot {
    /// Whether the profiles that come with Seawall may permit anything: only what `default_action`
    /// for all would not. Where a network says what it is, that is meant.
    pub fn built_in_counts(&self) -> bool {
        let by_network = self.network().and_then(|network| network.filter.default_action);
        !self.built_in.is_empty()
            && by_network.is_none()
            && self.filter.default_action != DefaultAction::Permit
    }

    /// Whether one of them may permit this connection, whosever it is.
    pub fn built_in_may_permit(&self, flow: &Flow) -> bool {
        flow.direction == Direction::Outbound
            && self.built_in_counts()
            && self.built_in.permits.first_match(&Subject::from(flow), |_| true).is_some()
    }
}
