//! The back-end of nft with its native `queue` statement: one table of our
//! own for both families, filled anew in one transaction. Its base chains stay
//! until the table is removed: when a base chain goes, the kernel drops what
//! waits in any packet queue of the namespace.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use seawall_messages::keeper::{Layout, WantedRules};

use super::RulesError;
use super::command::Program;
use super::events::RuleEvents;
use crate::linux::layout::Epoch;

mod render;

/// Removes our table whether it is there or not.
const REMOVAL: &str = "add table inet seawall\ndelete table inet seawall\n";

/// Empties our chains, so that the table can be written as if it were new.
const REFILL: &str = "add table inet seawall\nflush table inet seawall\n";

/// Writes and watches our own table.
pub(super) struct NftRules {
    program: Program,
    events: RuleEvents,
    /// Our table as `nft` printed it right after it was installed.
    applied: Option<String>,
}

impl NftRules {
    /// Makes sure that this kernel takes our rules: it checks them and changes nothing.
    pub(super) fn open(layout: &Layout) -> Result<Self, RulesError> {
        let program = Program::find("nft")
            .ok_or_else(|| RulesError::NoBackend("nft is not installed".into()))?;
        program.run(&["--check", "-f", "-"], &render::probe(layout))?;
        let events = RuleEvents::open().map_err(listening)?;
        Ok(Self { program, events, applied: None })
    }

    pub(super) fn apply(
        &mut self,
        rules: &WantedRules,
        epoch: Epoch,
        layout: &Layout,
    ) -> Result<(), RulesError> {
        self.applied = None;
        let listed = self.install(&render::table(rules, epoch, layout))?;
        self.applied = Some(listed);
        Ok(())
    }

    /// Writes the table and returns what then stands. What is there already is
    /// replaced as a whole only if its chains are not those that we want.
    fn install(&self, text: &str) -> Result<String, RulesError> {
        match self.write(REFILL, text) {
            Ok(listed) if chains(&listed) == chains(text) => return Ok(listed),
            Ok(_) | Err(RulesError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        let listed = self.write(REMOVAL, text)?;
        if chains(&listed) == chains(text) {
            return Ok(listed);
        }
        Err(RulesError::Refused {
            program: "another program".into(),
            message: "it changed our rules while they were installed".into(),
        })
    }

    fn write(&self, before: &str, text: &str) -> Result<String, RulesError> {
        self.program.run(&["-f", "-"], &format!("{before}{text}"))?;
        // What comes after this is an event of somebody else.
        self.events.drain().map_err(listening)?;
        self.list()
    }

    pub(super) fn intact(&mut self) -> Result<bool, RulesError> {
        if self.events.drain().map_err(listening)? {
            let stands = match self.list() {
                Ok(listed) => self.applied.as_ref() == Some(&listed),
                Err(RulesError::Refused { .. }) => false,
                Err(error) => return Err(error),
            };
            if !stands {
                self.applied = None;
            }
        }
        Ok(self.applied.is_some())
    }

    pub(super) fn watch_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    pub(super) fn forget(&mut self) {
        self.applied = None;
    }

    fn list(&self) -> Result<String, RulesError> {
        self.program.run(&["--stateless", "list", "table", "inet", "seawall"], "")
    }
}

/// Takes our table away, if `nft` is here and it is there.
pub(super) fn remove() -> Result<(), RulesError> {
    match Program::find("nft") {
        Some(program) if is_installed(&program)? => program.run(&["-f", "-"], REMOVAL).map(drop),
        _ => Ok(()),
    }
}

fn is_installed(program: &Program) -> Result<bool, RulesError> {
    let tables = program.run(&["list", "tables"], "")?;
    Ok(tables.lines().any(|line| line.trim() == "table inet seawall"))
}

/// The names of the chains in a table's text.
fn chains(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("chain ")).collect()
}

fn listening(source: std::io::Error) -> RulesError {
    RulesError::System { doing: "listen for changes of rules".into(), source }
}
