//! What the steps look at.

use std::sync::Arc;

use seawall_messages::policy::{AppFilter, AppLayers, Filter};
use seawall_messages::rule::{Permission, Rules, Subject, User};
use seawall_messages::{Direction, Flow, Layer, Reason, Scope, Snapshot, Whose};

use super::{Said, Seen};

/// A connection, and what is said of it.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) flow: &'a Flow,
    pub(crate) app: AppLayers<'a>,
    pub(crate) user: User,
    pub(crate) interface: Option<u32>,
    pub(crate) is_loopback: bool,
}

/// Whose setting it is; neither: it is for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SettingOf<'a> {
    pub(crate) app: Option<&'a Arc<str>>,
    pub(crate) whose: Whose,
    pub(crate) network: Option<&'a Arc<str>>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, flow: &'a Flow, app: AppLayers<'a>) -> Self {
        let user = Subject::from(flow).user;
        Self { snapshot, flow, app, user, interface: None, is_loopback: is_loopback(flow) }
    }

    /// The same, with what was seen of it. Without a user, what others send that has no
    /// ports is the kernel's own.
    pub(crate) fn with(self, seen: Seen) -> Self {
        let is_kernels =
            self.flow.direction == Direction::Inbound && !self.flow.protocol.has_ports();
        let user = match (self.user, seen.uid) {
            (User::Unknown, Some(uid)) => User::Is(uid),
            (User::Unknown, None) if is_kernels => User::Nobody,
            (user, _) => user,
        };
        Self { user, interface: seen.interface, ..self }
    }

    /// What rules look at.
    pub(crate) fn subject(&self) -> Subject<'static> {
        Subject { user: self.user, interface: self.interface, ..Subject::from(self.flow) }
    }

    /// Whether what its rules say depends on whose it is, or on which way it goes.
    pub(crate) fn looks_beyond_addresses(&self) -> bool {
        let looks = |incoming: &Rules, outgoing: &Rules| {
            let rules = match self.flow.direction {
                Direction::Inbound => incoming,
                Direction::Outbound | Direction::Forwarded => outgoing,
            };
            rules.looks_at_users() || rules.looks_at_interfaces()
        };
        let all = &self.snapshot.filter;
        let mut of_apps = self.app.iter().map(|(_, app)| &app.filter);
        looks(&all.incoming_rules, &all.outgoing_rules)
            || of_apps.any(|own| looks(&own.incoming_rules, &own.outgoing_rules))
    }

    /// The app's own setting, or else that of the network, or else the one for all; and whose it is.
    pub(crate) fn setting<T>(
        &self,
        own: impl Fn(&AppFilter) -> Option<T>,
        all: impl Fn(&Filter) -> T,
    ) -> (T, SettingOf<'a>) {
        let of_app =
            self.app.iter().find_map(|(whose, app)| Some((own(&app.filter)?, whose, &app.name)));
        if let Some((setting, whose, name)) = of_app {
            return (setting, SettingOf { app: Some(name), whose, network: None });
        }
        if let Some(network) = self.snapshot.network()
            && let Some(setting) = own(&network.filter)
        {
            let network = Some(&network.name);
            return (setting, SettingOf { network, ..SettingOf::default() });
        }
        (all(&self.snapshot.filter), SettingOf::default())
    }

    /// Whether an Internet address is at the other end; of a forwarded connection, at either.
    pub(crate) fn is_internet(&self) -> bool {
        Scope::of(self.flow.remote()).is_internet()
            || self.flow.direction == Direction::Forwarded
                && Scope::of(self.flow.initiator).is_internet()
    }

    /// What a switch denies that is on.
    pub(super) fn block(
        &self,
        own: impl Fn(&AppFilter) -> Option<bool>,
        all: impl Fn(&Filter) -> bool,
        layer: Layer,
        text: &'static str,
    ) -> Option<Said> {
        let (is_on, of) = self.setting(own, all);
        is_on.then(|| (Permission::Deny, of.reason(layer, text)))
    }
}

impl SettingOf<'_> {
    pub(super) fn reason(self, layer: Layer, text: &'static str) -> Reason {
        let (app, network) = (self.app.cloned(), self.network.cloned());
        Reason { app, whose: self.whose, network, ..Reason::plain(layer, text) }
    }
}

/// Loopback addresses, or one address at both ends, whichever it is.
fn is_loopback(flow: &Flow) -> bool {
    flow.direction != Direction::Forwarded
        && (Scope::of(flow.remote()).is_localhost()
            || flow.initiator.to_canonical() == flow.responder.to_canonical())
}
