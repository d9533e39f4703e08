//! What becomes of a connection: a pure function of the policy, the connection
//! and the app that it belongs to.
//!
//! The first step that speaks decides; [`decide`] and [`traced`] take them from one list:
//!
//! 1. what always passes (`always`),
//! 2. connections that were established when Seawall first started,
//! 3. everything, while Seawall is paused,
//! 4. `block_inbound`, which never means loopback,
//! 5. `block_internet`, `block_lan`, `block_local`, both ways,
//! 6. the rules: incoming ones for inbound connections, outgoing ones for
//!    outbound and forwarded connections; the first that matches,
//! 7. addresses that nobody may talk to are denied,
//! 8. loopback passes,
//! 9. services that were listening when Seawall first started,
//! 10. profiles that come with Seawall, which permit what a machine's own plumbing needs,
//! 11. `default_action`.
//!
//! Where the policy says something of the connection's owner (an `[[app]]` of the
//! file, a profile of the store), each switch and `default_action` is what the
//! section says, or else the profile, or else the one for all; the rules of the
//! section are looked at before those of the profile, and these before those for
//! all of the same direction. The order of steps is the same. Steps 1 to 3 don't depend on the app, so they
//! hold while nobody can tell whose connection it is ([`for_anyone`]).
//!
//! An app that says `use_parent` has what is said of the program that started it behind what is
//! said of itself, and before all else.
//!
//! A profile that comes with Seawall speaks only where nothing is said of the app, and where
//! `default_action` for all is what would come next and doesn't permit.
//!
//! Where the machine is in a named network that says so, each switch and
//! `default_action` is that network's in place of the one for all.
//!
//! A rule by user looks at whose the local socket is. Where that isn't known, it
//! denies in doubt and permits nothing; what is forwarded is nobody's. So does a rule
//! by interface, where nobody knows which one leads to the other end.
//!
//! Force-blocks come before rules, so that a switch a user flips holds whatever
//! the rules say. Loopback is only cut by what names it: `block_local`, or a
//! rule about localhost or a loopback address; `- *` and `default_action` don't.
//!
//! A connection whose header is cut off can't be permitted by a rule that names
//! a port, and is denied by the first rule that might mean it. Nobody is asked
//! about it, for nobody could say what about: what asks denies it.
//!
//! A rule `?` and `default_action = "ask"` decide nothing themselves: the user is
//! asked ([`Decision::Ask`]).
//!
//! A forwarded connection is judged by the side that was called, as if the
//! container behind us were a program; `block_internet` and invalid addresses
//! count on either side, since the caller may be the stranger.

use std::sync::Arc;

use seawall_messages::explain::Step;
use seawall_messages::policy::{
    Adopted, AdoptedEntry, AppFilter, AppLayers, AppPolicy, DefaultAction, Filter,
};
use seawall_messages::rule::{Permission, Rule, Rules, Subject, User};
use seawall_messages::{
    Action, Breadth, Direction, Flow, Judgement, Layer, Lifetime, Reach, Reason, Scope, Snapshot,
    Transport, Whose,
};

use crate::always::always_passes;
use crate::holds::{breadth, lifetime, reach};

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What becomes of the connection.
    Judged(Judgement),
    /// The user is asked. What holds while nobody answers: a denial of that packet.
    Ask(Judgement),
}

/// What a step looks at.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) flow: &'a Flow,
    pub(crate) app: AppLayers<'a>,
    pub(crate) user: User,
    pub(crate) interface: Option<u32>,
    pub(crate) is_loopback: bool,
}

/// What is known of a connection beyond its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// User id of the local socket.
    pub uid: Option<u32>,
    /// The number of the interface that leads to the other end.
    pub interface: Option<u32>,
}

/// Whose setting it is; neither: it is for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SettingOf<'a> {
    pub(crate) app: Option<&'a Arc<str>>,
    pub(crate) whose: Whose,
    pub(crate) network: Option<&'a Arc<str>>,
}

/// What a step says.
type Said = (Permission, Reason);

/// A step: what it says of a connection, if anything.
type Look = fn(&Case<'_>) -> Option<Said>;

/// The steps that don't depend on whose the connection is.
const FOR_ANYONE: [(Step, Look); 3] =
    [(Step::AlwaysPasses, always), (Step::AdoptedSession, adopted_session), (Step::Paused, paused)];

/// All others but the last.
const BY_OWNER: [(Step, Look); 10] = [
    (Step::BlockInbound, block_inbound),
    (Step::BlockInternet, block_internet),
    (Step::BlockLan, block_lan),
    (Step::BlockLocal, block_local),
    (Step::AppRules, app_rules),
    (Step::Rules, rules_for_all),
    (Step::InvalidAddress, invalid_address),
    (Step::Loopback, loopback),
    (Step::AdoptedListener, adopted_listener),
    (Step::BuiltInProfiles, built_in_profile),
];

/// Decides where neither user nor interface is known. `app` is what is said of the
/// connection's owner ([`Snapshot::layers_of`]).
pub fn decide<'a>(
    snapshot: &'a Snapshot,
    flow: &'a Flow,
    app: impl Into<AppLayers<'a>>,
) -> Decision {
    decide_seen(snapshot, flow, app, Seen::default())
}

/// Decides with what was seen of it.
pub fn decide_seen<'a>(
    snapshot: &'a Snapshot,
    flow: &'a Flow,
    app: impl Into<AppLayers<'a>>,
    seen: Seen,
) -> Decision {
    traced(&Case::new(snapshot, flow, app.into()).with(seen), |_, _| ())
}

/// Decides, and shows each step that was taken with what it said.
pub(crate) fn traced(case: &Case<'_>, mut see: impl FnMut(Step, Option<Permission>)) -> Decision {
    let (permission, reason) = first(&FOR_ANYONE, case, &mut see)
        .or_else(|| first(&BY_OWNER, case, &mut see))
        .unwrap_or_else(|| {
            let said = by_default(case);
            see(Step::DefaultAction, Some(said.0));
            said
        });
    let judgement = judgement(case, permission, reason);
    match permission == Permission::Ask && case.flow.transport != Transport::Truncated {
        true => Decision::Ask(unanswered(judgement)),
        false => Decision::Judged(judgement),
    }
}

/// The judgement of a connection that gets the same whosever it is: it always
/// passes, or was there when Seawall first started.
pub(crate) fn for_anyone(snapshot: &Snapshot, flow: &Flow) -> Option<Judgement> {
    let case = Case::new(snapshot, flow, AppLayers::default());
    let (permission, reason) = first(&FOR_ANYONE, &case, &mut |_, _| ())?;
    Some(judgement(&case, permission, reason))
}

/// What the first of these steps says that says anything.
fn first(
    steps: &[(Step, Look)],
    case: &Case<'_>,
    see: &mut impl FnMut(Step, Option<Permission>),
) -> Option<Said> {
    steps.iter().find_map(|(step, look)| {
        let said = look(case);
        see(*step, said.as_ref().map(|(permission, _)| *permission));
        said
    })
}

/// The judgement of a connection of which nobody could say whose it is, because
/// nobody answered: it may be the one that is forbidden.
pub(crate) fn for_unanswered(snapshot: &Snapshot, flow: &Flow) -> Judgement {
    let text = "it isn't known whose connection it is, because nobody answered in time";
    Judgement {
        action: action(Permission::Deny, flow),
        // The next attempt asks again.
        lifetime: Lifetime::Once,
        reason: Reason::plain(Layer::Unanswered, text),
        generation: snapshot.generation,
        reach: Reach::Flow,
        breadth: Breadth::Service,
    }
}

/// What holds while nobody answers: for that packet, and for no other connection.
fn unanswered(judgement: Judgement) -> Judgement {
    Judgement {
        lifetime: Lifetime::Once,
        reach: Reach::Flow,
        breadth: Breadth::Service,
        ..judgement
    }
}

fn judgement(case: &Case<'_>, permission: Permission, reason: Reason) -> Judgement {
    let Case { snapshot, flow, .. } = *case;
    let breadth = breadth(case, permission, reason.layer);
    Judgement {
        action: action(permission, flow),
        lifetime: lifetime(snapshot, flow),
        reason,
        generation: snapshot.generation,
        reach: reach(case),
        breadth,
    }
}

pub(crate) fn action(permission: Permission, flow: &Flow) -> Action {
    match (permission, flow.direction) {
        (Permission::Permit, _) => Action::Allow,
        (_, Direction::Inbound) => Action::Drop,
        (_, Direction::Outbound | Direction::Forwarded) => Action::Reject,
    }
}

fn plain(permission: Permission, layer: Layer, text: &'static str) -> Said {
    (permission, Reason::plain(layer, text))
}

impl Decision {
    /// The judgement, or where the user is asked, what holds while nobody answers.
    pub fn judgement(self) -> Judgement {
        let (Self::Judged(judgement) | Self::Ask(judgement)) = self;
        judgement
    }

    /// The judgement, if there is one.
    pub(crate) fn judged(self) -> Option<Judgement> {
        match self {
            Self::Judged(judgement) => Some(judgement),
            Self::Ask(_) => None,
        }
    }
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
    fn block(
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
    fn reason(self, layer: Layer, text: &'static str) -> Reason {
        let (app, network) = (self.app.cloned(), self.network.cloned());
        Reason { app, whose: self.whose, network, ..Reason::plain(layer, text) }
    }
}

fn always(case: &Case<'_>) -> Option<Said> {
    let text = always_passes(case.flow)?;
    Some(plain(Permission::Permit, Layer::AlwaysPasses, text))
}

fn adopted_session(case: &Case<'_>) -> Option<Said> {
    is_adopted(case, |what| matches!(what, AdoptedEntry::Session { .. })).then(|| {
        let text = "it was established when Seawall first started";
        plain(Permission::Permit, Layer::AdoptedSession, text)
    })
}

fn paused(case: &Case<'_>) -> Option<Said> {
    let text = "Seawall is paused, and everything passes";
    case.snapshot.paused.then(|| plain(Permission::Permit, Layer::Paused, text))
}

fn block_inbound(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || case.flow.direction != Direction::Inbound {
        return None;
    }
    let text = "block_inbound denies what others open";
    case.block(|app| app.block_inbound, |all| all.block_inbound, Layer::BlockInbound, text)
}

fn block_internet(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || !case.is_internet() {
        return None;
    }
    let text = "block_internet denies the Internet";
    case.block(|app| app.block_internet, |all| all.block_internet, Layer::BlockInternet, text)
}

fn block_lan(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || !Scope::of(case.flow.remote()).is_lan() {
        return None;
    }
    let text = "block_lan denies the LAN";
    case.block(|app| app.block_lan, |all| all.block_lan, Layer::BlockLan, text)
}

fn block_local(case: &Case<'_>) -> Option<Said> {
    if !case.is_loopback {
        return None;
    }
    let text = "block_local denies connections of this machine with itself";
    case.block(|app| app.block_local, |all| all.block_local, Layer::BlockLocal, text)
}

fn app_rules(case: &Case<'_>) -> Option<Said> {
    case.app.iter().find_map(|(whose, AppPolicy { name, filter, .. })| {
        let of = SettingOf { app: Some(name), whose, network: None };
        first_match((&filter.incoming_rules, &filter.outgoing_rules), of, case)
    })
}

fn rules_for_all(case: &Case<'_>) -> Option<Said> {
    let Filter { incoming_rules, outgoing_rules, .. } = &case.snapshot.filter;
    first_match((incoming_rules, outgoing_rules), SettingOf::default(), case)
}

fn invalid_address(case: &Case<'_>) -> Option<Said> {
    has_invalid_address(case.flow)
        .then(|| plain(Permission::Deny, Layer::InvalidAddress, "nobody may talk to this address"))
}

fn loopback(case: &Case<'_>) -> Option<Said> {
    let text = "this machine talks to itself";
    case.is_loopback.then(|| plain(Permission::Permit, Layer::Loopback, text))
}

fn adopted_listener(case: &Case<'_>) -> Option<Said> {
    is_adopted(case, |what| matches!(what, AdoptedEntry::Listener { .. })).then(|| {
        let text = "the service was listening when Seawall first started";
        plain(Permission::Permit, Layer::AdoptedListener, text)
    })
}

/// The last step, which always speaks.
fn by_default(case: &Case<'_>) -> Said {
    let (default_action, of) = case.setting(|app| app.default_action, |all| all.default_action);
    let (permission, text) = match default_action {
        DefaultAction::Permit => {
            (Permission::Permit, "default_action permits what nothing else decides")
        }
        DefaultAction::Block => {
            (Permission::Deny, "default_action blocks what nothing else permits")
        }
        DefaultAction::Ask => {
            (Permission::Ask, "default_action asks about what nothing else decides")
        }
    };
    (permission, of.reason(Layer::DefaultAction, text))
}

fn built_in_profile(case: &Case<'_>) -> Option<Said> {
    let AppPolicy { name, filter, .. } = case.app.built_in?;
    if case.flow.direction != Direction::Outbound || !case.snapshot.built_in_counts() {
        return None;
    }
    let (position, rule) = filter.outgoing_rules.first_match(&case.subject(), |_| true)?;
    let of = SettingOf { app: Some(name), ..SettingOf::default() };
    let text = "a built-in profile permits it";
    let rule = Some((position, rule.text.clone()));
    Some((Permission::Permit, Reason { rule, ..of.reason(Layer::BuiltIn, text) }))
}

/// The first that matches, of the incoming or of the outgoing rules.
fn first_match(
    (incoming, outgoing): (&Rules, &Rules),
    of: SettingOf<'_>,
    case: &Case<'_>,
) -> Option<Said> {
    let (rules, layer) = match case.flow.direction {
        Direction::Inbound => (incoming, Layer::IncomingRule),
        Direction::Outbound | Direction::Forwarded => (outgoing, Layer::OutgoingRule),
    };
    let subject = case.subject();
    let (position, rule) = rules.first_match(&subject, |rule| !spares_loopback(rule, case))?;
    let text = match rule.permission {
        Permission::Permit => "a rule permits it",
        Permission::Deny => "a rule denies it",
        Permission::Ask => "a rule has the user asked",
    };
    let rule_named = Some((position, rule.text.clone()));
    Some((rule.permission, Reason { rule: rule_named, ..of.reason(layer, text) }))
}

/// Whether a rule doesn't count because it would cut this machine off from itself without naming that.
pub(crate) fn spares_loopback(rule: &Rule, case: &Case<'_>) -> bool {
    case.is_loopback && rule.permission != Permission::Permit && !rule.entity.names_loopback()
}

/// Loopback addresses, or one address at both ends, whichever it is.
fn is_loopback(flow: &Flow) -> bool {
    flow.direction != Direction::Forwarded
        && (Scope::of(flow.remote()).is_localhost()
            || flow.initiator.to_canonical() == flow.responder.to_canonical())
}

fn has_invalid_address(flow: &Flow) -> bool {
    let is_invalid = |address| Scope::of(address) == Scope::Invalid;
    is_invalid(flow.remote())
        || (flow.direction == Direction::Forwarded && is_invalid(flow.initiator))
}

fn is_adopted(case: &Case<'_>, kind: impl Fn(&AdoptedEntry) -> bool) -> bool {
    let covers = |adopted: &Adopted| kind(&adopted.what) && adopted.what.covers(case.flow);
    case.snapshot.adopted.iter().any(covers)
}
