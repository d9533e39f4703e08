//! What the store says as a text that people can keep, and back again. Pure.
//!
//! The text has the form of the policy file: `[filter]`, `[[network]]` and `[[app]]`. A profile
//! with several fingerprints is several sections of one name. What a text says
//! of an app becomes the whole of its profile; of `[filter]`, keys that the text
//! doesn't say stay as they are, unless all is to be replaced.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use seawall_messages::network::NetworkMatch;
use seawall_messages::policy::{
    Difference, Fingerprint, Import, KeptNetwork, NewProfile, PolicyRefusal, Profile,
};
use seawall_messages::rule::Boot;
use seawall_messages::setting::{MAX_PROFILES, Value, Values};
use serde::Deserialize;

use crate::changes::new_profile;
use crate::file::{self, MAX_NETWORKS};
use crate::store::Edit;
use crate::stored::Stored;
use crate::{layer, networks};

/// Largest text that is taken.
pub const MAX_IMPORT_BYTES: usize = 16 * 1024 * 1024;

/// What a text is called in complaints.
const TEXT: &str = "import";

/// A text as it is written, once it is known to be good.
#[derive(Debug, Default, Deserialize)]
struct Written {
    #[serde(default)]
    filter: Values,
    #[serde(default)]
    network: Vec<WrittenNetwork>,
    #[serde(default)]
    app: Vec<WrittenApp>,
}

#[derive(Debug, Deserialize)]
struct WrittenNetwork {
    name: Arc<str>,
    #[serde(rename = "match")]
    looks: NetworkMatch,
    #[serde(flatten)]
    settings: Values,
}

#[derive(Debug, Deserialize)]
struct WrittenApp {
    name: Option<String>,
    #[serde(rename = "match")]
    fingerprint: Fingerprint,
    #[serde(flatten)]
    settings: Values,
}

/// The text of settings, networks and profiles.
pub fn export(settings: &Values, networks: &[KeptNetwork], profiles: &[Profile]) -> String {
    let mut text = String::new();
    if !settings.is_empty() {
        text.push_str("[filter]\n");
        write_values(&mut text, settings);
    }
    for KeptNetwork { name, looks, settings } in networks {
        if !text.is_empty() {
            text.push('\n');
        }
        let (name, looks) = (quoted(name), table(&said_of(looks)));
        let _ = writeln!(text, "[[network]]\nname = {name}\nmatch = {looks}");
        write_values(&mut text, settings);
    }
    for profile in profiles {
        for fingerprint in &profile.matches {
            if !text.is_empty() {
                text.push('\n');
            }
            let name = quoted(&profile.name);
            let _ = writeln!(text, "[[app]]\nname = {name}\nmatch = {}", table_of(fingerprint));
            write_values(&mut text, &profile.settings);
        }
    }
    text
}

/// What a text changes, which is said in this run of the machine. `profiles`: all that are kept, word for word; `networks`: those that
/// have a name, for rules that say it.
pub fn import(
    stored: &Stored,
    profiles: &[Profile],
    import: &Import,
    networks: &[Arc<str>],
    boot: Option<Boot>,
    now_s: u64,
) -> Result<(Edit, Difference), PolicyRefusal> {
    let written = read(&import.text, networks)?.said_in(boot);
    let differ = |lines: &mut Vec<String>, before: &str, old: &Values, new: &Values| {
        differ(lines, before, &layer::as_written(old, boot), &layer::as_written(new, boot));
    };
    let mut difference = Difference::default();
    let settings = settings_after(stored.settings(), written.filter, import.replace);
    differ(&mut difference.lines, "filter.", stored.settings(), &settings);
    let networks_after = networks_after(stored.networks(), written.network, import.replace)?;
    differ_in_networks(&mut difference.lines, stored.networks(), &networks_after);
    let mut edit = Edit {
        settings: (settings != *stored.settings()).then_some(settings),
        networks: (networks_after != stored.networks()).then_some(networks_after),
        ..Edit::default()
    };
    // Rules of the text may name those that it names.
    let networks = &named_with(networks, edit.networks.as_deref());
    // New profiles are named and numbered one after the other.
    let mut known = stored.clone();
    let mut named = HashSet::new();
    let by_name = profiles.iter().map(|profile| (&*profile.name, profile)).collect();
    let by_matches = profiles.iter().rev().map(|profile| (&*profile.matches, profile)).collect();
    for asked in grouped(written.app) {
        let old = find(&by_name, &by_matches, &asked);
        let profile = match old {
            Some(old) => changed(old, &asked),
            None => new_profile(&known, &asked, networks, now_s)?,
        };
        named.insert(profile.id);
        match old {
            Some(old) if *old == profile => continue,
            Some(old) => {
                let before = format!("\"{}\".", profile.name);
                if old.matches != profile.matches {
                    let told = matches_of(&profile);
                    difference.lines.push(format!("~ \"{}\" matches {told}", profile.name));
                }
                differ(&mut difference.lines, &before, &old.settings, &profile.settings);
            }
            None => {
                let told = matches_of(&profile);
                difference.lines.push(format!("+ profile \"{}\" ({told})", profile.name));
                let before = format!("\"{}\".", profile.name);
                differ(&mut difference.lines, &before, &Values::new(), &profile.settings);
            }
        }
        known.put(&profile);
        edit.profiles.push(profile);
    }
    if import.replace {
        let says = |profile: &&Profile| !profile.settings.is_empty();
        for gone in profiles.iter().filter(says).filter(|gone| !named.contains(&gone.id)) {
            difference.lines.push(format!("- profile \"{}\"", gone.name));
            edit.removed.push(gone.id);
        }
    }
    Ok((edit, difference))
}

impl Written {
    /// As it is kept.
    fn said_in(mut self, boot: Option<Boot>) -> Self {
        self.filter = layer::said_in(&self.filter, boot);
        for app in &mut self.app {
            app.settings = layer::said_in(&app.settings, boot);
        }
        self
    }
}

fn read(text: &str, networks: &[Arc<str>]) -> Result<Written, PolicyRefusal> {
    let refuse = |problem: String| PolicyRefusal::Invalid(problem);
    let file = file::parse_said(text, Path::new(TEXT), MAX_PROFILES, networks)
        .map_err(|problems| refuse(problems.to_string()))?;
    if file.service != file::ServiceSettings::default() {
        let problem = "[service] and [metrics] can only be said in the policy file";
        return Err(refuse(format!("{TEXT}: {problem}")));
    }
    let root: toml::Table =
        toml::from_str(text).map_err(|error| refuse(format!("{TEXT}: {error}")))?;
    let said =
        root.into_iter().filter(|(key, _)| matches!(key.as_str(), "filter" | "network" | "app"));
    let said: toml::Table = said.collect();
    said.try_into().map_err(|error| refuse(format!("{TEXT}: {error}")))
}

fn settings_after(before: &Values, said: Values, replace: bool) -> Values {
    match replace {
        true => said,
        false => before.clone().into_iter().chain(said).collect(),
    }
}

/// A network of a name that is there is what the text says; another comes behind.
fn networks_after(
    before: &[KeptNetwork],
    said: Vec<WrittenNetwork>,
    replace: bool,
) -> Result<Vec<KeptNetwork>, PolicyRefusal> {
    let mut after = if replace { Vec::new() } else { before.to_vec() };
    for WrittenNetwork { name, looks, settings } in said {
        let new = networks::checked(KeptNetwork { name, looks, settings })
            .map_err(|problem| PolicyRefusal::Invalid(format!("{TEXT}: {problem}")))?;
        match after.iter_mut().find(|kept| kept.name == new.name) {
            Some(kept) => *kept = new,
            None => after.push(new),
        }
    }
    if after.len() > MAX_NETWORKS {
        let problem = format!("there is room for {MAX_NETWORKS} networks");
        return Err(PolicyRefusal::Failed(problem));
    }
    Ok(after)
}

fn named_with(known: &[Arc<str>], kept: Option<&[KeptNetwork]>) -> Vec<Arc<str>> {
    let kept = kept.unwrap_or_default().iter().map(|network| Arc::clone(&network.name));
    known.iter().map(Arc::clone).chain(kept).collect()
}

fn differ_in_networks(lines: &mut Vec<String>, old: &[KeptNetwork], new: &[KeptNetwork]) {
    let find = |of: &'_ [KeptNetwork], name: &str| of.iter().find(|it| *it.name == *name).cloned();
    for KeptNetwork { name, looks, settings } in new {
        let before = find(old, name);
        let told = pairs(&said_of(looks));
        match &before {
            None => lines.push(format!("+ network \"{name}\" ({told})")),
            Some(before) if before.looks != *looks => {
                lines.push(format!("~ network \"{name}\" matches {told}"));
            }
            Some(_) => {}
        }
        let said = before.map(|before| before.settings).unwrap_or_default();
        differ(lines, &format!("network \"{name}\"."), &said, settings);
    }
    for KeptNetwork { name, .. } in old.iter().filter(|kept| find(new, &kept.name).is_none()) {
        lines.push(format!("- network \"{name}\""));
    }
    let names = |of: &[KeptNetwork], in_both: &[KeptNetwork]| -> Vec<Arc<str>> {
        let both = of.iter().filter(|kept| find(in_both, &kept.name).is_some());
        both.map(|kept| Arc::clone(&kept.name)).collect()
    };
    if names(old, new) != names(new, old) {
        lines.push("~ networks: another order".to_owned());
    }
}

/// The words of `match` of a network.
fn said_of(looks: &NetworkMatch) -> Vec<(&'static str, String)> {
    let NetworkMatch { gateway, gateway_mac, subnet, interface, ssid } = looks;
    let said = [
        ("gateway", gateway.map(|it| it.to_string())),
        ("gateway_mac", gateway_mac.map(|it| it.to_string())),
        ("subnet", subnet.map(|it| it.to_string())),
        ("interface", interface.as_ref().map(|it| it.to_string())),
        ("ssid", ssid.as_ref().map(|it| it.to_string())),
    ];
    said.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
}

fn pairs(said: &[(&'static str, String)]) -> String {
    said.iter().map(|(key, text)| format!("{key}={text}")).collect::<Vec<_>>().join(", ")
}

fn table(said: &[(&'static str, String)]) -> String {
    let said = said.iter().map(|(key, text)| format!("{key} = {}", quoted(text)));
    format!("{{ {} }}", said.collect::<Vec<_>>().join(", "))
}

/// Sections of one name are one profile: its fingerprints, and what the first that says a key says.
fn grouped(apps: Vec<WrittenApp>) -> Vec<NewProfile> {
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut grouped: Vec<NewProfile> = Vec::new();
    for WrittenApp { name, fingerprint, settings } in apps {
        let known = name.as_ref().and_then(|name| by_name.get(name).copied());
        if let Some(profile) = known.and_then(|at| grouped.get_mut(at)) {
            profile.matches.push(fingerprint);
            for (key, value) in settings {
                profile.settings.entry(key).or_insert(value);
            }
            continue;
        }
        if let Some(name) = &name {
            by_name.insert(name.clone(), grouped.len());
        }
        grouped.push(NewProfile { name, matches: vec![fingerprint], settings });
    }
    grouped
}

/// The profile that a text means: of its name, or else about the very same.
fn find<'a>(
    by_name: &HashMap<&str, &'a Profile>,
    by_matches: &HashMap<&[Fingerprint], &'a Profile>,
    asked: &NewProfile,
) -> Option<&'a Profile> {
    let named = asked.name.as_deref().and_then(|name| by_name.get(name));
    named.or_else(|| by_matches.get(asked.matches.as_slice())).copied()
}

fn changed(old: &Profile, asked: &NewProfile) -> Profile {
    let name = asked.name.as_ref().map_or_else(|| old.name.clone(), |name| name.as_str().into());
    let (matches, settings) = (asked.matches.clone(), asked.settings.clone());
    Profile { name, matches, settings, ..old.clone() }
}

fn matches_of(profile: &Profile) -> String {
    profile.matches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Says what differs, a line for each thing, of lists a line for each rule.
fn differ(lines: &mut Vec<String>, before: &str, old: &Values, new: &Values) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (old, new) if old == new => {}
            (Some(Value::Rules(old)), Some(Value::Rules(new))) => {
                differ_in_rules(lines, &format!("{before}{key}"), old, new);
            }
            (Some(old), Some(new)) => lines.push(format!("~ {before}{key} = {new} (was {old})")),
            (None, Some(new)) => lines.push(format!("+ {before}{key} = {new}")),
            (Some(old), None) => lines.push(format!("- {before}{key} = {old}")),
            (None, None) => {}
        }
    }
}

fn differ_in_rules(lines: &mut Vec<String>, name: &str, old: &[String], new: &[String]) {
    let mut moved = true;
    for rule in old.iter().filter(|rule| !new.contains(rule)) {
        lines.push(format!("- {name}: {rule}"));
        moved = false;
    }
    for rule in new.iter().filter(|rule| !old.contains(rule)) {
        lines.push(format!("+ {name}: {rule}"));
        moved = false;
    }
    if moved {
        lines.push(format!("~ {name}: another order"));
    }
}

fn write_values(text: &mut String, values: &Values) {
    for (key, value) in values {
        // What no policy file may say is kept for people to see.
        let hidden = if layer::unknown(key).is_some() { "# not used: " } else { "" };
        let _ = match value {
            Value::Switch(on) => writeln!(text, "{hidden}{key} = {on}"),
            Value::Number(number) => writeln!(text, "{hidden}{key} = {number}"),
            Value::Word(word) => writeln!(text, "{hidden}{key} = {}", quoted(word)),
            Value::Rules(rules) if !hidden.is_empty() || rules.is_empty() => {
                let rules: Vec<_> = rules.iter().map(|rule| quoted(rule)).collect();
                writeln!(text, "{hidden}{key} = [{}]", rules.join(", "))
            }
            Value::Rules(rules) => {
                let _ = writeln!(text, "{key} = [");
                for rule in rules {
                    let _ = writeln!(text, "  {},", quoted(rule));
                }
                writeln!(text, "]")
            }
        };
    }
}

fn table_of(of: &Fingerprint) -> String {
    let text = |pattern: &Option<seawall_messages::policy::Pattern>| {
        pattern.as_ref().map(|it| it.as_str().to_owned())
    };
    let said = [
        ("path", text(&of.path)),
        ("command_line", text(&of.command_line)),
        ("parent", text(&of.parent)),
        ("tag", text(&of.tag)),
        ("cgroup", text(&of.cgroup)),
        ("sha256", of.sha256.as_ref().map(ToString::to_string)),
    ];
    table(&said.into_iter().filter_map(|(key, text)| Some((key, text?))).collect::<Vec<_>>())
}

/// A text as TOML has it, on one line.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[filter]\nblock_lan = true\noutgoing_rules = [\n  \"- 10.0.0.1 # far\",\n  \"+ *\",\n]\n\n\
        [[app]]\nname = \"curl\"\nmatch = { path = \"/usr/bin/curl\" }\nblock_internet = true\n\n\
        [[app]]\nname = 'two \"words\"'\nmatch = { parent = \"/bin/*\", tag = \"snap:x\" }\nblock_lan = true\n";

    fn boot() -> Option<Boot> {
        Boot::parse("0fcbee07bad8")
    }

    fn taken(text: &str, dry: &Stored, profiles: &[Profile], replace: bool) -> (Edit, Vec<String>) {
        let asked = Import { text: text.to_owned(), dry_run: false, replace };
        let (edit, difference) =
            import(dry, profiles, &asked, &[Arc::from("home")], boot(), 7).expect("good");
        (edit, difference.lines)
    }

    #[test]
    fn what_is_exported_is_imported_as_it_was() {
        let nothing = Stored::new(Values::new(), Vec::new());
        let (edit, lines) = taken(TEXT, &nothing, &[], false);
        assert_eq!(lines.len(), 6, "{lines:?}");
        let stored = nothing.after(&edit);
        let text = export(stored.settings(), &[], &edit.profiles);
        assert_eq!(text, TEXT);
        let (again, lines) = taken(&text, &stored, &edit.profiles, true);
        assert_eq!((again, lines), (Edit::default(), Vec::new()));
    }

    #[test]
    fn what_is_not_said_stays_unless_all_is_replaced() {
        let nothing = Stored::new(Values::new(), Vec::new());
        let (edit, _) = taken(TEXT, &nothing, &[], false);
        let (stored, profiles) = (nothing.after(&edit), edit.profiles);
        let text = "[filter]\noutgoing_rules = [\"+ *\"]\n[[app]]\nmatch = { path = \"/usr/bin/curl\" }\nblock_local = true\n";
        let (edit, lines) = taken(text, &stored, &profiles, false);
        let expected = [
            "- filter.outgoing_rules: - 10.0.0.1 # far",
            "- \"curl\".block_internet = true",
            "+ \"curl\".block_local = true",
        ];
        assert_eq!(lines, expected);
        assert_eq!(edit.removed, Vec::<u32>::new());
        assert_eq!(stored.after(&edit).for_all().filter.block_lan, Some(true));
        let (edit, lines) = taken(text, &stored, &profiles, true);
        assert!(lines.contains(&"- filter.block_lan = true".to_owned()), "{lines:?}");
        assert!(lines.contains(&"- profile \"two \"words\"\"".to_owned()), "{lines:?}");
        assert_eq!(edit.removed.len(), 1);
    }

    #[test]
    fn a_profile_of_several_fingerprints_is_several_sections() {
        let nothing = Stored::new(Values::new(), Vec::new());
        let text = "[[app]]\nname = \"x\"\nmatch = { path = \"/a\" }\nblock_lan = true\n\n\
                    [[app]]\nname = \"x\"\nmatch = { path = \"/b\" }\nblock_lan = true\n";
        let (edit, _) = taken(text, &nothing, &[], false);
        assert_eq!(edit.profiles.len(), 1);
        assert_eq!(edit.profiles[0].matches.len(), 2);
        assert_eq!(export(&Values::new(), &[], &edit.profiles), text);
    }

    #[test]
    fn what_counts_until_the_restart_is_taken_as_of_now() {
        let nothing = Stored::new(Values::new(), Vec::new());
        let text = "[filter]\noutgoing_rules = [\"- * until=restart\"]\n";
        let (edit, lines) = taken(text, &nothing, &[], false);
        assert_eq!(lines, ["+ filter.outgoing_rules = \"- * until=restart\""]);
        let stored = nothing.after(&edit);
        let rules = &stored.for_all().filter.outgoing_rules;
        assert_eq!(rules[0].when.until, Some(seawall_messages::rule::End::Restart(boot())));
        assert_eq!(taken(text, &stored, &[], false), (Edit::default(), Vec::new()));
    }

    #[test]
    fn networks_are_taken_with_the_rules_that_name_them() {
        const TEXT: &str = "[filter]\noutgoing_rules = [\n  \"- * network=lab\",\n]\n\n\
            [[network]]\nname = \"lab\"\nmatch = { gateway = \"10.0.0.1\", gateway_mac = \"00:1a:2b:3c:4d:5e\" }\nblock_lan = true\n\n\
            [[network]]\nname = \"tunnel\"\nmatch = { interface = \"wg*\" }\n";
        let nothing = Stored::new(Values::new(), Vec::new());
        let (edit, lines) = taken(TEXT, &nothing, &[], false);
        let expected = [
            "+ filter.outgoing_rules = \"- * network=lab\"",
            "+ network \"lab\" (gateway=10.0.0.1, gateway_mac=00:1a:2b:3c:4d:5e)",
            "+ network \"lab\".block_lan = true",
            "+ network \"tunnel\" (interface=wg*)",
        ];
        assert_eq!(lines, expected);
        let stored = nothing.after(&edit);
        assert_eq!(export(stored.settings(), stored.networks(), &[]), TEXT);
        assert_eq!(taken(TEXT, &stored, &[], true), (Edit::default(), Vec::new()));
        let text = "[[network]]\nname = \"tunnel\"\nmatch = { interface = \"tun0\" }\n";
        let (edit, lines) = taken(text, &stored, &[], false);
        assert_eq!(lines, ["~ network \"tunnel\" matches interface=tun0"]);
        let names = |edit: &Edit| -> Vec<String> {
            let networks = edit.networks.as_deref().unwrap_or_default();
            networks.iter().map(|network| network.name.to_string()).collect()
        };
        assert_eq!(names(&edit), ["lab", "tunnel"]);
        let (edit, lines) = taken(text, &stored, &[], true);
        assert_eq!(names(&edit), ["tunnel"]);
        assert!(lines.contains(&"- network \"lab\"".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let nothing = Stored::new(Values::new(), Vec::new());
        let cases = [
            ("[filter]\nblok_lan = true\n", "import:2"),
            ("[filter]\noutgoing_rules = [\"+\"]\n", "import:2"),
            ("[service]\nmode = \"lockdown\"\n", "policy file"),
            ("[[app]]\nblock_lan = true\n", "match"),
            ("[filter]\nincoming_rules = [\"- * network=hme\"]\n", "import:2"),
            ("[[network]]\nname = \"x\"\nmatch = { interface = \"x/y\" }\n", "import:3"),
            ("nonsense", "import:1"),
        ];
        for (text, expected) in cases {
            let asked = Import { text: text.to_owned(), dry_run: false, replace: false };
            match import(&nothing, &[], &asked, &[Arc::from("home")], boot(), 0) {
                Err(PolicyRefusal::Invalid(told)) => assert!(told.contains(expected), "{told}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
