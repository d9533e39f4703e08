//! `seawall early-rules`: what an absent Seawall means in lockdown, from the
//! first moment of a boot on. The rules are those of a Seawall without a
//! worker; the keeper writes its own over them.

use seawall_messages::keeper::WantedRules;
use seawall_messages::policy::Mode;
use seawall_platform::linux::layout::Epoch;
use seawall_platform::linux::link::NamespaceLock;
use seawall_platform::linux::rules::Rules;

use super::{Outcome, describe};
use crate::cli::Folders;
use crate::output;
use crate::settings::{self, Settings};

pub(super) fn perform(folders: &Folders) -> Outcome {
    match set(folders) {
        Ok(what) => {
            output::line(what);
            Outcome::Done
        }
        Err(problem) => {
            output::complaint(problem);
            Outcome::Failed
        }
    }
}

fn set(folders: &Folders) -> Result<String, String> {
    // Held until the rules stand, so that no keeper starts in between.
    let lock = NamespaceLock::take()
        .map_err(|error| format!("can't take the lock of this network namespace: {error}"))?;
    if lock.is_none() {
        return Ok("a Seawall guards this network namespace already; nothing to do".to_owned());
    }
    let settings = settings::load(&folders.config.config, &folders.state_dir)
        .map_err(|problem| format!("the policy is refused, no rules are set:\n{problem}"))?;
    let Some(wanted) = wanted(settings.mode) else {
        return Ok("mode is open: new connections pass until Seawall judges".to_owned());
    };
    let Settings { backend, layout, .. } = settings;
    let mut rules = Rules::detect(backend, layout).map_err(|error| describe(&error))?;
    rules.apply(&wanted).map_err(|error| describe(&error))?;
    Ok(format!(
        "mode is lockdown: new connections are dropped until Seawall judges ({})",
        rules.backend()
    ))
}

/// The rules of this mode while nobody judges; `None`: there is nothing to say.
fn wanted(mode: Mode) -> Option<WantedRules> {
    match mode {
        Mode::Open => None,
        Mode::Lockdown => {
            Some(WantedRules { epoch: Epoch::FIRST.get(), mode, judge_loopback: false })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lockdown_has_anything_to_say() {
        assert_eq!(wanted(Mode::Open), None);
        let rules = wanted(Mode::Lockdown).expect("rules");
        assert!(rules.mode == Mode::Lockdown && Epoch::new(rules.epoch).is_some());
    }
}
