//! The rules that send packets to our queues and enforce verdicts.
//!
//! What the rules are is rendered by pure functions (`tables` for iptables,
//! `nft::render` for nft); the back-ends write them, and tell whether they
//! stand. Whoever answers a packet of a flow's first kind has to know one
//! thing: in lockdown, a new flow passes the backstop only if its packet came
//! back with an allow in its mark (lasting or not), not by a bare accept.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use seawall_messages::keeper::{Layout, WantedRules};
use seawall_messages::policy::Mode;

use self::nft::NftRules;
use self::tables::Family;
use self::xtables::{Flavour, Xtables, XtablesRules};
use super::conntrack::Conntrack;
use super::layout::Epoch;

mod command;
mod events;
mod legacy;
mod nft;
mod saved;
mod tables;
mod xtables;

pub(in crate::linux) use self::tables::judged_label;

/// Which program writes the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nft with its native `queue` statement.
    Nft,
    /// iptables on top of nftables.
    IptablesNft,
    /// iptables with its own tables.
    IptablesLegacy,
}

impl Backend {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Nft, Self::IptablesNft, Self::IptablesLegacy];

    /// The name in settings, status and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = RulesError;

    fn from_str(name: &str) -> Result<Self, RulesError> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.as_str() == name)
            .ok_or_else(|| RulesError::NoBackend(format!("there is no back-end named {name:?}")))
    }
}

/// What can go wrong with rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// None of the back-ends works here.
    #[error("no way to write firewall rules here: {0}")]
    NoBackend(String),
    /// The program refused the rules.
    #[error("{program} refused the rules: {message}")]
    Refused {
        /// The program.
        program: String,
        /// What it said.
        message: String,
    },
    /// The program can't be run, or the kernel refused something.
    #[error("can't {doing}")]
    System {
        /// What was attempted.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// Installs, checks, mends and removes our rules. Lives in the keeper. Blocking.
pub struct Rules {
    layout: Layout,
    writer: Writer,
    guards_ipv6: bool,
    /// Whether leftovers of other back-ends are gone.
    alone: bool,
    /// What was applied last.
    mode: Option<Mode>,
}

enum Writer {
    Nft(NftRules),
    Xtables(XtablesRules),
}

impl Rules {
    /// Finds the back-end: the one asked for, else the first that works of nft, iptables-nft, iptables-legacy.
    pub fn detect(wanted: Option<Backend>, layout: Layout) -> Result<Self, RulesError> {
        let guards_ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        if !guards_ipv6 {
            tracing::warn!("This kernel has no IPv6: rules are written for IPv4 only");
        }
        let candidates = wanted.as_ref().map_or(Backend::ALL.as_slice(), std::slice::from_ref);
        let mut refusals = Vec::new();
        for &backend in candidates {
            match Writer::open(backend, guards_ipv6, &layout) {
                Ok(writer) => {
                    return Ok(Self { layout, writer, guards_ipv6, alone: false, mode: None });
                }
                Err(error) => refusals.push(format!("{backend}: {error}")),
            }
        }
        Err(RulesError::NoBackend(refusals.join("; ")))
    }

    /// The back-end in use.
    pub fn backend(&self) -> Backend {
        match &self.writer {
            Writer::Nft(_) => Backend::Nft,
            Writer::Xtables(xtables) => xtables.flavour().backend(),
        }
    }

    /// Whether IPv6 is guarded too: always, unless the kernel has none.
    pub fn guards_ipv6(&self) -> bool {
        self.guards_ipv6
    }

    /// Makes the kernel's rules these, atomically per family and table. Idempotent; also the way to change epoch.
    pub fn apply(&mut self, rules: &WantedRules) -> Result<(), RulesError> {
        let epoch = Epoch::new(rules.epoch).ok_or_else(|| RulesError::System {
            doing: format!("write rules of epoch {}", rules.epoch),
            source: std::io::ErrorKind::InvalidInput.into(),
        })?;
        match &mut self.writer {
            Writer::Nft(nft) => nft.apply(rules, epoch, &self.layout)?,
            Writer::Xtables(xtables) => {
                xtables.apply(|family| tables::tables(rules, epoch, &self.layout, family))?;
            }
        }
        if !self.alone {
            self.alone = self.remove_others();
        }
        if rules.mode == Mode::Lockdown && self.mode != Some(Mode::Lockdown) {
            forget_unlabelled_flows()?;
        }
        self.mode = Some(rules.mode);
        Ok(())
    }

    /// A descriptor that becomes readable when someone changes rules (nft events); `None` for legacy tables.
    pub fn watch_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match &self.writer {
            Writer::Nft(nft) => Some(nft.watch_fd()),
            Writer::Xtables(xtables) => xtables.watch_fd(),
        }
    }

    /// Whether our rules stand as applied and come first. Cheap: in-process for
    /// legacy tables; for nft only after an event. After `false` it stays so until `apply`.
    pub fn intact(&mut self) -> Result<bool, RulesError> {
        match &mut self.writer {
            Writer::Nft(nft) => nft.intact(),
            Writer::Xtables(xtables) => xtables.intact(),
        }
    }

    /// Whether packets that come back from our judgement have nothing more to
    /// meet in the chain where they were queued, as of the last look: then a bare accept of a
    /// flow's later packets cuts nothing short. `false` where nobody could say so at once if it changed.
    pub fn nothing_behind(&self) -> bool {
        match &self.writer {
            // Our chains hold our rules alone.
            Writer::Nft(_) => true,
            Writer::Xtables(xtables) => xtables.nothing_behind(),
        }
    }

    /// Removes every rule and chain of ours, also those of a run before this one.
    pub fn remove(&mut self) -> Result<(), RulesError> {
        match &mut self.writer {
            Writer::Nft(nft) => nft.forget(),
            Writer::Xtables(xtables) => xtables.forget(),
        }
        self.mode = None;
        remove_from(self.backend(), self.guards_ipv6)?;
        self.alone = self.remove_others();
        Ok(())
    }

    /// Takes away what runs with other back-ends left behind. A back-end that
    /// doesn't work here can't be asked, and is no reason to fail.
    fn remove_others(&self) -> bool {
        let own = self.backend();
        let mut all_gone = true;
        for backend in Backend::ALL.into_iter().filter(|backend| *backend != own) {
            if let Err(error) = remove_from(backend, self.guards_ipv6) {
                all_gone = false;
                tracing::debug!(%backend, %error, "Leftovers of another back-end could not be looked for");
            }
        }
        all_gone
    }
}

impl Writer {
    fn open(backend: Backend, guards_ipv6: bool, layout: &Layout) -> Result<Self, RulesError> {
        let xtables =
            |flavour| XtablesRules::open(flavour, families(guards_ipv6), layout).map(Self::Xtables);
        match backend {
            Backend::Nft => NftRules::open(layout).map(Self::Nft),
            Backend::IptablesNft => xtables(Flavour::Nft),
            Backend::IptablesLegacy => xtables(Flavour::Legacy),
        }
    }
}

/// Unanswered flows that are older than our rules have no room for the label
/// that the lockdown backstop asks for: their next packet starts them afresh.
fn forget_unlabelled_flows() -> Result<(), RulesError> {
    Conntrack::open()
        .and_then(|mut conntrack| conntrack.delete_unanswered_unlabelled())
        .map(drop)
        .map_err(|error| RulesError::System { doing: error.doing.into(), source: error.source })
}

fn families(guards_ipv6: bool) -> &'static [Family] {
    if guards_ipv6 { &[Family::V4, Family::V6] } else { &[Family::V4] }
}

fn remove_from(backend: Backend, guards_ipv6: bool) -> Result<(), RulesError> {
    let flavour = match backend {
        Backend::Nft => return nft::remove(),
        Backend::IptablesNft => Flavour::Nft,
        Backend::IptablesLegacy => Flavour::Legacy,
    };
    families(guards_ipv6)
        .iter()
        .filter_map(|&family| Xtables::find(flavour, family))
        .try_for_each(|xtables| xtables.remove())
}
