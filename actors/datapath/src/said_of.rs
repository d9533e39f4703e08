//! Of whom a remembered verdict was said. Ends are used again, by another program within a millisecond;
//! what was said of the one is not said of the other.

use seawall_messages::process::{Owners, ProcessKey};
use seawall_messages::verdict::Action;
use seawall_messages::{Direction, Flow, Judgement, Protocol, Reach};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::Packet;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaidOf {
    /// Of everybody: whose the packets are makes no difference.
    All,
    /// Of a process.
    Process(ProcessKey),
    /// Of somebody whom nobody knows where packets are.
    Somebody,
}

impl SaidOf {
    /// Of whom a judgement is said. `owner`: whose the flow was then, where that was known.
    pub(crate) fn of(judgement: &Judgement, owner: Option<ProcessKey>) -> Self {
        match (judgement.reach, owner) {
            (Reach::Service, _) => Self::All,
            (_, Some(process)) => Self::Process(process),
            (_, None) => Self::Somebody,
        }
    }

    /// The process, where it was said of one.
    pub(crate) fn process(self) -> Option<ProcessKey> {
        match self {
            Self::Process(process) => Some(process),
            Self::All | Self::Somebody => None,
        }
    }

    /// Whether it is said of this packet, too. `owners` is looked into only where it matters.
    pub(crate) fn holds_for(
        self,
        packet: &Packet,
        flow: &Flow,
        action: Action,
        owners: &dyn Owners,
    ) -> bool {
        // A TCP connection is its program's until another begins, which the kernel sees as new, if it tracks it.
        let begins = matches!(packet.queue.kind, QueueKind::New | QueueKind::Untracked);
        if self == Self::All || (flow.protocol == Protocol::TCP && !begins) {
            return true;
        }
        let now = owners.owner(flow, packet.uid).map(|owner| owner.process);
        match self {
            Self::All => true,
            Self::Process(process) => now == Some(process),
            Self::Somebody => now.is_none() && may_be_the_same(flow, action),
        }
    }
}

/// Whether what nobody knows may be taken for what nobody knew before. Of datagrams it is told when their socket
/// closes. A connection that begins is asked about: that is rare, but for those who knock at a closed door.
fn may_be_the_same(flow: &Flow, action: Action) -> bool {
    let knocks = flow.direction == Direction::Inbound && action != Action::Allow;
    flow.protocol != Protocol::TCP || knocks
}
