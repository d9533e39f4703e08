//! Protected, degraded or not protected, and why. Pure.

use seawall_messages::PolicyGeneration;
use seawall_messages::api::Protection;
use seawall_messages::datapath::DatapathStatus;
use seawall_messages::keeper::KeeperFacts;
use seawall_messages::policy::{PolicySource, PolicyStatus};
use seawall_platform::linux::conntrack::Fill;
use seawall_runtime::{ComponentState, ComponentStatus};

/// From here on the table of tracked connections needs attention.
const NEARLY_FULL_PERCENT: u64 = 95;

/// Everything that the answer depends on.
pub(crate) struct Seen<'a> {
    /// The published policy; 0: none yet.
    pub(crate) generation: PolicyGeneration,
    /// What `policy` says, if it does.
    pub(crate) policy: Option<&'a PolicyStatus>,
    /// What `datapath` says, if it does.
    pub(crate) datapath: Option<&'a DatapathStatus>,
    /// What the keeper said.
    pub(crate) keeper: &'a KeeperFacts,
    /// The tree.
    pub(crate) components: &'a [ComponentStatus],
    /// Why metrics are not served, though they should be.
    pub(crate) metrics_problem: Option<&'a str>,
    /// How full the kernel's table of tracked connections is, if that can be read.
    pub(crate) tracking: Option<Fill>,
}

/// The word and the reasons, the gravest first.
pub(crate) fn assess(seen: &Seen<'_>) -> (Protection, Vec<String>) {
    let grave = not_protected(seen);
    let light = degraded(seen);
    let protection = match (grave.is_empty(), light.is_empty()) {
        (true, true) => Protection::Protected,
        (true, false) => Protection::Degraded,
        (false, _) => Protection::NotProtected,
    };
    (protection, [grave, light].concat())
}

fn not_protected(seen: &Seen<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if seen.generation == PolicyGeneration(0) {
        reasons.push("no policy is loaded".to_owned());
    }
    if let Some(problem) = &seen.keeper.rules_problem {
        reasons.push(format!("the firewall rules are not as they should be: {problem}"));
    }
    if seen.datapath.is_some_and(|datapath| !datapath.protecting) {
        reasons.push("the firewall rules are not in place yet".to_owned());
    }
    reasons
}

fn degraded(seen: &Seen<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    match seen.datapath {
        Some(datapath) => reasons.extend(datapath.problems.iter().cloned()),
        None => reasons.push("datapath gives no answer".to_owned()),
    }
    match seen.policy {
        Some(policy) => {
            if let Some(refused) = &policy.refused {
                reasons.push(format!("the policy file is refused: {refused}"));
            }
            if let Some(left_s) = policy.paused_s {
                reasons.push(format!("paused for another {left_s} s: everything passes"));
            }
            if let Some(problem) = &policy.store_problem {
                reasons.push(format!("changes can't be kept, and are refused: {problem}"));
            }
            if policy.source == PolicySource::LastGood {
                reasons.push("the last good copy of the policy is in force".to_owned());
            }
        }
        None => reasons.push("policy gives no answer".to_owned()),
    }
    reasons.extend(seen.metrics_problem.map(|why| format!("metrics are not served: {why}")));
    reasons.extend(seen.tracking.and_then(nearly_full));
    for component in seen.components {
        if component.state != ComponentState::Running {
            reasons.push(format!("{} is down: {}", component.name, component.while_down));
        }
    }
    reasons
}

/// The kernel drops new connections itself where it can't track them.
fn nearly_full(Fill { tracked, limit }: Fill) -> Option<String> {
    let most = limit.saturating_mul(NEARLY_FULL_PERCENT) / 100;
    (limit > 0 && tracked >= most).then(|| {
        format!(
            "the kernel tracks {tracked} connections of {limit} at most, and drops new ones beyond: \
             raise net.netfilter.nf_conntrack_max, or see in `conntrack -L` what opens so many"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(state: ComponentState) -> ComponentStatus {
        ComponentStatus {
            name: "verdict".to_owned(),
            group: "core".to_owned(),
            state,
            generation: 1,
            restarts: 0,
            hangs: 0,
            last_failure: None,
            uptime_s: 1.0,
            mailbox_depth: 0,
            mailbox_bound: 256,
            handled: 0,
            refused: 0,
            mean_handle_us: 0.0,
            while_down: "undecided connections wait".to_owned(),
        }
    }

    #[test]
    fn the_word_follows_from_what_is_seen() {
        let policy = PolicyStatus {
            generation: PolicyGeneration(1),
            file: "/etc/seawall/seawall.toml".into(),
            source: PolicySource::File,
            refused: None,
            restart_needed: Vec::new(),
            idle_rules: Vec::new(),
            unused_settings: Vec::new(),
            paused_s: None,
            store_problem: None,
        };
        let refused = PolicyStatus { refused: Some("line 3".to_owned()), ..policy.clone() };
        let full = PolicyStatus { store_problem: Some("no room".to_owned()), ..policy.clone() };
        let last_good = PolicyStatus { source: PolicySource::LastGood, ..refused.clone() };
        let datapath = DatapathStatus { protecting: true, ..DatapathStatus::default() };
        let idle = DatapathStatus::default();
        let troubled =
            DatapathStatus { problems: vec!["rules refused".to_owned()], ..datapath.clone() };
        let keeper = KeeperFacts::default();
        let broken = KeeperFacts { rules_problem: Some("no".to_owned()), ..keeper.clone() };
        let running = [component(ComponentState::Running)];
        let down = [component(ComponentState::BackingOff)];
        let good = Seen {
            generation: PolicyGeneration(1),
            policy: Some(&policy),
            datapath: Some(&datapath),
            keeper: &keeper,
            components: &running,
            metrics_problem: None,
            tracking: Some(Fill { tracked: 10, limit: 1_000 }),
        };
        let fill = |tracked, limit| Some(Fill { tracked, limit });
        let (protected, degraded, not_protected) =
            (Protection::Protected, Protection::Degraded, Protection::NotProtected);
        let cases = [
            ("all is well", protected, 0, Seen { ..good }),
            ("no policy", not_protected, 1, Seen { generation: PolicyGeneration(0), ..good }),
            ("no rules", not_protected, 1, Seen { datapath: Some(&idle), ..good }),
            ("rules broken", not_protected, 1, Seen { keeper: &broken, ..good }),
            ("datapath silent", degraded, 1, Seen { datapath: None, ..good }),
            ("datapath troubled", degraded, 1, Seen { datapath: Some(&troubled), ..good }),
            ("policy silent", degraded, 1, Seen { policy: None, ..good }),
            ("file refused", degraded, 1, Seen { policy: Some(&refused), ..good }),
            ("store is full", degraded, 1, Seen { policy: Some(&full), ..good }),
            ("last good copy", degraded, 2, Seen { policy: Some(&last_good), ..good }),
            ("no metrics", degraded, 1, Seen { metrics_problem: Some("port taken"), ..good }),
            ("table nearly full", degraded, 1, Seen { tracking: fill(950, 1_000), ..good }),
            ("table quite full", protected, 0, Seen { tracking: fill(949, 1_000), ..good }),
            ("no limit", protected, 0, Seen { tracking: fill(950, 0), ..good }),
            ("table unknown", protected, 0, Seen { tracking: None, ..good }),
            ("component down", degraded, 1, Seen { components: &down, ..good }),
        ];
        for (case, expected, count, seen) in cases {
            let (protection, reasons) = assess(&seen);
            assert_eq!(protection, expected, "{case}");
            assert_eq!(reasons.len(), count, "{case}: {reasons:?}");
        }
    }
}
