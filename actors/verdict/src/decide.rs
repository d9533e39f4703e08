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

use seawall_messages::explain::Step;
use seawall_messages::policy::AppLayers;
use seawall_messages::rule::Permission;
use seawall_messages::{
    Action, Breadth, Direction, Flow, Judgement, Layer, Lifetime, Reach, Reason, Snapshot,
    Transport,
};

use self::steps::{
    adopted_listener, adopted_session, always, app_rules, block_inbound, block_internet, block_lan,
    block_local, built_in_profile, by_default, invalid_address, loopback, paused, rules_for_all,
};
use crate::holds::{breadth, lifetime, reach};

pub(crate) use self::case::{Case, SettingOf};
pub(crate) use self::steps::spares_loopback;

mod case;
mod steps;

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What becomes of the connection.
    Judged(Judgement),
    /// The user is asked. What holds while nobody answers: a denial of that packet.
    Ask(Judgement),
}

/// What is known of a connection beyond its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// User id of the local socket.
    pub uid: Option<u32>,
    /// The number of the interface that leads to the other end.
    pub interface: Option<u32>,
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
