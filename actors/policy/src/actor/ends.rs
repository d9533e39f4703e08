//! Rules that end with their app: of which run of it they are, and being told when that ends.

use seawall_messages::policy::{Message, PolicyRefusal, Profile};
use seawall_messages::process::{Process, ProcessKey};
use seawall_messages::rule::Run;
use seawall_messages::setting::{Value, Values};
use tokio::task::JoinHandle;

use super::{Policy, RETELL_AFTER};
use crate::effective;
use crate::error::chain;
use crate::rule::{self, this_boot};
use crate::running::Wanted;
use crate::store::Edit;

/// Runs that are waited for. Nobody waits any more once this is dropped.
pub(super) struct Watch {
    runs: Vec<Run>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Policy {
    /// A line as it is kept where it is said now.
    pub(super) fn said_now(
        &self,
        line: &str,
        profile: Option<&Profile>,
    ) -> Result<String, PolicyRefusal> {
        if !rule::ends_with_app(line) {
            return Ok(rule::said_in(line, this_boot()));
        }
        let Some(profile) = profile else {
            let problem = "until=exit needs an app, with which the rule ends: `seawall rule add --app` names it";
            return Err(PolicyRefusal::Invalid(problem.to_owned()));
        };
        Ok(rule::said_of(line, self.oldest_of(profile)?))
    }

    /// The run of an app that goes on longest.
    fn oldest_of(&self, profile: &Profile) -> Result<Run, PolicyRefusal> {
        // Whose process it is is seen as it will be once the profile says something.
        let says_something = Values::from([("block_lan".to_owned(), Value::Switch(false))]);
        let settings = says_something.into_iter().chain(profile.settings.clone()).collect();
        let profiles = vec![Profile { settings, ..profile.clone() }];
        let stored = self.stored.after(&Edit { profiles, ..Edit::default() });
        let file = &self.choice.settings;
        let present = self.present_of(&stored);
        let snapshot = effective::snapshot(file, &stored, self.generation, Vec::new(), &present);
        let is_it = |process: &Process| {
            snapshot.profile_of(process).is_some_and(|app| app.name == profile.name)
        };
        let wanted = Wanted { matches: &profile.matches, is_it: &is_it };
        let found = self.arguments.programs.oldest(&wanted, &snapshot);
        let found = found.map_err(|error| PolicyRefusal::Failed(chain(&error)))?;
        let name = &profile.name;
        let Some(ProcessKey { pid, started_ticks, .. }) = found else {
            let problem = format!(
                "until=exit needs a running process of the app \"{name}\", with which the rule ends; there is none"
            );
            return Err(PolicyRefusal::Failed(problem));
        };
        let Some(boot) = this_boot() else {
            let problem = "until=exit: found no word of which run of the machine this is (/proc/sys/kernel/random/boot_id)";
            return Err(PolicyRefusal::Failed(problem.to_owned()));
        };
        Ok(Run { pid, started_ticks, boot })
    }

    /// Has the policy looked at again when one of these has ended.
    pub(super) fn watch_runs(&mut self, runs: Vec<Run>) {
        let is_watched = |watch: &Watch| watch.runs == runs && !watch.task.is_finished();
        if self.watch.as_ref().is_some_and(is_watched) {
            return;
        }
        self.watch = None;
        if runs.is_empty() {
            return;
        }
        let end = self.arguments.programs.one_ends(runs.clone());
        let address = self.context.address().clone();
        let task = tokio::spawn(async move {
            end.await;
            while address.tell(Message::AppEnded).is_err() {
                tokio::time::sleep(RETELL_AFTER).await;
            }
        });
        self.watch = Some(Watch { runs, task });
    }
}
