//! Our rules as iptables sees them: a pure function of the wanted rules, the
//! layout and the address family.
//!
//! What each table is for, in the order in which a packet meets them:
//! - `raw` takes the re-entry flag from packets that somebody else set it on:
//!   as they come, and after the last foreign rule that can mark a packet
//!   before `mangle` OUTPUT. The end of `mangle` PREROUTING does so for the rest;
//! - `mangle` lets decided flows by and queues the rest. A verdict comes back
//!   as NF_REPEAT with a mark; the top of the chain turns it into a label,
//!   clears our bits, and the packet goes on behind our jump;
//! - `filter` enforces reject and drop labels;
//! - `security` is the backstop, for what a foreign ACCEPT in `filter` let by.
//!
//! Labels only ever count for the current epoch, except three. *Own*. *Judged*,
//! which says that some packet of the flow came back with an allow, lasting or
//! not: it lets a flow pass the lockdown backstop and nothing else; the flow's
//! packets still meet the queues while it has no standing verdict. *Denied*,
//! which says that the flow bears, or bore, a label of a denial: it decides
//! nothing, and spares all other packets the look for one.
//!
//! Rules are in the order of how often they are met, and what few packets
//! meet lies in chains aside: in iptables-nft each match costs some 20 ns, and
//! a packet that is judged meets the rules twice.
//!
//! Whatever else marks packets, a re-entry flag counts only on a flow of which a
//! packet was queued: it has the label *queued*. So the first packet of a flow
//! is judged with any mark, and the places where the flag is taken away
//! matter to later packets, and to flows without room for labels.
//!
//! A foreign mark with bits where ours lie would be lost when a verdict travels
//! there. So a first packet's bits are kept in labels before it is queued, and
//! set again when it has come back: rules of others behind our jump, and
//! routing, see the mark as it was. First packets of one flow that differ in
//! these bits get those of all. Later packets are not kept for: user space
//! answers such a one without a mark.

use seawall_messages::Hook;
use seawall_messages::keeper::{Layout, WantedRules};
use seawall_messages::policy::Mode;

use crate::linux::layout::{Epoch, MarkAction, denied_label, label, mark_mask, reentry_flag};

mod mangle;

/// What all our chains' names start with.
pub(super) const CHAIN_PREFIX: &str = "SEAWALL_";

const HOOKS: [Hook; 3] = [Hook::Output, Hook::Input, Hook::Forward];

/// IPv6 neighbour discovery: router and neighbour solicitation and advertisement, redirect (RFC 4861).
pub(super) const NEIGHBOUR_DISCOVERY: [u8; 5] = [133, 134, 135, 136, 137];

/// Multicast listener query, report, done (RFC 2710) and report v2 (RFC 3810).
pub(super) const LISTENER_DISCOVERY: [u8; 4] = [130, 131, 132, 143];

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Our part of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) chains: Vec<Chain>,
    pub(super) jumps: Vec<Jump>,
}

/// A rule of a built-in chain that leads every packet to a chain of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) place: Place,
}

/// Where in its chain a jump has to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Last,
}

/// A chain of ours with its rules, each without the leading `-A CHAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) rules: Vec<String>,
}

/// The label of a flow that some allow came back for. See the module's documentation.
pub(in crate::linux) fn judged_label(layout: &Layout) -> u8 {
    layout.label_base
}

/// Our tables in the order in which an epoch changes: `mangle`, which stops
/// honouring the old labels, before `filter`, which stops enforcing them.
pub(super) fn tables(
    rules: &WantedRules,
    epoch: Epoch,
    layout: &Layout,
    family: Family,
) -> Vec<Table> {
    let renderer = Renderer { rules, epoch, layout, family };
    vec![renderer.raw(), renderer.mangle(), renderer.filter(), renderer.security()]
}

/// The name of a hook's built-in chain.
pub(super) fn builtin(hook: Hook) -> &'static str {
    match hook {
        Hook::Output => "OUTPUT",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
    }
}

struct Renderer<'a> {
    rules: &'a WantedRules,
    epoch: Epoch,
    layout: &'a Layout,
    family: Family,
}

impl Renderer<'_> {
    /// The first jumps are for marks that packets come with, which no foreign
    /// ACCEPT may carry past us; the last one is for marks that rules set.
    fn raw(&self) -> Table {
        Table {
            name: "raw",
            chains: vec![Chain { name: "SEAWALL_RAW", rules: self.disarm() }],
            jumps: vec![
                first("PREROUTING", "SEAWALL_RAW"),
                first("OUTPUT", "SEAWALL_RAW"),
                Jump { from: "OUTPUT", to: "SEAWALL_RAW", place: Place::Last },
            ],
        }
    }

    /// Takes the re-entry flag from whoever carries it.
    fn disarm(&self) -> Vec<String> {
        let flag = reentry_flag(self.layout);
        vec![format!("-m mark --mark {flag:#x}/{flag:#x} -j {}", self.clear_mark())]
    }

    /// What no policy may cut: without it the machine loses its network.
    fn always_passes(&self, hook: Hook) -> Vec<String> {
        let icmpv6 = |kind: &u8, hops: u8| {
            format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -m hl --hl-eq {hops}")
        };
        match (self.family, hook) {
            (_, Hook::Forward) => Vec::new(),
            (Family::V4, Hook::Output) => vec![
                "-p igmp -m ttl --ttl-eq 1".into(),
                "-d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67".into(),
            ],
            (Family::V4, Hook::Input) => vec![
                "-p igmp -m ttl --ttl-eq 1".into(),
                "-p udp -m udp --sport 67 --dport 68".into(),
            ],
            (Family::V6, hook) => {
                let mut rules: Vec<_> =
                    NEIGHBOUR_DISCOVERY.iter().map(|kind| icmpv6(kind, 255)).collect();
                rules.extend(LISTENER_DISCOVERY.iter().map(|kind| icmpv6(kind, 1)));
                rules.push(if hook == Hook::Output {
                    "-d ff02::1:2/128 -p udp -m udp --sport 546 --dport 547".into()
                } else {
                    "-s fe80::/10 -p udp -m udp --sport 547 --dport 546".into()
                });
                rules
            }
        }
    }

    fn filter(&self) -> Table {
        let unreachable = match self.family {
            Family::V4 => "icmp-admin-prohibited",
            Family::V6 => "icmp6-adm-prohibited",
        };
        let [reject, drop] =
            [MarkAction::Reject, MarkAction::Drop].map(|action| self.label(action));
        // The reset or error that REJECT makes belongs to the flow that it
        // answers, bears its label, and must get to the program.
        let answers = vec![
            format!("-p {} -m conntrack --ctstate RELATED -j RETURN", self.icmp()),
            "-p tcp -m tcp --tcp-flags RST RST -j RETURN".into(),
            "-p tcp -j REJECT --reject-with tcp-reset".into(),
            format!("-j REJECT --reject-with {unreachable}"),
        ];
        let enforce = vec![
            format!("-m connlabel ! --label {} -j RETURN", denied_label(self.layout)),
            format!("-m connlabel --label {reject} -g SEAWALL_REJ"),
            format!("-m connlabel --label {drop} -j DROP"),
        ];
        Table {
            name: "filter",
            chains: vec![
                Chain { name: "SEAWALL_REJ", rules: answers },
                Chain { name: "SEAWALL_FILTER", rules: enforce },
            ],
            jumps: HOOKS.map(|hook| first(builtin(hook), "SEAWALL_FILTER")).to_vec(),
        }
    }

    fn security(&self) -> Table {
        let mut chains = Vec::new();
        let mut jumps = Vec::new();
        for hook in HOOKS {
            let name = match hook {
                Hook::Output => "SEAWALL_BACK_OUT",
                Hook::Input => "SEAWALL_BACK_IN",
                Hook::Forward => "SEAWALL_BACK_FWD",
            };
            chains.push(Chain { name, rules: self.backstop(hook) });
            jumps.push(first(builtin(hook), name));
        }
        Table { name: "security", chains, jumps }
    }

    fn backstop(&self, hook: Hook) -> Vec<String> {
        let judged = judged_label(self.layout);
        let lockdown = self.rules.mode == Mode::Lockdown;
        let and_judged =
            if lockdown { format!(" -m connlabel --label {judged}") } else { String::new() };
        let mut rules = vec![
            format!("-m connlabel ! --label {}{and_judged} -j RETURN", denied_label(self.layout)),
            format!("-m connlabel --label {} -j DROP", self.label(MarkAction::Drop)),
            format!("-p {} -m conntrack --ctstate RELATED -j RETURN", self.icmp()),
            "-p tcp -m tcp --tcp-flags RST RST -j RETURN".into(),
            format!("-m connlabel --label {} -j DROP", self.label(MarkAction::Reject)),
        ];
        if lockdown {
            for standing in [judged, self.label(MarkAction::Own)] {
                rules.push(format!("-m connlabel --label {standing} -j RETURN"));
            }
            rules.extend(loopback(hook).map(|device| format!("{device} -j RETURN")));
            rules.extend(
                self.always_passes(hook).into_iter().map(|rule| format!("{rule} -j RETURN")),
            );
            rules.push("-m conntrack --ctstate NEW -j DROP".into());
        }
        rules
    }

    fn label(&self, action: MarkAction) -> u8 {
        label(self.layout, action, self.epoch)
    }

    /// Value and mask of the three action bits.
    fn action_match(&self, action: MarkAction) -> String {
        let shift = self.layout.mark_shift;
        format!("{:#x}/{:#x}", (action as u32) << shift, 0x07_u32 << shift)
    }

    fn clear_mark(&self) -> String {
        format!("MARK --set-xmark 0x0/{:#x}", mark_mask(self.layout))
    }

    fn icmp(&self) -> &'static str {
        match self.family {
            Family::V4 => "icmp",
            Family::V6 => "ipv6-icmp",
        }
    }
}

fn first(from: &'static str, to: &'static str) -> Jump {
    Jump { from, to, place: Place::First }
}

/// How a rule says that a packet stays on this machine.
fn loopback(hook: Hook) -> Option<&'static str> {
    match hook {
        Hook::Output => Some("-o lo"),
        Hook::Input => Some("-i lo"),
        Hook::Forward => None,
    }
}

#[cfg(test)]
mod tests;
