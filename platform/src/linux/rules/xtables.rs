//! Both flavours of iptables: reads with `iptables-save`, writes with one
//! `iptables-restore` a family.

use std::os::fd::{AsFd, BorrowedFd};

use seawall_messages::keeper::Layout;

use super::command::Program;
use super::events::RuleEvents;
use super::legacy::LegacyTables;
use super::saved::{self, Order, Saved};
use super::tables::{Family, Table, judged_label};
use super::{Backend, RulesError};
use crate::linux::layout::{QueueId, QueueKind};

/// How often a change is tried again that another program's change got in the way of.
const ATTEMPTS: usize = 8;

/// Our tables, all of which are watched.
const TABLES: [&str; 4] = ["raw", "mangle", "filter", "security"];

/// Waits for the lock that all users of iptables share.
const LOCK_WAIT_SECONDS: &str = "5";

/// The kernel's side of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Nft,
    Legacy,
}

/// The programs of one flavour and family.
pub(super) struct Xtables {
    family: Family,
    save: Program,
    restore: Program,
}

/// One family's rules and how to tell whether they are untouched.
struct Guarded {
    xtables: Xtables,
    legacy: Option<LegacyTables>,
    applied: Option<Applied>,
}

/// What was found right after the rules were installed.
struct Applied {
    tables: Vec<Table>,
    saved: Saved,
    fingerprint: Option<u64>,
}

/// The back-end of one flavour.
pub(super) struct XtablesRules {
    flavour: Flavour,
    families: Vec<Guarded>,
    events: Option<RuleEvents>,
}

impl Flavour {
    pub(super) fn backend(self) -> Backend {
        match self {
            Self::Nft => Backend::IptablesNft,
            Self::Legacy => Backend::IptablesLegacy,
        }
    }

    /// What the programs' names contain, and what they say for `--version`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nft => ("nft", "nf_tables"),
            Self::Legacy => ("legacy", "legacy"),
        }
    }
}

impl Xtables {
    /// Finds the programs. `None`: they are not installed.
    pub(super) fn find(flavour: Flavour, family: Family) -> Option<Self> {
        let (infix, version) = flavour.names();
        let command = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let pair = |prefix: &str| {
            let save = Program::find(&format!("{prefix}-save"))?;
            let restore = Program::find(&format!("{prefix}-restore"))?;
            Some(Self { family, save, restore })
        };
        pair(&format!("{command}-{infix}")).or_else(|| {
            // Distributions with one flavour only give it the plain name.
            pair(command).filter(|found| {
                found.restore.run(&["--version"], "").is_ok_and(|text| text.contains(version))
            })
        })
    }

    fn read(&self) -> Result<Saved, RulesError> {
        Ok(Saved::parse(&self.save.run(&[], "")?))
    }

    fn write(&self, text: &str) -> Result<(), RulesError> {
        self.restore.run(&["--noflush", "-w", LOCK_WAIT_SECONDS], text).map(drop)
    }

    /// Reads and writes until no other program's change came in between.
    fn change(&self, text: impl Fn(&Saved) -> Option<String>) -> Result<(), RulesError> {
        let mut attempt = 1;
        loop {
            let saved = self.read()?;
            let Some(text) = text(&saved) else { return Ok(()) };
            match self.write(&text) {
                Err(RulesError::Refused { .. }) if attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// Takes away whatever is ours.
    pub(super) fn remove(&self) -> Result<(), RulesError> {
        self.change(|saved| (!saved.is_empty()).then(|| saved::removal(saved)))
    }

    /// Whether the kernel takes what we need. Leaves no trace: the chain that
    /// it tries is not led to by any rule.
    fn probe(&self, layout: &Layout) -> Result<(), RulesError> {
        self.remove_probe()?;
        let queue = QueueId::all().find(|queue| queue.kind == QueueKind::New);
        let number = queue.map_or(0, |queue| queue.number(layout));
        let label = judged_label(layout);
        let hops = match self.family {
            Family::V4 => "-m ttl --ttl-eq 1",
            Family::V6 => "-m hl --hl-eq 1",
        };
        let text = format!(
            "*raw\n:{PROBE} - [0:0]\n-A {PROBE} -m mark --mark 0x0/0x1 -j MARK --set-xmark 0x0/0x1\nCOMMIT\n\
             *mangle\n:{PROBE} - [0:0]\n-A {PROBE} -m connlabel --label {label} --set\n\
             -A {PROBE} -m owner --gid-owner 0 {hops} -j RETURN\n\
             -A {PROBE} -m conntrack --ctdir REPLY -j NFQUEUE --queue-num {number} --queue-bypass\nCOMMIT\n\
             *filter\n:{PROBE} - [0:0]\n-A {PROBE} -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n\
             *security\n:{PROBE} - [0:0]\n-A {PROBE} -m conntrack --ctstate NEW -j DROP\nCOMMIT\n"
        );
        let outcome = self.write(&text);
        self.remove_probe()?;
        outcome
    }

    fn remove_probe(&self) -> Result<(), RulesError> {
        self.change(|saved| {
            let probe = saved.only_chain(PROBE);
            (!probe.is_empty()).then(|| saved::removal(&probe))
        })
    }
}

/// The chain that tells whether the kernel takes our rules.
const PROBE: &str = "SEAWALL_PROBE";

impl XtablesRules {
    /// Makes sure that everything is there that our rules need.
    pub(super) fn open(
        flavour: Flavour,
        families: &[Family],
        layout: &Layout,
    ) -> Result<Self, RulesError> {
        let mut guarded = Vec::new();
        for &family in families {
            let xtables = Xtables::find(flavour, family).ok_or_else(|| {
                RulesError::NoBackend(format!(
                    "{} is not installed for {family:?}",
                    flavour.backend()
                ))
            })?;
            xtables.probe(layout)?;
            let legacy = (flavour == Flavour::Legacy)
                .then(|| LegacyTables::open(family))
                .transpose()
                .map_err(|source| system("open a socket for iptables", source))?;
            guarded.push(Guarded { xtables, legacy, applied: None });
        }
        let events = (flavour == Flavour::Nft)
            .then(RuleEvents::open)
            .transpose()
            .map_err(|source| system("listen for changes of rules", source))?;
        Ok(Self { flavour, families: guarded, events })
    }

    pub(super) fn flavour(&self) -> Flavour {
        self.flavour
    }

    pub(super) fn apply(
        &mut self,
        tables: impl Fn(Family) -> Vec<Table>,
    ) -> Result<(), RulesError> {
        for attempt in 1.. {
            for family in &mut self.families {
                family.install(&tables(family.xtables.family))?;
            }
            // What comes after this is an event of somebody else.
            self.drain()?;
            let looks = self.families.iter_mut().map(|family| {
                let tables = tables(family.xtables.family);
                family.look(tables)
            });
            let stands = looks.collect::<Result<Vec<bool>, _>>()?.into_iter().all(|stands| stands);
            if stands {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                break;
            }
        }
        Err(RulesError::Refused {
            program: "another program".into(),
            message: "it changes our rules whenever they are installed".into(),
        })
    }

    pub(super) fn intact(&mut self) -> Result<bool, RulesError> {
        if self.events.is_some() && !self.drain()? {
            return Ok(self.families.iter().all(|family| family.applied.is_some()));
        }
        for family in &mut self.families {
            if !family.intact()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As of the last look. Never where the kernel doesn't tell when that changes.
    pub(super) fn nothing_behind(&self) -> bool {
        let nothing_behind = |family: &Guarded| {
            family.applied.as_ref().is_some_and(|applied| applied.saved.nothing_behind())
        };
        self.events.is_some() && self.families.iter().all(nothing_behind)
    }

    pub(super) fn watch_fd(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(AsFd::as_fd)
    }

    /// Takes the word of nothing but the kernel from now on.
    pub(super) fn forget(&mut self) {
        for family in &mut self.families {
            family.applied = None;
        }
    }

    fn drain(&self) -> Result<bool, RulesError> {
        let Some(events) = &self.events else { return Ok(false) };
        events.drain().map_err(|source| system("listen for changes of rules", source))
    }
}

impl Guarded {
    /// Writes these rules over those that are there. What was seen last is
    /// taken for true at first: a `restore` that relies on what isn't there changes nothing.
    fn install(&mut self, tables: &[Table]) -> Result<(), RulesError> {
        let mut known = self.applied.take().map(|applied| applied.saved);
        let mut attempt = 1;
        loop {
            let saved = known.take().map_or_else(|| self.xtables.read(), Ok)?;
            let order = if saved.judges() { Order::JudgeFirst } else { Order::EnforceFirst };
            match self.xtables.write(&saved::install(tables, &saved, order)) {
                Err(RulesError::Refused { .. }) if attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// Notes what stands after an installation. `false`: not what was installed.
    fn look(&mut self, tables: Vec<Table>) -> Result<bool, RulesError> {
        for _ in 0..ATTEMPTS {
            let fingerprint = self.fingerprint()?;
            let saved = self.xtables.read()?;
            if !saved.has(&tables) {
                return Ok(false);
            }
            if self.fingerprint()? == fingerprint {
                self.applied = Some(Applied { tables, saved, fingerprint });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether what was applied still stands. A change by others that leaves
    /// ours alone becomes the new normal.
    fn intact(&mut self) -> Result<bool, RulesError> {
        let fingerprint = self.fingerprint()?;
        let Some(applied) = &mut self.applied else { return Ok(false) };
        if fingerprint.is_some() && fingerprint == applied.fingerprint {
            return Ok(true);
        }
        let saved = self.xtables.read()?;
        if !saved.has(&applied.tables) || !saved.has_chains_of(&applied.saved) {
            // Even if somebody puts our rules back: it is for us to say that they stand.
            self.applied = None;
            return Ok(false);
        }
        // A change since the fingerprint was taken shows as another one next time.
        applied.fingerprint = fingerprint;
        applied.saved = saved;
        Ok(true)
    }

    fn fingerprint(&self) -> Result<Option<u64>, RulesError> {
        self.legacy
            .as_ref()
            .map(|tables| tables.fingerprint(&TABLES))
            .transpose()
            .map_err(|source| system("read the tables of iptables", source))
    }
}

fn system(doing: &str, source: std::io::Error) -> RulesError {
    RulesError::System { doing: doing.into(), source }
}
