//! `seawall remove-rules`: lets everything pass again, where no Seawall runs.

use seawall_platform::linux::conntrack::Conntrack;
use seawall_platform::linux::link::NamespaceLock;
use seawall_platform::linux::rules::{Backend, Rules, RulesError};

use super::{Outcome, describe};
use crate::cli::Folders;
use crate::output;
use crate::settings;

pub(in crate::verbs) fn perform(file: &Folders) -> Outcome {
    match remove(file) {
        Ok(()) => {
            output::line("all rules and labels of Seawall are removed; everything passes");
            Outcome::Done
        }
        Err(problem) => {
            output::complaint(problem);
            if !rustix::process::geteuid().is_root() {
                output::hint("this needs root: `sudo seawall remove-rules`");
            }
            Outcome::Failed
        }
    }
}

fn remove(file: &Folders) -> Result<(), String> {
    match NamespaceLock::take() {
        Ok(Some(lock)) => {
            let removed = remove_all(file);
            drop(lock);
            removed
        }
        Ok(None) => Err("a Seawall guards this network namespace; stop it first".to_owned()),
        Err(error) => Err(format!("can't take the lock of this network namespace: {error}")),
    }
}

/// With every back-end that works here: which one wrote the rules is not known any more.
fn remove_all(file: &Folders) -> Result<(), String> {
    // A policy file that can't be read must not keep anybody locked out.
    let layout = settings::load(&file.config.config, &file.state_dir)
        .map(|found| found.layout)
        .unwrap_or_default();
    let mut worked = false;
    for backend in [Backend::Nft, Backend::IptablesNft, Backend::IptablesLegacy] {
        match Rules::detect(Some(backend), layout).and_then(|mut rules| rules.remove()) {
            Ok(()) => worked = true,
            Err(RulesError::NoBackend(_)) => {}
            Err(error) => return Err(describe(&error)),
        }
    }
    if !worked {
        return Err("no program that writes firewall rules works here".to_owned());
    }
    Conntrack::open()
        .and_then(|mut conntrack| conntrack.clear_labels(&layout))
        .map(drop)
        .map_err(|error| describe(&error))
}
