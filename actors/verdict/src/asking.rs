//! What becomes of connections that the policy has the user asked about, where
//! the user isn't asked: there is an answer, or they were open before.

use seawall_messages::prompt::Choice;
use seawall_messages::rule::Permission;
use seawall_messages::verdict::Lifetime;
use seawall_messages::{Flow, Judgement, Layer, Reason};

use crate::decide::action;

/// The judgement of a connection that the user answered for. It speaks for that connection alone:
/// an answer may be about one address, or for one time.
pub(crate) fn by_answer(
    unanswered: &Judgement,
    flow: &Flow,
    choice: Choice,
    lasts: Lifetime,
) -> Judgement {
    let (permission, text) = match choice {
        Choice::Allow => (Permission::Permit, "the user allowed it when asked"),
        Choice::Block => (Permission::Deny, "the user blocked it when asked"),
    };
    Judgement {
        action: action(permission, flow),
        lifetime: lasts,
        reason: Reason { text: text.into(), layer: Layer::Answered, ..unanswered.reason.clone() },
        ..unanswered.clone()
    }
}

/// The judgement of a connection that was open before the user could be asked: nobody is locked out.
pub(crate) fn open_before(unanswered: &Judgement, flow: &Flow, lasts: Lifetime) -> Judgement {
    let text = "it was open before the user could be asked, and goes on until it is blocked";
    Judgement {
        action: action(Permission::Permit, flow),
        lifetime: lasts,
        reason: Reason { text: text.into(), layer: Layer::OpenBefore, ..unanswered.reason.clone() },
        ..unanswered.clone()
    }
}
