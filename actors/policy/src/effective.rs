//! What is in force: what the file says, what the store says, and defaults. Pure.
//!
//! The file is the managed layer: what it says wins over what the store says of
//! the same, for all or for the same app. What is said of an app counts for it
//! before what is said for all. Rules add up: the file's come first.

use std::sync::Arc;

use seawall_messages::network::{LOOPBACK, Surroundings};
use seawall_messages::policy::{
    Adopted, AppFilter, DEFAULT_ASK_TIMEOUT, DefaultAction, Filter, ManagedRules, PolicyGeneration,
    SettingStatus, Snapshot,
};
use seawall_messages::rule::{Moment, Present, Rules, Run};
use seawall_messages::setting::{self, Kind, Origin, Place, Setting, Value, Values};

use crate::file::{BackendChoice, PolicyFile};
use crate::layer::Layer;
use crate::running::that_go_on;
use crate::stored::Stored;
use crate::{networks, users};

/// What is so at a moment somewhere, as far as rules look at it. Looks users up. `goes_on`: whether a
/// run of an app does.
pub fn present(
    file: &PolicyFile,
    stored: &Stored,
    moment: Moment,
    surroundings: &Surroundings,
    goes_on: impl Fn(&Run) -> bool,
) -> Present {
    let lists = || file.lists().chain(stored.lists());
    let networks = networks::all(&file.networks, stored.networks());
    let here = networks.iter().filter(|network| network.looks.fits(surroundings));
    // None where no rule names one, so that nothing changes when they do.
    let interfaces = match lists().any(Rules::looks_at_interfaces) {
        true => interfaces(surroundings),
        false => Vec::new(),
    };
    Present {
        moment,
        networks: here.map(|network| Arc::clone(&network.name)).collect(),
        users: users::named_by(lists().flatten()),
        interfaces,
        runs: that_go_on(lists().flatten(), moment.boot, goes_on),
    }
}

fn interfaces(surroundings: &Surroundings) -> Vec<(u32, Arc<str>)> {
    let (index, name) = LOOPBACK;
    let named = surroundings.interfaces.iter().map(|it| (it.index, Arc::clone(&it.name)));
    std::iter::once((index, Arc::from(name))).chain(named).collect()
}

/// The policy at present.
pub fn snapshot(
    file: &PolicyFile,
    stored: &Stored,
    generation: PolicyGeneration,
    adopted: Vec<Adopted>,
    at: &Present,
) -> Snapshot {
    let mut apps = file.apps.clone();
    for app in &mut apps {
        app.filter.outgoing_rules = app.filter.outgoing_rules.at(at);
        app.filter.incoming_rules = app.filter.incoming_rules.at(at);
    }
    let mut networks = networks::all(&file.networks, stored.networks());
    for network in &mut networks {
        network.is_here = at.networks.contains(&network.name);
    }
    let Layer { filter: kept, permanent_verdicts, ask_timeout, built_in, .. } = stored.for_all();
    Snapshot {
        generation,
        filter: filter(&file.filter, kept, at),
        apps,
        profiles: stored.profiles_at(at),
        built_in: file.built_in.over(built_in),
        managed: ManagedRules {
            outgoing: file.filter.outgoing_rules.len(),
            incoming: file.filter.incoming_rules.len(),
            networks: file.networks.len(),
        },
        permanent_verdicts: file.permanent_verdicts.or(*permanent_verdicts).unwrap_or(true),
        mode: file.service.mode,
        adopted,
        paused: false,
        ask_timeout: file.ask_timeout.or(*ask_timeout).unwrap_or(DEFAULT_ASK_TIMEOUT),
        networks,
    }
}

/// What is permitted where nothing is said of an app.
fn filter(file: &AppFilter, kept: &AppFilter, at: &Present) -> Filter {
    let switch = |of: fn(&AppFilter) -> Option<bool>| of(file).or(of(kept)).unwrap_or(false);
    Filter {
        default_action: file
            .default_action
            .or(kept.default_action)
            .unwrap_or(DefaultAction::Permit),
        block_inbound: switch(|of| of.block_inbound),
        block_lan: switch(|of| of.block_lan),
        block_internet: switch(|of| of.block_internet),
        block_local: switch(|of| of.block_local),
        outgoing_rules: joined(&file.outgoing_rules, &kept.outgoing_rules, at),
        incoming_rules: joined(&file.incoming_rules, &kept.incoming_rules, at),
    }
}

fn joined(first: &Rules, second: &Rules, at: &Present) -> Rules {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first.at(at),
        (true, false) => second.at(at),
        (false, false) => first.iter().chain(second.iter()).map(|rule| rule.at(at)).collect(),
    }
}

/// How each setting for all stands. `kept`: what the store says, as it was said.
pub fn for_all(file: &PolicyFile, kept: &Values) -> Vec<SettingStatus> {
    let status = |setting: &Setting| match setting.key() {
        Some(key) => {
            let in_file = for_all_alone(file, key).or_else(|| in_filter(&file.filter, key));
            status_of(setting, in_file, kept.get(key))
        }
        None => status_of(setting, Some(of_service(file, setting)), None),
    };
    let of_all = setting::ALL.iter().filter(|setting| setting.place != Place::AppAlone);
    of_all.map(status).collect()
}

/// How each setting of an app stands. `section`: what the file says of the app;
/// `kept`: what its profile says.
pub fn for_app(section: Option<&AppFilter>, kept: &Values) -> Vec<SettingStatus> {
    let of_app = setting::ALL.iter().filter(|setting| setting.place >= Place::App);
    let status = |setting: &'static Setting| {
        let key = setting.key()?;
        let in_file = section.and_then(|section| in_filter(section, key));
        Some(status_of(setting, in_file, kept.get(key)))
    };
    of_app.filter_map(status).collect()
}

/// Whether the file says a setting, so that what the store says of it is of no use. Lists add up.
pub fn is_locked(settings: &[SettingStatus], name: &str) -> bool {
    let Some(setting) = setting::find(name) else { return false };
    let status = settings.iter().find(|status| status.name == setting.name);
    let adds_up = matches!(setting.kind, Kind::Rules | Kind::Names);
    !adds_up && status.is_some_and(|status| status.origin == Origin::File)
}

fn status_of(setting: &Setting, in_file: Option<Value>, kept: Option<&Value>) -> SettingStatus {
    let default = setting.default_value();
    let kept_fits = kept.filter(|value| setting.kind.fits(value));
    let (value, origin) = match (in_file, kept_fits) {
        (Some(Value::Rules(first)), Some(Value::Rules(second))) if !second.is_empty() => {
            (Value::Rules([first.as_slice(), second].concat()), Origin::Both)
        }
        // What only the file can say, and says as it is without it.
        (Some(value), None) if setting.place == Place::File && value == default => {
            (value, Origin::Default)
        }
        (Some(value), _) => (value, Origin::File),
        (None, Some(value)) => (value.clone(), Origin::Store),
        (None, None) => (default.clone(), Origin::Default),
    };
    SettingStatus {
        name: setting.name.to_owned(),
        value,
        origin,
        stored: kept.cloned(),
        default,
        doc: setting.doc.to_owned(),
    }
}

/// What `[filter]` says by a key that no app has.
fn for_all_alone(file: &PolicyFile, key: &str) -> Option<Value> {
    match key {
        "permanent_verdicts" => file.permanent_verdicts.map(Value::Switch),
        "built_in_profiles" => file.built_in.on.map(Value::Switch),
        "built_in_profiles_off" => file.built_in.names(),
        "ask_timeout" => file.ask_timeout.map(|timeout| Value::Number(timeout.as_secs())),
        _ => None,
    }
}

/// What a section says by that key.
fn in_filter(of: &AppFilter, key: &str) -> Option<Value> {
    let rules = |rules: &Rules| {
        let lines = rules.iter().map(|rule| rule.text.to_string()).collect();
        (!rules.is_empty()).then_some(Value::Rules(lines))
    };
    match key {
        "default_action" => of.default_action.map(|action| Value::Word(action.as_str().to_owned())),
        "block_inbound" => of.block_inbound.map(Value::Switch),
        "block_lan" => of.block_lan.map(Value::Switch),
        "block_internet" => of.block_internet.map(Value::Switch),
        "block_local" => of.block_local.map(Value::Switch),
        "use_parent" => of.use_parent.map(Value::Switch),
        "outgoing_rules" => rules(&of.outgoing_rules),
        "incoming_rules" => rules(&of.incoming_rules),
        _ => None,
    }
}

/// What holds of `[service]` and `[metrics]`.
fn of_service(file: &PolicyFile, setting: &Setting) -> Value {
    let service = &file.service;
    let word = match setting.name {
        "service.mode" => service.mode.as_str().to_owned(),
        "service.backend" => match service.backend {
            BackendChoice::Auto => "auto",
            BackendChoice::Nft => "nft",
            BackendChoice::IptablesNft => "iptables-nft",
            BackendChoice::IptablesLegacy => "iptables-legacy",
        }
        .to_owned(),
        "service.queue_base" => return Value::Number(service.queue_base.into()),
        "service.mark_shift" => return Value::Number(service.mark_shift.into()),
        "service.label_base" => return Value::Number(service.label_base.into()),
        "metrics.listen" => {
            service.metrics_listen.map_or_else(|| "off".to_owned(), |at| at.to_string())
        }
        _ => return setting.default_value(),
    };
    Value::Word(word)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::file;
    use crate::rule;

    fn file(text: &str) -> PolicyFile {
        file::parse(text, Path::new("seawall.toml")).expect("a policy")
    }

    fn values(pairs: &[(&str, Value)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn the_file_wins_and_rules_add_up() {
        let file = file(
            "[filter]\nblock_lan = false\ndefault_action = \"block\"\noutgoing_rules = [\"- LAN\"]\n",
        );
        let kept = values(&[
            ("block_lan", Value::Switch(true)),
            ("block_internet", Value::Switch(true)),
            ("permanent_verdicts", Value::Switch(false)),
            ("outgoing_rules", Value::Rules(vec!["+ *".to_owned()])),
        ]);
        let stored = Stored::new(kept.clone(), Vec::new());
        let snapshot =
            snapshot(&file, &stored, PolicyGeneration(1), Vec::new(), &rule::now().into());
        let filter = &snapshot.filter;
        assert_eq!(filter.default_action, DefaultAction::Block);
        assert_eq!((filter.block_lan, filter.block_internet), (false, true));
        assert!(!snapshot.permanent_verdicts);
        let rules: Vec<_> = filter.outgoing_rules.iter().map(|rule| &*rule.text).collect();
        assert_eq!(rules, ["- LAN", "+ *"]);
        assert_eq!(snapshot.managed, ManagedRules { outgoing: 1, ..ManagedRules::default() });

        let all = for_all(&file, &kept);
        let origin = |key: &str| {
            let found = all.iter().find(|status| status.name.ends_with(key)).expect(key);
            (found.origin, found.value.to_string())
        };
        assert_eq!(origin(".block_lan"), (Origin::File, "false".to_owned()));
        assert_eq!(origin(".block_internet"), (Origin::Store, "true".to_owned()));
        assert_eq!(origin(".block_local"), (Origin::Default, "false".to_owned()));
        assert_eq!(origin(".outgoing_rules"), (Origin::Both, "\"- LAN\", \"+ *\"".to_owned()));
        assert_eq!(origin("service.mode"), (Origin::Default, "open".to_owned()));
    }

    #[test]
    fn each_setting_of_the_file_is_told_as_it_was_read() {
        let text = "[filter]\ndefault_action = \"block\"\nblock_inbound = true\nblock_lan = true\n\
                    block_internet = true\nblock_local = true\noutgoing_rules = [\"- *\"]\n\
                    incoming_rules = [\"- *\"]\npermanent_verdicts = false\nask_timeout = 30\n\
                    built_in_profiles = false\nbuilt_in_profiles_off = [\"Seawall\"]\n[service]\n\
                    mode = \"lockdown\"\nbackend = \"nft\"\nqueue_base = 8000\nmark_shift = 8\n\
                    label_base = 0\n[metrics]\nlisten = \"off\"\n";
        for status in for_all(&file(text), &Values::new()) {
            assert_eq!(status.origin, Origin::File, "{}", status.name);
            assert_ne!(status.value, status.default, "{}", status.name);
        }
    }

    #[test]
    fn of_an_app_the_section_wins() {
        let section = AppFilter { block_lan: Some(true), ..AppFilter::default() };
        let kept = values(&[
            ("block_lan", Value::Switch(false)),
            ("block_internet", Value::Word("broken".to_owned())),
        ]);
        let found = for_app(Some(&section), &kept);
        let lan = found.iter().find(|status| status.name == "filter.block_lan").expect("one");
        assert_eq!((lan.origin, &lan.value), (Origin::File, &Value::Switch(true)));
        assert_eq!(lan.stored, Some(Value::Switch(false)));
        let internet = found.iter().find(|it| it.name == "filter.block_internet").expect("one");
        assert_eq!((internet.origin, &internet.value), (Origin::Default, &Value::Switch(false)));
        assert!(found.iter().all(|status| status.name != "filter.permanent_verdicts"));
    }
}
