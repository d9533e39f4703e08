//! Our table as text for `nft -f`: a pure function, of the same meaning as the
//! tables of iptables (see `super::super::tables`).
//!
//! A chain of nft isn't cut short by another table's accept, so enforcement
//! and backstop are one chain a hook.

use std::fmt::Write;

use seawall_messages::Hook;
use seawall_messages::keeper::{Layout, WantedRules};
use seawall_messages::policy::Mode;

use crate::linux::layout::{
    Epoch, KEPT_MARK_BITS, MarkAction, QueueId, QueueKind, kept_mark_label, label,
    mark_is_kept_label, mark_mask, queued_label, reentry_flag, verdict_mark,
};
use crate::linux::rules::tables::{LISTENER_DISCOVERY, NEIGHBOUR_DISCOVERY, judged_label};

/// Just before `mangle`.
const JUDGE_PRIORITY: i32 = -151;

/// A chain: its name, where it hooks in if it does, and its rules.
struct Chain {
    name: String,
    hook: Option<String>,
    rules: Vec<String>,
}

/// The whole table.
pub(super) fn table(rules: &WantedRules, epoch: Epoch, layout: &Layout) -> String {
    block("seawall", &Renderer { rules, epoch, layout }.chains())
}

/// Every rule that there can be, in a table that hooks in nowhere: even a
/// check makes the kernel take a hook and give it back, and what waits in the
/// namespace's packet queues is lost when a hook goes.
pub(super) fn probe(layout: &Layout) -> String {
    let rules =
        WantedRules { epoch: Epoch::FIRST.get(), mode: Mode::Lockdown, judge_loopback: true };
    let mut chains = Renderer { rules: &rules, epoch: Epoch::FIRST, layout }.chains();
    for chain in &mut chains {
        chain.hook = None;
    }
    block("seawall_probe", &chains)
}

fn block(table: &str, chains: &[Chain]) -> String {
    let mut text = format!("table inet {table} {{\n");
    // Writing to a string can't fail.
    for chain in chains {
        let _ = writeln!(text, "  chain {} {{", chain.name);
        for line in chain.hook.iter().chain(&chain.rules) {
            let _ = writeln!(text, "    {line}");
        }
        let _ = writeln!(text, "  }}");
    }
    text.push_str("}\n");
    text
}

impl Chain {
    /// One that is only led to by others.
    fn regular(name: &str, rules: Vec<String>) -> Self {
        Self { name: name.into(), hook: None, rules }
    }

    /// One that packets meet by themselves.
    fn base(name: String, kind: &str, hook: &str, priority: i32, rules: Vec<String>) -> Self {
        let hook = format!("type {kind} hook {hook} priority {priority}; policy accept;");
        Self { name, hook: Some(hook), rules }
    }
}

struct Renderer<'a> {
    rules: &'a WantedRules,
    epoch: Epoch,
    layout: &'a Layout,
}

impl Renderer<'_> {
    /// A chain that is led to comes before those that lead to it.
    fn chains(&self) -> Vec<Chain> {
        // After everybody else who can mark a packet on its way to our judgement.
        let disarm = |hook: &str, priority| {
            let name = format!("disarm_{hook}");
            Chain::base(name, "filter", hook, priority, vec![self.disarm()])
        };
        let mut chains = vec![
            Chain::regular("flag", self.flag()),
            Chain::regular("keep", self.keep()),
            Chain::regular("restore", self.restore()),
            Chain::regular("save", self.save()),
            Chain::regular("own", self.own()),
            Chain::regular("answer", answer()),
            disarm("prerouting", i32::MAX),
            disarm("output", JUDGE_PRIORITY - 1),
        ];
        for hook in [Hook::Output, Hook::Input, Hook::Forward] {
            let name = hook_name(hook);
            // Only a route chain looks for a new route after a mark was cleared.
            let kind = if hook == Hook::Output { "route" } else { "filter" };
            let judge = format!("judge_{name}");
            chains.push(Chain::base(judge, kind, name, JUDGE_PRIORITY, self.judge(hook)));
            let enforce = format!("enforce_{name}");
            chains.push(Chain::base(enforce, "filter", name, -1, self.enforce(hook)));
        }
        chains
    }

    /// Takes the re-entry flag from whoever carries it.
    fn disarm(&self) -> String {
        let flag = reentry_flag(self.layout);
        format!("meta mark & {flag:#010x} == {flag:#010x} {}", self.clear_mark())
    }

    fn flag(&self) -> Vec<String> {
        let queued = queued_label(self.layout);
        let clear = self.clear_mark();
        vec![
            format!("ct label {queued} return"),
            format!("ct label set {queued}"),
            // Where there is no room for labels, none was set.
            format!("ct label {queued} {clear}"),
            format!("ct state {{ invalid, untracked }} {clear}"),
        ]
    }

    fn save(&self) -> Vec<String> {
        let mask = mark_mask(self.layout);
        let (allow, actions) = self.action_match(MarkAction::Allow);
        let reject_label = self.label(MarkAction::Reject);
        let mut lines = Vec::new();
        for action in [MarkAction::Allow, MarkAction::Reject, MarkAction::Drop] {
            let mark = verdict_mark(self.layout, 0, action, Some(self.epoch));
            let label = self.label(action);
            lines.push(format!("meta mark & {mask:#010x} == {mark:#010x} ct label set {label}"));
        }
        let judged = judged_label(self.layout);
        lines.push(format!("meta mark & {actions:#010x} == {allow:#010x} ct label set {judged}"));
        lines.push(format!(
            "meta mark & {actions:#010x} != {allow:#010x} (ct label & {reject_label}) != {reject_label} drop"
        ));
        lines.push(self.clear_mark());
        let kept = mark_is_kept_label(self.layout);
        lines.push(format!("ct label {kept} ct state new jump restore"));
        lines
    }

    fn keep(&self) -> Vec<String> {
        let mut lines = vec![format!("ct label set {}", mark_is_kept_label(self.layout))];
        lines.extend(self.kept_bits().map(|(bit, label)| {
            format!("meta mark & {bit:#010x} == {bit:#010x} ct label set {label}")
        }));
        lines
    }

    fn restore(&self) -> Vec<String> {
        self.kept_bits()
            .map(|(bit, label)| format!("ct label {label} meta mark set meta mark | {bit:#010x}"))
            .collect()
    }

    /// The bits of a foreign mark that lie over ours, each with its label.
    fn kept_bits(&self) -> impl Iterator<Item = (u32, u8)> {
        (0..KEPT_MARK_BITS)
            .map(|bit| (1 << (self.layout.mark_shift + bit), kept_mark_label(self.layout, bit)))
    }

    fn own(&self) -> Vec<String> {
        vec![format!("ct label set {}", self.label(MarkAction::Own)), self.clear_mark()]
    }

    fn judge(&self, hook: Hook) -> Vec<String> {
        let flag = reentry_flag(self.layout);
        let flagged = format!("meta mark & {flag:#010x} == {flag:#010x}");
        let mut lines = vec![format!("{flagged} jump flag"), format!("{flagged} goto save")];
        for action in [MarkAction::Own, MarkAction::Allow, MarkAction::Reject, MarkAction::Drop] {
            lines.push(format!("ct label {} return", self.label(action)));
        }
        if hook == Hook::Output {
            let (own, actions) = self.action_match(MarkAction::Own);
            let gid = self.layout.own_gid;
            lines.push(format!(
                "meta mark & {actions:#010x} == {own:#010x} meta skgid {gid} goto own"
            ));
        }
        if !self.rules.judge_loopback {
            lines.extend(loopback(hook).map(|device| format!("{device} return")));
        }
        lines.extend(always_passes(hook).into_iter().map(|rule| format!("{rule} return")));
        lines.push("meta l4proto { icmp, ipv6-icmp } ct state related return".into());
        lines.push("tcp flags & rst == rst ct state related return".into());
        lines.push(format!("ct label set {}", queued_label(self.layout)));
        let kept = mark_mask(self.layout) & !flag;
        lines.push(format!("meta mark & {kept:#010x} != 0 ct state new jump keep"));
        let open = self.rules.mode == Mode::Open;
        if let (true, false, Some(device)) = (self.rules.judge_loopback, open, loopback(hook)) {
            lines.extend(self.queues(hook, &format!("{device} "), true));
        }
        lines.extend(self.queues(hook, "", open));
        lines
    }

    fn queues(&self, hook: Hook, only: &str, bypass: bool) -> Vec<String> {
        let bypass = if bypass { " bypass" } else { "" };
        [
            (QueueKind::Untracked, "ct state { invalid, untracked } "),
            (QueueKind::New, "ct state new "),
            (QueueKind::RestReply, "ct direction reply "),
            (QueueKind::RestOriginal, ""),
        ]
        .into_iter()
        .map(|(kind, matches)| {
            let number = QueueId { hook, kind }.number(self.layout);
            format!("{only}{matches}queue num {number}{bypass}")
        })
        .collect()
    }

    fn enforce(&self, hook: Hook) -> Vec<String> {
        let mut lines = vec![
            format!("ct label {} goto answer", self.label(MarkAction::Reject)),
            format!("ct label {} drop", self.label(MarkAction::Drop)),
        ];
        if self.rules.mode == Mode::Lockdown {
            for standing in [judged_label(self.layout), self.label(MarkAction::Own)] {
                lines.push(format!("ct label {standing} return"));
            }
            lines.extend(loopback(hook).map(|device| format!("{device} return")));
            lines.extend(always_passes(hook).into_iter().map(|rule| format!("{rule} return")));
            lines.push("ct state new drop".into());
        }
        lines
    }

    fn label(&self, action: MarkAction) -> u8 {
        label(self.layout, action, self.epoch)
    }

    /// Value and mask of the three action bits.
    fn action_match(&self, action: MarkAction) -> (u32, u32) {
        ((action as u32) << self.layout.mark_shift, 0x07 << self.layout.mark_shift)
    }

    fn clear_mark(&self) -> String {
        format!("meta mark set meta mark & {:#010x}", !mark_mask(self.layout))
    }
}

/// What a rejected flow's packets get; the resets and errors themselves pass.
fn answer() -> Vec<String> {
    [
        "meta l4proto { icmp, ipv6-icmp } ct state related return",
        "tcp flags & rst == rst return",
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx type admin-prohibited",
    ]
    .map(String::from)
    .to_vec()
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Output => "output",
        Hook::Input => "input",
        Hook::Forward => "forward",
    }
}

fn loopback(hook: Hook) -> Option<&'static str> {
    match hook {
        Hook::Output => Some("oifname \"lo\""),
        Hook::Input => Some("iifname \"lo\""),
        Hook::Forward => None,
    }
}

fn always_passes(hook: Hook) -> Vec<String> {
    let dhcp = match hook {
        Hook::Output => [
            "ip daddr 255.255.255.255 udp sport 68 udp dport 67",
            "ip6 daddr ff02::1:2 udp sport 546 udp dport 547",
        ],
        Hook::Input => [
            "meta nfproto ipv4 udp sport 67 udp dport 68",
            "ip6 saddr fe80::/10 udp sport 547 udp dport 546",
        ],
        Hook::Forward => return Vec::new(),
    };
    let types = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut rules = vec![
        format!("icmpv6 type {{ {} }} ip6 hoplimit 255", types(&NEIGHBOUR_DISCOVERY)),
        format!("icmpv6 type {{ {} }} ip6 hoplimit 1", types(&LISTENER_DISCOVERY)),
        "meta l4proto igmp ip ttl 1".into(),
    ];
    rules.extend(dhcp.map(String::from));
    rules
}

#[cfg(test)]
mod tests;
