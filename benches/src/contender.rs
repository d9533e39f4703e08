//! Who is measured, and how each is put into the path of the packets.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lab::seawall::SeawallBuilder;
use lab::{Running, Seawall, World, vitals};

use crate::bare::{MARK, Variant, queue_number};
use crate::opensnitch::{OpenSnitch, Rules};

/// A rule that matches nothing, and makes the kernel track connections.
const TRACKING: &str = "-A OUTPUT -o peer -m conntrack --ctstate INVALID -j ACCEPT\n";

/// What stands between the desk's programs and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// No firewall, with connection tracking on.
    Nothing,
    /// The bare loop, every packet through it.
    BareD,
    /// The same with connection tracking on, as every stateful firewall has it.
    BareDTracked,
    /// The bare loop, connections marked after their first verdict.
    BareG,
    /// Seawall as it comes.
    Seawall,
    /// Seawall with every packet judged.
    SeawallJudging,
    /// Seawall where each connection's owner is known before it is judged, by
    /// what the kernel notes.
    SeawallAttributing,
    /// The same where nobody counts what sockets move.
    SeawallAttributingAlone,
    /// That without the kernel's notes: by the socket tables and `/proc`.
    SeawallByTables,
    /// Seawall that looks for nobody's owner, also not for lists, and has no rules of apps. Nobody
    /// counts what sockets move.
    SeawallLookUpLeftOut,
    /// The same with a rule about an address as far away as those that are called: an
    /// answer holds for the service that it was asked for, and for no other.
    SeawallAsking,
    /// A peer that attributes every connection, and allows all.
    OpenSnitch,
}

/// A rule of an app that nobody runs: each connection might be its.
pub(crate) const POLICY_OF_NOBODY: &str =
    "[[app]]\nmatch = { path = \"/usr/bin/nobody-runs-this\" }\noutgoing_rules = [\"- *\"]\n";
/// A rule about an address in the LAN that nobody calls: all others there may be meant.
const POLICY_OF_ONE_ADDRESS: &str = "[filter]\noutgoing_rules = [\"- 10.99.99.99\"]\n";
/// Chooses how Seawall finds owners; see the worker.
const ATTRIBUTION: &str = "SEAWALL_ATTRIBUTION";
const SOCKET_TABLES: &str = "socket-tables";
/// Chooses how it counts bytes.
const COUNTING: &str = "SEAWALL_COUNTING";
const OFF: &str = "off";
/// The hook that does nothing but count.
const COUNTS: &str = "ingress";

impl Contender {
    /// As in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no firewall",
            Self::BareD => "D",
            Self::BareDTracked => "D tracked",
            Self::BareG => "G",
            Self::Seawall => "Seawall",
            Self::SeawallJudging => "Seawall, every packet judged",
            Self::SeawallAttributing => "Seawall, owners by the kernel's notes, bytes counted",
            Self::SeawallAttributingAlone => "Seawall, owners by the kernel's notes",
            Self::SeawallByTables => "Seawall, owners by the socket tables",
            Self::SeawallLookUpLeftOut => "look-up left out",
            Self::SeawallAsking => "look-up left out, each asked about",
            Self::OpenSnitch => "OpenSnitch",
        }
    }
}

/// A contender in its place. Gone, with its rules, when dropped.
pub(crate) struct Entered<'w> {
    arena: Arena<'w>,
    /// Those whose CPU time is the contender's price.
    processes: Vec<u32>,
    held: Held<'w>,
}

/// What has to live as long as the contender is in place.
enum Held<'w> {
    Nothing,
    Loop { _running: Running },
    Seawall { _seawall: Box<Seawall<'w>> },
    OpenSnitch { _peer: Box<OpenSnitch<'w>> },
}

/// How contenders are entered: the flavour of iptables that all of them use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena<'w> {
    pub(crate) world: &'w World,
    pub(crate) flavour: &'static str,
}

impl<'w> Arena<'w> {
    /// Puts a contender in place. Ready when this returns.
    pub(crate) fn enter(&self, contender: Contender) -> anyhow::Result<Entered<'w>> {
        match contender {
            Contender::Nothing => {
                self.restore(TRACKING);
                Ok(self.entered(Vec::new(), Held::Nothing))
            }
            Contender::BareD => self.enter_loop(Variant::D, ""),
            Contender::BareDTracked => self.enter_loop(Variant::D, TRACKING),
            // Connection marks need tracking: their rules turn it on.
            Contender::BareG => self.enter_loop(Variant::G, ""),
            Contender::Seawall => Ok(self.enter_seawall("")),
            Contender::SeawallJudging => {
                Ok(self.enter_seawall("[filter]\npermanent_verdicts = false\n"))
            }
            Contender::SeawallAttributing => {
                self.enter_noting(self.seawall(POLICY_OF_NOBODY), |_| true)
            }
            Contender::SeawallAttributingAlone => {
                let seawall = self.seawall(POLICY_OF_NOBODY).environment(COUNTING, OFF);
                self.enter_noting(seawall, |hook| hook != COUNTS)
            }
            Contender::SeawallByTables => {
                let seawall = self.without_notes(POLICY_OF_NOBODY).environment(COUNTING, OFF);
                Ok(self.entered_seawall(seawall.start()))
            }
            Contender::SeawallLookUpLeftOut => Ok(self.enter_without_look_up("")),
            Contender::SeawallAsking => Ok(self.enter_without_look_up(POLICY_OF_ONE_ADDRESS)),
            Contender::OpenSnitch => {
                let peer = OpenSnitch::start(&self.world.desk, Rules::AllowAll)?;
                Ok(self.entered(vec![peer.pid()], Held::OpenSnitch { _peer: Box::new(peer) }))
            }
        }
    }

    /// Seawall that finds owners by what the kernel notes, with all hooks that are wanted.
    fn enter_noting(
        &self,
        seawall: SeawallBuilder<'w>,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Entered<'w>> {
        let seawall = seawall.start();
        let hooks = seawall.apps().hooks.into_iter().filter(|hook| wanted(&hook.name));
        let missing = hooks.filter_map(|hook| hook.missing).next();
        ensure!(missing.is_none(), "the kernel doesn't note all owners: {missing:?}");
        Ok(self.entered_seawall(seawall))
    }

    fn enter_without_look_up(&self, policy: &str) -> Entered<'w> {
        let seawall = self.seawall(policy).environment(ATTRIBUTION, OFF).environment(COUNTING, OFF);
        self.entered_seawall(seawall.start())
    }

    /// Seawall with this policy, yet to be started.
    pub(crate) fn seawall(&self, policy: &str) -> SeawallBuilder<'w> {
        Seawall::on(&self.world.desk).policy(policy).backend(self.flavour)
    }

    /// Starts Seawall with this policy.
    pub(crate) fn enter_seawall(&self, policy: &str) -> Entered<'w> {
        self.entered_seawall(self.seawall(policy).start())
    }

    /// Takes away what was left behind: rules, and the kernel's memory of
    /// connections, which drops what is new once it is full.
    pub(crate) fn clear(&self) {
        let desk = &self.world.desk;
        lab::process::run(desk.command("nft").args(["flush", "ruleset"]));
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            lab::process::run(desk.command(program).args(["-w", "5", "-t", "mangle", "-F"]));
        }
        lab::process::run(desk.command("conntrack").arg("-F"));
    }

    fn without_notes(&self, policy: &str) -> SeawallBuilder<'w> {
        self.seawall(policy).environment(ATTRIBUTION, SOCKET_TABLES)
    }

    fn entered_seawall(&self, seawall: Seawall<'w>) -> Entered<'w> {
        let processes = vec![seawall.keeper_pid(), seawall.worker_pid()];
        self.entered(processes, Held::Seawall { _seawall: Box::new(seawall) })
    }

    fn enter_loop(&self, variant: Variant, before: &str) -> anyhow::Result<Entered<'w>> {
        let own = std::env::current_exe().context("finding the bench itself")?;
        let name = match variant {
            Variant::D => "d",
            Variant::G => "g",
        };
        let running = self.world.desk.start(&own.to_string_lossy(), &["bare", name]);
        if running.line(Duration::from_secs(10)).as_deref() != Some("ready") {
            bail!("the bare loop did not start: {}", running.stderr());
        }
        self.restore(&format!("{before}{}", rules(variant, queue_number())));
        Ok(self.entered(vec![running.pid()], Held::Loop { _running: running }))
    }

    fn restore(&self, rules: &str) {
        self.world.desk.restore(self.flavour, &format!("*mangle\n{rules}COMMIT\n"));
    }

    fn entered(&self, processes: Vec<u32>, held: Held<'w>) -> Entered<'w> {
        Entered { arena: *self, processes, held }
    }
}

/// Rules of the bare loop. Variant G carries the mark as peers do: saved behind
/// the last routing decision, looked at first.
fn rules(variant: Variant, queue: u16) -> String {
    let mut rules = String::new();
    if variant == Variant::G {
        for (chain, interface) in [("OUTPUT", "-o"), ("INPUT", "-i")] {
            rules.push_str(&format!(
                "-A {chain} {interface} peer -m connmark --mark {MARK:#x} -j ACCEPT\n"
            ));
        }
        rules.push_str(&format!(
            "-A POSTROUTING -m mark --mark {MARK:#x} -j CONNMARK --save-mark\n"
        ));
    }
    for (chain, interface) in [("OUTPUT", "-o"), ("INPUT", "-i")] {
        rules.push_str(&format!("-A {chain} {interface} peer -j NFQUEUE --queue-num {queue}\n"));
    }
    rules
}

impl Entered<'_> {
    /// CPU time that the contender has used so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let times = self.processes.iter().map(|pid| {
            vitals::cpu_time(*pid).with_context(|| format!("reading the CPU time of process {pid}"))
        });
        times.sum()
    }

    /// How often its threads were given a processor so far.
    pub(crate) fn wake_ups(&self) -> anyhow::Result<u64> {
        let counts = self.processes.iter().map(|pid| {
            vitals::wake_ups(*pid, |_| true)
                .with_context(|| format!("reading how often process {pid} ran"))
        });
        counts.sum()
    }

    /// Memory of both processes in KiB, shared pages in proportion.
    pub(crate) fn pss_kib(&self) -> anyhow::Result<u64> {
        let sizes = self.processes.iter().map(|pid| {
            vitals::pss_kib(*pid).with_context(|| format!("reading the memory of process {pid}"))
        });
        sizes.sum()
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.held = Held::Nothing;
        self.arena.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_of_variant_d_is_queued_and_variant_g_lets_marked_ones_by() {
        assert_eq!(
            rules(Variant::D, 5),
            "-A OUTPUT -o peer -j NFQUEUE --queue-num 5\n-A INPUT -i peer -j NFQUEUE --queue-num 5\n"
        );
        let g = rules(Variant::G, 5);
        let positions = ["--mark 0x1 -j ACCEPT", "--save-mark", "NFQUEUE"].map(|part| g.find(part));
        assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{g}");
    }
}
