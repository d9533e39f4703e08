//! From a verdict to what the kernel is told about one packet.

use seawall_messages::keeper::Layout;
use seawall_messages::verdict::{Action, Lifetime};
use seawall_messages::{Judgement, PolicyGeneration};
use seawall_platform::linux::layout::{
    MarkAction, QueueKind, mark_mask, reentry_flag, verdict_mark,
};
use seawall_platform::linux::queue::{Answer, Packet};

use crate::standing::Standing;

/// The part of a judgement that packets need: no reason, no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) action: Action,
    pub(crate) lifetime: Lifetime,
    pub(crate) generation: PolicyGeneration,
}

impl From<&Judgement> for Decision {
    fn from(judgement: &Judgement) -> Self {
        Self {
            action: judgement.action,
            lifetime: judgement.lifetime,
            generation: judgement.generation,
        }
    }
}

impl Decision {
    /// Whether it still counts: not made under a policy older than the one in force.
    pub(crate) fn counts_under(&self, standing: Standing) -> bool {
        self.generation >= standing.generation
    }

    /// Whether the flow leaves the queue for good.
    pub(crate) fn is_permanent(&self, standing: Standing) -> bool {
        self.lifetime == Lifetime::Flow && self.generation == standing.generation
    }
}

/// Whether the packet carries our re-entry flag although it reached user
/// space: then the rules are not ours, and repeating it could go on for ever.
pub(crate) fn came_back(packet: &Packet, layout: &Layout) -> bool {
    packet.mark & reentry_flag(layout) != 0
}

/// Whether somebody else uses our bits of this packet's mark, so that a
/// verdict can't travel in them without destroying theirs. Of a first packet
/// the rules keep them.
fn mark_is_taken(packet: &Packet, layout: &Layout) -> bool {
    packet.queue.kind != QueueKind::New && packet.mark & mark_mask(layout) != 0
}

/// The answer to a later packet where no rule stands behind ours in its chain:
/// one that brings no label need not go through the chain again.
pub(crate) fn shortened(answer: Answer, decision: Decision, standing: Standing) -> Answer {
    match answer {
        Answer::Repeat { .. }
            if decision.action == Action::Allow && !decision.is_permanent(standing) =>
        {
            Answer::Accept
        }
        answer => answer,
    }
}

/// What the kernel is told.
///
/// An allowed packet goes through the chain again, where the rules note the
/// standing verdict; a later one whose mark bits are taken is accepted on the
/// spot, and its flow stays in the queue. A rejected packet always carries the
/// current epoch, for its flow's entry is never confirmed: rules of another
/// epoch drop it.
pub(crate) fn answer(
    packet: &Packet,
    decision: Decision,
    standing: Standing,
    layout: &Layout,
) -> Answer {
    let tracked = packet.queue.kind != QueueKind::Untracked;
    let is_open = packet.queue.kind != QueueKind::New;
    match decision.action {
        Action::Drop => Answer::Drop,
        Action::Reject if !tracked => Answer::Drop,
        // Of a connection that is open, its label would end more than the packet that it is said of.
        Action::Reject if is_open && decision.lifetime == Lifetime::Once => Answer::Drop,
        Action::Reject => Answer::Repeat {
            mark: verdict_mark(layout, packet.mark, MarkAction::Reject, Some(standing.epoch)),
        },
        Action::Allow if !tracked || mark_is_taken(packet, layout) => Answer::Accept,
        Action::Allow => {
            let epoch = decision.is_permanent(standing).then_some(standing.epoch);
            Answer::Repeat { mark: verdict_mark(layout, packet.mark, MarkAction::Allow, epoch) }
        }
    }
}
