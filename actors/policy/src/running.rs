//! Which runs of apps go on, for rules that end with one.

use std::future::Future;
use std::pin::Pin;

use seawall_messages::Snapshot;
use seawall_messages::policy::Fingerprint;
use seawall_messages::process::{Process, ProcessKey};
use seawall_messages::rule::{Boot, Rule, Run};

/// Waits for something to happen.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Looks at this machine's processes. Called while a message is handled: each look is bounded well
/// below its deadline.
pub trait Running: Send + Sync {
    /// Whether a run of this machine's present run goes on.
    fn goes_on(&self, run: &Run) -> bool;

    /// The process of the app that runs longest, described as the policy asks for.
    fn oldest(
        &self,
        app: &Wanted<'_>,
        snapshot: &Snapshot,
    ) -> Result<Option<ProcessKey>, RunningError>;

    /// Waits until one of them has ended, or may have.
    fn one_ends(&self, runs: Vec<Run>) -> Wait;
}

/// An app that is looked for.
pub struct Wanted<'a> {
    /// What its processes look like: one of these fits each.
    pub matches: &'a [Fingerprint],
    /// Whether a process is one of the app's.
    pub is_it: &'a dyn Fn(&Process) -> bool,
}

/// Why processes can't be looked at.
#[derive(Debug, thiserror::Error)]
#[error("can't list the processes of this machine")]
pub struct RunningError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// No run of an app is known, and none goes on: for a policy that is looked at and not in force.
pub(crate) fn nothing_runs(_: &Run) -> bool {
    false
}

/// Those of the runs that rules end with which go on, in order. `boot`: this run of the machine.
pub(crate) fn that_go_on<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    boot: Option<Boot>,
    goes_on: impl Fn(&Run) -> bool,
) -> Vec<Run> {
    let named = rules.filter(|rule| !rule.when.off).filter_map(|rule| rule.when.run());
    let mut runs: Vec<Run> = named.filter(|run| Some(run.boot) == boot).collect();
    runs.sort_unstable();
    runs.dedup();
    runs.retain(goes_on);
    runs
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::rule::parse;

    #[test]
    fn each_run_that_matters_is_looked_at_once() {
        let lines = [
            "+ * until=exit@9-1-0fcbee07bad8",
            "+ LAN until=exit@7-1-0fcbee07bad8",
            "- * until=exit@7-1-0fcbee07bad8",
            "- * until=exit@8-1-0fcbee07bad8",
            "- * off until=exit@5-1-0fcbee07bad8",
            "- * until=exit@6-1-000000000000",
            "- * until=restart@0fcbee07bad8",
            "- *",
        ];
        let rules: Vec<_> = lines.iter().map(|line| parse(line).expect(line)).collect();
        let looked = RefCell::new(Vec::new());
        let goes_on = |run: &Run| {
            looked.borrow_mut().push(run.pid);
            run.pid != 8
        };
        let boot = Boot::parse("0fcbee07bad8");
        let pids = |boot, goes_on: &dyn Fn(&Run) -> bool| {
            let runs = that_go_on(rules.iter(), boot, goes_on);
            runs.into_iter().map(|run| run.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(boot, &goes_on), [7, 9]);
        assert_eq!(*looked.borrow(), [7, 8, 9]);
        assert_eq!(pids(None, &goes_on), [0_u32; 0]);
        assert_eq!(pids(boot, &nothing_runs), [0_u32; 0]);
    }
}
