//! What `policy` reports: one type for each event, log line and metric together.

use std::path::Path;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use seawall_messages::Snapshot;
use seawall_messages::policy::{
    AddedRule, AdoptedEntry, AppFilter, ChangeRule, ChangedRule, IdleRule, KeptNetwork,
    NetworkChange, NewRule, PolicySource, Profile, ProfileChange, SettingsChange,
};
use seawall_messages::rule::Rules;

use crate::error::chain;

const GENERATION: &str = "seawall_policy_generation";
const RULES: &str = "seawall_policy_rules";
const APPS: &str = "seawall_policy_apps";
const IDLE_RULES: &str = "seawall_policy_idle_rules";
const NETWORKS: &str = "seawall_policy_networks_here";
const PAUSED: &str = "seawall_policy_paused";
const ADOPTED: &str = "seawall_policy_adopted_entries";
const LOADS: &str = "seawall_policy_loads_total";
const REFUSED: &str = "seawall_policy_file_refused";
const CHANGES: &str = "seawall_policy_changes_total";
const UNUSED: &str = "seawall_policy_unused_settings";
const PROFILES: &str = "seawall_policy_profiles";
const RULES_ADDED: &str = "seawall_policy_rules_added_total";
const STORE_FAILURES: &str = "seawall_policy_store_failures_total";
const STORE_UNWRITABLE: &str = "seawall_policy_store_unwritable";
const SURVEY_FAILURES: &str = "seawall_policy_survey_failures_total";

/// Most rules that are named in the log.
const MOST_NAMED: usize = 10;

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_gauge!(GENERATION, "Generation of the policy in force");
    describe_gauge!(RULES, "Rules in force, those of single apps included, by list");
    describe_gauge!(
        IDLE_RULES,
        "Rules that decide nothing, because they need data that isn't there"
    );
    describe_gauge!(APPS, "Apps that have settings or rules of their own in the policy file");
    describe_gauge!(NETWORKS, "Networks that the policy names and the machine is in");
    describe_gauge!(PAUSED, "1 while Seawall is paused and everything passes");
    describe_gauge!(ADOPTED, "Listeners and connections that were adopted at the first start");
    describe_counter!(LOADS, "Readings of the policy file, by what came of them");
    describe_gauge!(REFUSED, "1 while the policy file is refused and an older policy is in force");
    describe_counter!(RULES_ADDED, "Rules that were put into the store on request");
    describe_counter!(CHANGES, "Changes of stored settings and profiles on request, by kind");
    describe_gauge!(UNUSED, "Stored settings that don't count, because they can't be used");
    describe_gauge!(PROFILES, "Profiles in the store that say something");
    describe_counter!(STORE_FAILURES, "Writes of durable policy state that failed");
    describe_gauge!(STORE_UNWRITABLE, "1 while changes of settings and profiles can't be stored");
    describe_counter!(SURVEY_FAILURES, "Listings of this machine's sockets that failed");
    // There from the start: the first failure counts as one, too.
    counter!(STORE_FAILURES).absolute(0);
    counter!(SURVEY_FAILURES).absolute(0);
}

/// A policy came into force.
pub(crate) struct Published<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) source: PolicySource,
}

impl Published<'_> {
    pub(crate) fn emit(&self) {
        let Snapshot { generation, filter, apps, profiles, adopted, paused, networks, .. } =
            self.snapshot;
        let here = networks.iter().filter(|network| network.is_here).count();
        gauge!(NETWORKS).set(here as f64);
        let of_apps = |rules: fn(&AppFilter) -> &Rules| {
            self.snapshot.all_apps().map(|app| rules(&app.filter).len()).sum::<usize>()
        };
        let outgoing_rules = filter.outgoing_rules.len() + of_apps(|app| &app.outgoing_rules);
        let incoming_rules = filter.incoming_rules.len() + of_apps(|app| &app.incoming_rules);
        counter!(LOADS, "outcome" => "published").increment(1);
        gauge!(GENERATION).set(generation.0 as f64);
        gauge!(RULES, "list" => "outgoing").set(outgoing_rules as f64);
        gauge!(RULES, "list" => "incoming").set(incoming_rules as f64);
        gauge!(APPS).set(apps.len() as f64);
        gauge!(PROFILES).set(profiles.len() as f64);
        gauge!(ADOPTED).set(adopted.len() as f64);
        gauge!(PAUSED).set(f64::from(u8::from(*paused)));
        if *paused {
            tracing::warn!("Paused: everything passes");
        }
        tracing::info!(
            generation = generation.0,
            source = ?self.source,
            outgoing_rules,
            incoming_rules,
            apps = apps.len(),
            profiles = profiles.len(),
            adopted = adopted.len(),
            network = self.snapshot.network().map(|network| &*network.name),
            "Policy in force"
        );
        if self.source == PolicySource::Defaults {
            tracing::warn!("No policy file, everything is permitted");
        }
    }
}

/// The pause that was set is over.
pub(crate) struct PauseOver;

impl PauseOver {
    pub(crate) fn emit(&self) {
        tracing::info!("The pause is over");
    }
}

/// Rules of the policy in force that decide nothing, because they need what isn't there.
pub(crate) struct RulesIdle<'a> {
    pub(crate) rules: &'a [IdleRule],
}

impl RulesIdle<'_> {
    pub(crate) fn emit(&self) {
        gauge!(IDLE_RULES).set(self.rules.len() as f64);
        for IdleRule { rule, lacks } in self.rules.iter().take(MOST_NAMED) {
            tracing::warn!(%rule, needs = lacks.missing(), "A rule decides nothing");
        }
        if let Some(more) = self.rules.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            tracing::warn!(more, "More rules decide nothing");
        }
    }
}

/// The file says what is in force already.
pub(crate) struct Unchanged;

impl Unchanged {
    pub(crate) fn emit(&self) {
        counter!(LOADS, "outcome" => "unchanged").increment(1);
        tracing::debug!("Policy unchanged");
    }
}

/// The file can't be used; what was in force stays in force.
pub(crate) struct Refused<'a> {
    pub(crate) reason: &'a str,
}

impl Refused<'_> {
    pub(crate) fn emit(&self) {
        counter!(LOADS, "outcome" => "refused").increment(1);
        tracing::error!(reason = self.reason, "Policy file refused, the old policy stays");
    }
}

/// Whether the file as it is now is refused.
pub(crate) fn file_is_refused(is_refused: bool) {
    gauge!(REFUSED).set(f64::from(u8::from(is_refused)));
}

/// The file changes what is fixed while Seawall runs.
pub(crate) struct RestartNeeded<'a> {
    pub(crate) settings: &'a [String],
}

impl RestartNeeded<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(settings = ?self.settings, "Settings changed that need a restart");
    }
}

/// The first start took up what was there.
pub(crate) struct Adopted<'a> {
    pub(crate) entries: &'a [seawall_messages::policy::Adopted],
}

impl Adopted<'_> {
    pub(crate) fn emit(&self) {
        let is_listener = |entry: &&seawall_messages::policy::Adopted| {
            matches!(entry.what, AdoptedEntry::Listener { .. })
        };
        let listeners = self.entries.iter().filter(is_listener).count();
        tracing::info!(
            listeners,
            sessions = self.entries.len() - listeners,
            "First start, listeners and connections adopted"
        );
    }
}

/// A rule stands in the store because somebody asked for it.
pub(crate) struct RuleAdded<'a> {
    pub(crate) rule: &'a NewRule,
    pub(crate) added: &'a AddedRule,
}

impl RuleAdded<'_> {
    pub(crate) fn emit(&self) {
        let AddedRule { rule, list, was_there, .. } = self.added;
        let app = self.rule.app.as_ref().map(ToString::to_string).unwrap_or_default();
        if !was_there {
            counter!(RULES_ADDED).increment(1);
        }
        tracing::info!(rule, list, app, was_there, "Rule added on request");
    }
}

/// A rule was taken out of the store, or switched.
pub(crate) struct RuleChanged<'a> {
    pub(crate) asked: &'a ChangeRule,
    pub(crate) changed: &'a ChangedRule,
}

impl RuleChanged<'_> {
    pub(crate) fn emit(&self) {
        let ChangedRule { rule, list } = self.changed;
        tracing::info!(rule, list, change = ?self.asked.change, "Rule changed on request");
    }
}

/// Settings in the store were changed.
pub(crate) struct SettingsChanged<'a> {
    pub(crate) asked: &'a SettingsChange,
}

impl SettingsChanged<'_> {
    pub(crate) fn emit(&self) {
        let app = self.asked.app.as_deref().unwrap_or_default();
        let keys: Vec<_> = self.asked.changes.keys().collect();
        counter!(CHANGES, "of" => "settings").increment(1);
        tracing::info!(app, ?keys, "Settings changed on request");
    }
}

/// A network of the store was named, changed or forgotten.
pub(crate) struct NetworkChanged<'a> {
    pub(crate) asked: &'a NetworkChange,
    pub(crate) network: &'a KeptNetwork,
}

impl NetworkChanged<'_> {
    pub(crate) fn emit(&self) {
        let change = match self.asked {
            NetworkChange::Add(_) => "named",
            NetworkChange::Remove { .. } => "forgotten",
            NetworkChange::Set { .. } => "changed",
        };
        counter!(CHANGES, "of" => "networks").increment(1);
        tracing::info!(change, name = %self.network.name, "Network changed on request");
    }
}

/// A profile was made, removed or renamed.
pub(crate) struct ProfileChanged<'a> {
    pub(crate) asked: &'a ProfileChange,
    pub(crate) profile: &'a Profile,
}

impl ProfileChanged<'_> {
    pub(crate) fn emit(&self) {
        let change = match self.asked {
            ProfileChange::Make(_) => "made",
            ProfileChange::Remove { .. } => "removed",
            ProfileChange::Rename { .. } => "renamed",
            ProfileChange::Disable { .. } => "switched off",
            ProfileChange::Enable { .. } => "switched on",
        };
        counter!(CHANGES, "of" => "profiles").increment(1);
        tracing::info!(change, name = %self.profile.name, "Profile changed on request");
    }
}

/// Profiles of apps that weren't seen for long, and that said nothing, are gone.
pub(crate) struct Tidied {
    pub(crate) profiles: usize,
}

impl Tidied {
    pub(crate) fn emit(&self) {
        if self.profiles > 0 {
            tracing::info!(profiles = self.profiles, "Profiles of no use are tidied away");
        }
    }
}

/// Apps were on the network for the first time, and have a profile now.
pub(crate) struct AppsSeen<'a> {
    pub(crate) profiles: &'a [Profile],
}

impl AppsSeen<'_> {
    pub(crate) fn emit(&self) {
        for Profile { name, matches, .. } in self.profiles {
            let first = matches.first().map(ToString::to_string).unwrap_or_default();
            tracing::info!(%name, matches = first, "App seen for the first time");
        }
    }
}

/// A text was taken into the store.
pub(crate) struct Imported {
    pub(crate) lines: usize,
}

impl Imported {
    pub(crate) fn emit(&self) {
        counter!(CHANGES, "of" => "imports").increment(1);
        tracing::info!(changes = self.lines, "Text taken into the store");
    }
}

/// What the store says and doesn't count.
pub(crate) fn kept_without_use(problems: &[String]) {
    gauge!(UNUSED).set(problems.len() as f64);
    for problem in problems.iter().take(MOST_NAMED) {
        tracing::warn!(problem, "A stored setting doesn't count");
    }
}

/// Adopted entries are no more: removed by hand, or ended.
pub(crate) struct Forgotten<'a> {
    pub(crate) ids: &'a [u32],
}

impl Forgotten<'_> {
    pub(crate) fn emit(&self) {
        tracing::info!(ids = ?self.ids, "Adopted entries forgotten");
    }
}

/// Sockets can't be listed.
pub(crate) struct SurveyFailed<'a> {
    pub(crate) error: &'a crate::adopt::SurveyError,
}

impl SurveyFailed<'_> {
    pub(crate) fn emit(&self) {
        counter!(SURVEY_FAILURES).increment(1);
        tracing::error!(error = chain(self.error), "Sockets not listed, adopted entries unknown");
    }
}

/// Durable state can't be written; what is in force is not affected.
pub(crate) struct StoreFailed<'a> {
    pub(crate) error: &'a crate::store::StoreError,
}

impl StoreFailed<'_> {
    pub(crate) fn emit(&self) {
        counter!(STORE_FAILURES).increment(1);
        tracing::error!(error = chain(self.error), "Policy state not stored");
    }
}

/// Whether durable state can't be written as things are.
pub(crate) fn store_is_unwritable(is_so: bool) {
    gauge!(STORE_UNWRITABLE).set(f64::from(u8::from(is_so)));
}

/// The kernel doesn't tell of changes to the file.
pub(crate) struct WatchFailed<'a> {
    pub(crate) path: &'a Path,
    pub(crate) error: &'a std::io::Error,
}

impl WatchFailed<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(
            path = %self.path.display(),
            error = %self.error,
            "Policy file not watched, looking at it every few seconds"
        );
    }
}
