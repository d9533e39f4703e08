//! Where our queues, mark bits and connection labels lie, and what they mean.
//!
//! A standing verdict is a connection label, not a connection mark: labels are
//! bits that no VPN or container tool writes, compares whole or restores into
//! packets, so foreign marks stay what they are and none of them can skip
//! judgement. Our eight bits of the packet mark carry a verdict from user
//! space to the top of our own chain, and are cleared there. A foreign mark
//! that lies over them waits in labels meanwhile, and is put back.

use seawall_messages::Hook;
use seawall_messages::keeper::Layout;

/// In the order of their numbers.
const HOOKS: [Hook; 3] = [Hook::Output, Hook::Input, Hook::Forward];

/// Room for kinds to come.
const QUEUES_PER_HOOK: u16 = 10;

/// Which packets a queue gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueKind {
    /// First packets of connections. Answered one by one; may be held.
    New,
    /// Later packets without a standing verdict, in the direction of the first. Answered in batches.
    RestOriginal,
    /// Later packets without a standing verdict, in the direction of the reply. Answered in batches.
    RestReply,
    /// Packets without a connection-tracking entry: accept or drop, no mark. May be held.
    Untracked,
    /// As `RestOriginal`, handed on by verdict because the flow is undecided. May be held.
    ParkedOriginal,
    /// As `RestReply`, handed on by verdict because the flow is undecided. May be held.
    ParkedReply,
}

/// One of our queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId {
    /// Where its packets were caught.
    pub hook: Hook,
    /// Which of them.
    pub kind: QueueKind,
}

/// What a mark tells the rules to do with a flow: the three action bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MarkAction {
    /// Let it pass.
    Allow = 1,
    /// Answer with a reset or an ICMP error.
    Reject = 2,
    /// Silence.
    Drop = 3,
    /// Reserved: to the local name server.
    ToDns = 4,
    /// Reserved: to the onion network.
    ToSpn = 5,
    /// Reserved: to another interface.
    Split = 6,
    /// Seawall's own traffic; holds in every epoch.
    Own = 7,
}

/// A policy epoch, 1 to 7: changed with each policy, so that old standing verdicts stop counting at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u8);

impl Epoch {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// From a number; `None` outside 1 to 7.
    pub fn new(number: u8) -> Option<Self> {
        (1..=7).contains(&number).then_some(Self(number))
    }

    /// The one after: 7 is followed by 1.
    pub fn next(self) -> Self {
        Self(self.0 % 7 + 1)
    }

    /// As a number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl QueueKind {
    const ALL: [Self; 6] = [
        Self::New,
        Self::RestOriginal,
        Self::RestReply,
        Self::Untracked,
        Self::ParkedOriginal,
        Self::ParkedReply,
    ];
}

impl QueueId {
    /// How many there are: three hooks with six kinds each.
    pub const COUNT: usize = HOOKS.len() * QueueKind::ALL.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        HOOKS
            .into_iter()
            .flat_map(|hook| QueueKind::ALL.into_iter().map(move |kind| Self { hook, kind }))
    }

    /// Its place in [`all`](Self::all).
    pub fn index(self) -> usize {
        self.hook as usize * QueueKind::ALL.len() + self.kind as usize
    }

    /// Its number: ten to a hook, from `layout.queue_base`.
    pub fn number(self, layout: &Layout) -> u16 {
        layout.queue_base.wrapping_add(self.hook as u16 * QUEUES_PER_HOOK + self.kind as u16)
    }

    /// The queue of a number.
    pub fn from_number(number: u16, layout: &Layout) -> Option<Self> {
        let offset = number.wrapping_sub(layout.queue_base);
        let hook = *HOOKS.get(usize::from(offset / QUEUES_PER_HOOK))?;
        let kind = *QueueKind::ALL.get(usize::from(offset % QUEUES_PER_HOOK))?;
        Some(Self { hook, kind })
    }

    /// The queue where packets of this one wait while their flow is undecided.
    pub fn parked(self) -> Self {
        let kind = match self.kind {
            QueueKind::RestOriginal => QueueKind::ParkedOriginal,
            QueueKind::RestReply => QueueKind::ParkedReply,
            other => other,
        };
        Self { kind, ..self }
    }
}

/// The bits of the packet mark that are ours.
pub fn mark_mask(layout: &Layout) -> u32 {
    0xff << layout.mark_shift
}

/// The re-entry flag: set by a verdict, looked at and cleared at the top of our chain.
pub fn reentry_flag(layout: &Layout) -> u32 {
    0x80 << layout.mark_shift
}

/// The packet mark of a verdict: foreign bits of `old` kept, ours set.
/// Without an epoch the verdict is for this packet only.
pub fn verdict_mark(layout: &Layout, old: u32, action: MarkAction, standing: Option<Epoch>) -> u32 {
    let temporary = u32::from(standing.is_none()) << 3;
    let epoch = u32::from(standing.map_or(0, Epoch::get)) << 4;
    let ours = 0x80 | epoch | temporary | action as u32;
    (old & !mark_mask(layout)) | (ours << layout.mark_shift)
}

/// The connection label (bit number, 0 to 127) of a standing verdict.
pub fn label(layout: &Layout, action: MarkAction, epoch: Epoch) -> u8 {
    let epoch = if action == MarkAction::Own { 0 } else { epoch.get() };
    layout.label_base + 8 * action as u8 + epoch
}

/// How many bits of a foreign mark lie over ours: all but the re-entry flag,
/// which no packet has when it comes to our queues.
pub const KEPT_MARK_BITS: u8 = 7;

/// The connection label of a foreign mark's bit, 0 to 6 from `layout.mark_shift`,
/// where it waits while a verdict travels in its place.
pub fn kept_mark_label(layout: &Layout, bit: u8) -> u8 {
    layout.label_base + 1 + bit
}

/// The connection label which says that a mark is kept: the others need not be looked at without it.
pub fn mark_is_kept_label(layout: &Layout) -> u8 {
    kept_mark_label(layout, KEPT_MARK_BITS)
}

/// The connection label of a flow that was queued: without it, a re-entry flag is somebody else's.
pub fn queued_label(layout: &Layout) -> u8 {
    layout.label_base + 16
}

/// The connection label of a flow that was denied, whenever that was: without
/// it, labels of denials need not be looked for.
pub fn denied_label(layout: &Layout) -> u8 {
    layout.label_base + 24
}

/// All connection labels that matter to packets on their way to a verdict and back, and are none.
pub fn transit_labels(layout: &Layout) -> u128 {
    let kept = (0..=KEPT_MARK_BITS).map(|bit| kept_mark_label(layout, bit));
    kept.chain([queued_label(layout)]).fold(0, |labels, label| labels | 1 << label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_numbered_without_gaps_in_meaning() {
        let layout = Layout { queue_base: 300, ..Layout::default() };
        for (index, queue) in QueueId::all().enumerate() {
            assert_eq!(queue.index(), index);
            assert_eq!(QueueId::from_number(queue.number(&layout), &layout), Some(queue));
        }
        assert_eq!(QueueId::all().count(), QueueId::COUNT);
        for (number, expected) in [
            (300, Some(QueueId { hook: Hook::Output, kind: QueueKind::New })),
            (312, Some(QueueId { hook: Hook::Input, kind: QueueKind::RestReply })),
            (325, Some(QueueId { hook: Hook::Forward, kind: QueueKind::ParkedReply })),
            (299, None),
            (306, None),
            (330, None),
            (0, None),
        ] {
            assert_eq!(QueueId::from_number(number, &layout), expected, "{number}");
        }
    }

    #[test]
    fn only_later_packets_are_handed_on() {
        let parked = |kind| QueueId { hook: Hook::Input, kind }.parked().kind;
        assert_eq!(parked(QueueKind::RestOriginal), QueueKind::ParkedOriginal);
        assert_eq!(parked(QueueKind::RestReply), QueueKind::ParkedReply);
        assert_eq!(parked(QueueKind::New), QueueKind::New);
        assert_eq!(parked(QueueKind::Untracked), QueueKind::Untracked);
    }

    #[test]
    fn a_verdict_keeps_foreign_bits_of_the_mark() {
        let layout = Layout { mark_shift: 20, ..Layout::default() };
        let epoch = Epoch::new(5);
        let mark = verdict_mark(&layout, 0xffff_ffff, MarkAction::Drop, epoch);
        assert_eq!(mark | mark_mask(&layout), 0xffff_ffff);
        assert_eq!((mark & mark_mask(&layout)) >> 20, 0x80 | 0x50 | 3);
        let once = verdict_mark(&layout, 0, MarkAction::Allow, None);
        assert_eq!(once, (0x80 | 0x08 | 1) << 20);
        assert_ne!(once & reentry_flag(&layout), 0);
    }

    #[test]
    fn every_meaning_has_a_label_of_its_own() {
        let layout = Layout::default();
        let actions = [
            MarkAction::Allow,
            MarkAction::Reject,
            MarkAction::Drop,
            MarkAction::ToDns,
            MarkAction::ToSpn,
            MarkAction::Split,
        ];
        let mut labels = vec![label(&layout, MarkAction::Own, Epoch::FIRST)];
        labels.extend((0..KEPT_MARK_BITS).map(|bit| kept_mark_label(&layout, bit)));
        labels.extend([mark_is_kept_label(&layout), queued_label(&layout)]);
        let transit = labels[1..].iter().fold(0, |transit, label| transit | 1_u128 << label);
        assert_eq!(transit_labels(&layout), transit);
        assert_eq!(labels[0], label(&layout, MarkAction::Own, Epoch::FIRST.next()));
        for action in actions {
            labels
                .extend((1..=7).filter_map(Epoch::new).map(|epoch| label(&layout, action, epoch)));
        }
        // What the rules call judged, and denied.
        labels.extend([layout.label_base, denied_label(&layout)]);
        let count = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), count);
        assert!(labels.iter().all(|&label| (64..128).contains(&label)));
    }
}
