//! The table that judges: what has a verdict goes by or comes back with it,
//! the rest is queued.

use seawall_messages::Hook;
use seawall_messages::policy::Mode;

use super::{Chain, HOOKS, Jump, Place, Renderer, Table, builtin, first, judged_label, loopback};
use crate::linux::layout::{
    KEPT_MARK_BITS, MarkAction, QueueId, QueueKind, denied_label, kept_mark_label,
    mark_is_kept_label, mark_mask, queued_label, reentry_flag, verdict_mark,
};

impl Renderer<'_> {
    pub(super) fn mangle(&self) -> Table {
        let mut chains = vec![
            Chain { name: "SEAWALL_PRE", rules: self.disarm() },
            Chain { name: "SEAWALL_CLEAR", rules: vec![format!("-j {}", self.clear_mark())] },
            Chain { name: "SEAWALL_KEEP", rules: self.keep() },
            Chain { name: "SEAWALL_RESTORE", rules: self.restore() },
            Chain { name: "SEAWALL_SAVE", rules: self.save() },
            Chain { name: "SEAWALL_OWN", rules: self.own() },
        ];
        let mut jumps = vec![Jump { from: "PREROUTING", to: "SEAWALL_PRE", place: Place::Last }];
        for hook in HOOKS {
            let (name, judge) = match hook {
                Hook::Output => ("SEAWALL_OUT", "SEAWALL_JUDGE_OUT"),
                Hook::Input => ("SEAWALL_IN", "SEAWALL_JUDGE_IN"),
                Hook::Forward => ("SEAWALL_FWD", "SEAWALL_JUDGE_FWD"),
            };
            chains.push(Chain { name: judge, rules: self.judge(hook) });
            chains.push(Chain { name, rules: self.meet(judge) });
            jumps.push(first(builtin(hook), name));
        }
        Table { name: "mangle", chains, jumps }
    }

    /// What every packet meets first: a decided flow goes by, what comes back
    /// from user space is saved, the rest is judged.
    ///
    /// The flag is taken from packets that can't be on their way back: their
    /// flow was never queued, or they have none. Where there is no room for
    /// labels nobody can tell, and the flag counts.
    fn meet(&self, judge: &str) -> Vec<String> {
        let flag = reentry_flag(self.layout);
        let allowed = format!("-m connlabel --label {}", self.label(MarkAction::Allow));
        let queued = format!("-m connlabel --label {}", queued_label(self.layout));
        let clear = self.clear_mark();
        vec![
            format!("{allowed} -m mark ! --mark {flag:#x}/{flag:#x} -j RETURN"),
            format!("-m mark ! --mark {flag:#x}/{flag:#x} -g {judge}"),
            format!("{queued} -g SEAWALL_SAVE"),
            format!("{queued} --set -j {clear}"),
            format!("-m conntrack --ctstate INVALID,UNTRACKED -j {clear}"),
            format!("-m mark --mark {flag:#x}/{flag:#x} -g SEAWALL_SAVE"),
            format!("-g {judge}"),
        ]
    }

    /// Where a packet goes on after its verdict. A match with `--set` needs no
    /// target: it sets the label when all matches before it hold, and fails on
    /// an entry without room for labels.
    fn save(&self) -> Vec<String> {
        let mask = mark_mask(self.layout);
        let allow = self.action_match(MarkAction::Allow);
        let reject_label = self.label(MarkAction::Reject);
        let judged = judged_label(self.layout);
        let kept = mark_is_kept_label(self.layout);
        let once = verdict_mark(self.layout, 0, MarkAction::Allow, None);
        // The short way for a flow whose every packet comes by.
        let mut rules = vec![format!(
            "-m mark --mark {once:#x}/{mask:#x} -m connlabel --label {judged} \
             -m connlabel ! --label {kept} -g SEAWALL_CLEAR"
        )];
        let standing = |action| {
            let mark = verdict_mark(self.layout, 0, action, Some(self.epoch));
            let label = self.label(action);
            format!("-m mark --mark {mark:#x}/{mask:#x} -m connlabel --label {label} --set")
        };
        rules.push(standing(MarkAction::Allow));
        rules.push(format!("-m mark --mark {allow} -m connlabel --label {judged} --set"));
        // Before the labels that it announces.
        let denied = denied_label(self.layout);
        rules.push(format!("-m mark ! --mark {allow} -m connlabel --label {denied} --set"));
        rules.extend([MarkAction::Reject, MarkAction::Drop].map(standing));
        // Whatever is no allow ends here, unless `filter` is going to reject it:
        // drops, rejects of an old epoch, rejects of flows without room for labels.
        rules.push(format!(
            "-m mark ! --mark {allow} -m connlabel ! --label {reject_label} -j DROP"
        ));
        rules.push(format!("-j {}", self.clear_mark()));
        rules.push(format!(
            "-m connlabel --label {kept} -m conntrack --ctstate NEW -j SEAWALL_RESTORE"
        ));
        rules
    }

    /// Keeps the bits of a foreign mark in labels.
    fn keep(&self) -> Vec<String> {
        let mut rules =
            vec![format!("-m connlabel --label {} --set", mark_is_kept_label(self.layout))];
        rules.extend(self.kept_bits().map(|(bit, label)| {
            format!("-m mark --mark {bit:#x}/{bit:#x} -m connlabel --label {label} --set")
        }));
        rules
    }

    /// Makes a foreign mark whole again.
    fn restore(&self) -> Vec<String> {
        let set = |(bit, label)| {
            format!("-m connlabel --label {label} -j MARK --set-xmark {bit:#x}/{bit:#x}")
        };
        self.kept_bits().map(set).collect()
    }

    /// The bits of a foreign mark that lie over ours, each with its label.
    fn kept_bits(&self) -> impl Iterator<Item = (u32, u8)> {
        (0..KEPT_MARK_BITS)
            .map(|bit| (1 << (self.layout.mark_shift + bit), kept_mark_label(self.layout, bit)))
    }

    fn own(&self) -> Vec<String> {
        let own = self.label(MarkAction::Own);
        vec![format!("-m connlabel --label {own} --set"), format!("-j {}", self.clear_mark())]
    }

    /// Where a packet without a standing allow goes.
    fn judge(&self, hook: Hook) -> Vec<String> {
        let mut rules = self.queues_again(hook).to_vec();
        for action in [MarkAction::Own, MarkAction::Reject, MarkAction::Drop] {
            rules.push(format!("-m connlabel --label {} -j RETURN", self.label(action)));
        }
        if hook == Hook::Output {
            let own = self.action_match(MarkAction::Own);
            let gid = self.layout.own_gid;
            rules.push(format!("-m mark --mark {own} -m owner --gid-owner {gid} -g SEAWALL_OWN"));
        }
        if !self.rules.judge_loopback {
            rules.extend(loopback(hook).map(|device| format!("{device} -j RETURN")));
        }
        rules.extend(self.always_passes(hook).into_iter().map(|rule| format!("{rule} -j RETURN")));
        rules.push(format!("-p {} -m conntrack --ctstate RELATED -j RETURN", self.icmp()));
        rules.push(
            "-p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate RELATED -j RETURN".into(),
        );
        rules.push(format!("-m connlabel --label {} --set", queued_label(self.layout)));
        let kept = mark_mask(self.layout) & !reentry_flag(self.layout);
        rules.push(format!(
            "-m mark ! --mark 0x0/{kept:#x} -m conntrack --ctstate NEW -j SEAWALL_KEEP"
        ));
        match (self.rules.mode, self.rules.judge_loopback) {
            (Mode::Open, _) => rules.extend(self.queues(hook, "", true)),
            (Mode::Lockdown, false) => rules.extend(self.queues(hook, "", false)),
            (Mode::Lockdown, true) => {
                if let Some(device) = loopback(hook) {
                    rules.extend(self.queues(hook, &format!("{device} "), true));
                }
                rules.extend(self.queues(hook, "", false));
            }
        }
        rules
    }

    /// Later packets of flows that were judged and stay in the queue, before
    /// what only first packets can be. A flow that saw no reply yet is among
    /// them: nothing of it has to be held, so it may be answered in batches.
    /// Not those of flows that were denied, which labels may decide; and not
    /// loopback, which lockdown must not cut.
    fn queues_again(&self, hook: Hook) -> [String; 2] {
        let bypass = self.bypass(self.rules.mode == Mode::Open);
        let (judged, denied) = (judged_label(self.layout), denied_label(self.layout));
        let elsewhere = loopback(hook).map_or_else(String::new, |device| format!("! {device} "));
        let original =
            (QueueKind::RestOriginal, "-m conntrack --ctstate NEW,ESTABLISHED --ctdir ORIGINAL");
        let reply = (QueueKind::RestReply, "-m conntrack --ctstate ESTABLISHED --ctdir REPLY");
        // Most connections are opened from this side.
        let in_order = match hook {
            Hook::Output | Hook::Forward => [original, reply],
            Hook::Input => [reply, original],
        };
        in_order.map(|(kind, matches)| {
            let number = QueueId { hook, kind }.number(self.layout);
            format!(
                "{elsewhere}-m connlabel --label {judged} -m connlabel ! --label {denied} \
                 {matches} -j NFQUEUE --queue-num {number}{bypass}"
            )
        })
    }

    fn bypass(&self, wanted: bool) -> &'static str {
        if wanted { " --queue-bypass" } else { "" }
    }

    /// The four queues of a hook, for packets that match `only`.
    fn queues(&self, hook: Hook, only: &str, bypass: bool) -> Vec<String> {
        let bypass = self.bypass(bypass);
        [
            (QueueKind::Untracked, "-m conntrack --ctstate INVALID,UNTRACKED "),
            (QueueKind::New, "-m conntrack --ctstate NEW "),
            (QueueKind::RestReply, "-m conntrack --ctdir REPLY "),
            (QueueKind::RestOriginal, ""),
        ]
        .into_iter()
        .map(|(kind, matches)| {
            let number = QueueId { hook, kind }.number(self.layout);
            format!("{only}{matches}-j NFQUEUE --queue-num {number}{bypass}")
        })
        .collect()
    }
}
