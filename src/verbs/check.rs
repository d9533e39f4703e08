//! `seawall check`: whether a policy file is good, without a running Seawall.

use std::path::Path;

use seawall_messages::network::Surroundings;
use seawall_messages::policy::{IdleRule, PolicyGeneration};
use seawall_policy::PolicyFile;
use seawall_policy::file::{parse, read};
use seawall_policy::rule::now;
use serde::Serialize;

use super::{Outcome, describe};
use crate::output;

/// The answer as JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Checked {
    file: String,
    good: bool,
    /// Everything that is wrong with the file, one line each, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apps: Option<usize>,
    /// Rules that decide nothing yet, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    idle_rules: Vec<IdleRule>,
}

pub(super) fn perform(file: &Path, json: bool) -> Outcome {
    let checked = check(file);
    let outcome = if checked.good { Outcome::Done } else { Outcome::Failed };
    if json {
        output::json(&checked);
        return outcome;
    }
    match checked {
        Checked { problem: Some(problem), .. } => {
            output::complaint(problem);
            if !file.exists() {
                output::hint("without that file safe defaults hold: everything is permitted");
            }
        }
        Checked { file: name, rules, apps, idle_rules, .. } => {
            output::line(format_args!(
                "{name} is good: {} rules, {} apps",
                rules.unwrap_or_default(),
                apps.unwrap_or_default()
            ));
            for rule in idle_rules {
                output::line(rule);
            }
        }
    }
    outcome
}

fn check(path: &Path) -> Checked {
    let file = path.display().to_string();
    let text = read(path).map_err(|error| describe(&error));
    match text.and_then(|text| parse(&text, path).map_err(|problems| problems.to_string())) {
        Ok(policy) => {
            let rules = Some(policy.lists().map(|list| list.len()).sum());
            let apps = Some(policy.apps.len());
            let idle_rules = idle_rules(&policy);
            Checked { file, good: true, problem: None, rules, apps, idle_rules }
        }
        Err(problem) => {
            let idle_rules = Vec::new();
            Checked {
                file,
                good: false,
                problem: Some(problem),
                rules: None,
                apps: None,
                idle_rules,
            }
        }
    }
}

/// Rules that decide nothing on this machine.
fn idle_rules(policy: &PolicyFile) -> Vec<IdleRule> {
    let present = policy.present(now(), &Surroundings::default());
    let snapshot = policy.snapshot(PolicyGeneration(1), Vec::new(), &present);
    IdleRule::of(snapshot.lists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_good_or_its_problem_has_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, "[filter]\noutgoing_rules = [\"+ LAN\"]\n").expect("written");
        let checked = check(&path);
        assert_eq!((checked.good, checked.rules, checked.apps), (true, Some(1), Some(0)));
        std::fs::write(&path, "[filter]\nblock_lann = true\n").expect("written");
        let problem = check(&path).problem.unwrap_or_default();
        assert!(problem.contains("policy.toml:2:1: filter.block_lann"), "{problem}");
        let missing = check(&folder.path().join("missing.toml"));
        assert!(!missing.good, "{missing:?}");
    }
}
