//! Our rules in real network namespaces, with both flavours of iptables. `LAB_BACKENDS=nft` tries nft
//! with its own `queue` instead, where the kernel has it: `scripts/guests` does.

use seawall_messages::keeper::{Layout, WantedRules};
use seawall_messages::policy::Mode;
use seawall_platform::linux::layout::{Epoch, MarkAction};
use seawall_platform::linux::rules::{Backend, Rules};

#[path = "rules/changes.rs"]
mod changes;
#[path = "rules/held.rs"]
mod held;
#[path = "support/host.rs"]
mod host;
#[path = "support/judge.rs"]
mod judge;
#[path = "rules/marks.rs"]
mod marks;
#[path = "support/socket.rs"]
mod socket;
#[path = "rules/standing.rs"]
mod standing;
#[path = "rules/verdicts.rs"]
mod verdicts;
#[path = "support/wait.rs"]
mod wait;

use host::Host;
use judge::{Judge, Judgement};

const BACKENDS: [Backend; 2] = [Backend::IptablesNft, Backend::IptablesLegacy];

/// Those that tests of what rules do are run with.
fn backends() -> Vec<Backend> {
    match std::env::var("LAB_BACKENDS").as_deref() {
        Ok("nft") => vec![Backend::Nft],
        Ok(other) => panic!("LAB_BACKENDS={other}: only nft can be named"),
        Err(_) => BACKENDS.to_vec(),
    }
}

/// The save programs of a back-end, both families.
fn savers(backend: Backend) -> [&'static str; 2] {
    match backend {
        Backend::IptablesLegacy => ["iptables-legacy-save", "ip6tables-legacy-save"],
        _ => ["iptables-nft-save", "ip6tables-nft-save"],
    }
}

/// The command of a back-end, IPv4.
fn iptables(backend: Backend) -> &'static str {
    match backend {
        Backend::IptablesLegacy => "iptables-legacy",
        _ => "iptables-nft",
    }
}

fn wanted(epoch: Epoch, mode: Mode) -> WantedRules {
    WantedRules { epoch: epoch.get(), mode, judge_loopback: false }
}

/// Rules of the first epoch on a host.
fn install(host: &Host, backend: Backend, mode: Mode) -> Rules {
    host.on(|| {
        let mut rules = Rules::detect(Some(backend), Layout::default()).expect("a back-end");
        rules.apply(&wanted(Epoch::FIRST, mode)).expect("to install rules");
        rules
    })
}

fn apply(host: &Host, rules: &mut Rules, epoch: Epoch, mode: Mode) {
    host.on(|| rules.apply(&wanted(epoch, mode)).expect("to change rules"));
}

fn standing(action: MarkAction) -> Judgement {
    Judgement { action, standing: Some(Epoch::FIRST) }
}

fn temporary(action: MarkAction) -> Judgement {
    Judgement { action, standing: None }
}

fn judge(host: &Host, judgement: Judgement) -> Judge {
    Judge::start(host, Layout::default(), judgement)
}
