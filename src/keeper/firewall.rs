//! The rules in the kernel as the keeper minds them: set as the worker wants
//! them, looked at, put back.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use seawall_messages::keeper::{Layout, WantedRules};
use seawall_platform::linux::conntrack::Conntrack;
use seawall_platform::linux::rules::{Backend, Rules};

use super::error::KeeperError;
use super::events;
use crate::settings;
use crate::verbs::describe;

/// How often rules are looked at where the kernel does not tell of changes.
const TICK: Duration = Duration::from_millis(250);

/// How long after a failure to put the rules back it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a look at the rules found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// They stand.
    Intact,
    /// They did not, and do again; so often so far.
    Mended(u64),
    /// They do not.
    Broken(String),
}

/// Rules and labels.
pub(super) struct Firewall {
    layout: Layout,
    rules: Rules,
    wanted: Option<WantedRules>,
    mended: u64,
    broken: bool,
    next_look: Instant,
}

impl Firewall {
    /// Finds out how rules are written here. Where it is known which rules a
    /// run before this one left, they are written again, its verdicts stand until
    /// the worker moves to the next epoch, and decided flows go on. Otherwise its
    /// labels are cleared, and its rules stay until the worker wants others.
    pub(super) fn open(
        asked: Option<Backend>,
        layout: Layout,
        standing: Option<WantedRules>,
    ) -> Result<Self, KeeperError> {
        let mut rules = Rules::detect(asked, layout)?;
        match &standing {
            Some(standing) => rules.apply(standing)?,
            None => events::labels_cleared(Conntrack::open()?.clear_labels(&layout)?),
        }
        let next_look = Instant::now();
        Ok(Self { layout, rules, wanted: standing, mended: 0, broken: false, next_look })
    }

    /// Goes on with the rules that the program before this one set. Labels stay.
    pub(super) fn take_over(
        backend: Backend,
        layout: Layout,
        wanted: Option<WantedRules>,
        mended: u64,
    ) -> Result<Self, KeeperError> {
        let mut rules = Rules::detect(Some(backend), layout)?;
        if let Some(wanted) = &wanted {
            // They stand, as far as anybody knows; from here on we know.
            rules.apply(wanted)?;
        }
        Ok(Self { layout, rules, wanted, mended, broken: false, next_look: Instant::now() })
    }

    /// Which program writes them.
    pub(super) fn backend(&self) -> &'static str {
        settings::backend_name(self.rules.backend())
    }

    /// How often they had to be put back, if ever.
    pub(super) fn mended(&self) -> Option<u64> {
        (self.mended > 0).then_some(self.mended)
    }

    /// How often they had to be put back, for whoever takes over.
    pub(super) fn mended_times(&self) -> u64 {
        self.mended
    }

    /// What was set last.
    pub(super) fn wanted(&self) -> Option<&WantedRules> {
        self.wanted.as_ref()
    }

    /// Sets rules, in place of those before. Where that fails, those before stay wanted.
    pub(super) fn set(&mut self, rules: WantedRules) -> Result<(), String> {
        let started = Instant::now();
        self.rules.apply(&rules).map_err(|error| {
            let error = describe(&error);
            events::rules_failed(&error);
            error
        })?;
        events::rules_set(rules.epoch, rules.mode, started.elapsed());
        self.wanted = Some(rules);
        self.broken = false;
        self.next_look = Instant::now() + TICK;
        Ok(())
    }

    /// Whether judged packets have nothing more to meet where they were queued.
    pub(super) fn nothing_behind(&self) -> bool {
        !self.broken && self.wanted.is_some() && self.rules.nothing_behind()
    }

    /// Readable when someone changed rules, where the kernel tells.
    pub(super) fn watch_fd(&self) -> Option<BorrowedFd<'_>> {
        self.rules.watch_fd()
    }

    /// When to look next, whatever the kernel tells.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let due = self.wanted.is_some() && (self.broken || self.rules.watch_fd().is_none());
        due.then_some(self.next_look)
    }

    /// Looks at the rules and puts them back where they are not as they should be.
    pub(super) fn look(&mut self) -> Look {
        self.next_look = Instant::now() + TICK;
        let Some(wanted) = &self.wanted else {
            // Nothing is wanted yet, but events must be read, or they wake us for ever.
            let _ = self.rules.intact();
            return Look::Intact;
        };
        let mending = match self.rules.intact() {
            Ok(true) if !self.broken => return Look::Intact,
            Ok(_) => self.rules.apply(wanted),
            Err(error) => Err(error),
        };
        match mending {
            Ok(()) => {
                self.broken = false;
                self.mended += 1;
                events::rules_mended(self.mended);
                Look::Mended(self.mended)
            }
            Err(error) => {
                self.broken = true;
                self.next_look = Instant::now() + RETRY;
                let error = describe(&error);
                events::rules_failed(&error);
                Look::Broken(error)
            }
        }
    }

    /// Removes every rule of ours.
    pub(super) fn remove_rules(&mut self) -> Result<(), KeeperError> {
        self.wanted = None;
        Ok(self.rules.remove()?)
    }

    /// Removes every label of ours.
    pub(super) fn clear_labels(&self) -> Result<(), KeeperError> {
        Conntrack::open()?.clear_labels(&self.layout)?;
        Ok(())
    }
}
