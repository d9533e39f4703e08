//! Changes of what the store says: what was asked, and what is said then. Pure.

use std::sync::Arc;

use seawall_messages::policy::{
    AppMatch, ChangeRule, NewProfile, NewRule, PolicyRefusal, Profile, RuleChange, RuleList,
    SettingsChange,
};
use seawall_messages::rule::{Boot, End, Rule, When};
use seawall_messages::setting::{MAX_PROFILES, Place, Value, Values, key_of};

use crate::file::{MAX_RULES, fingerprint_problem, is_name, name_expected};
use crate::layer;
use crate::rule;
use crate::stored::{Stored, fingerprint_of};

/// Most fingerprints of one profile.
const MAX_MATCHES: usize = 64;

/// What is asked, said in this run of the machine.
pub(crate) fn said_in(asked: &SettingsChange, boot: Option<Boot>) -> SettingsChange {
    let line = |line: &String| rule::said_in(line, boot);
    let value = |value: &Value| match value {
        Value::Rules(lines) => Value::Rules(lines.iter().map(line).collect()),
        other => other.clone(),
    };
    let changes = asked.changes.iter().map(|(key, said)| (key.clone(), said.as_ref().map(value)));
    SettingsChange { app: asked.app.clone(), changes: changes.collect() }
}

/// What is said after a change of settings. All of it must be right.
pub(crate) fn change_settings(
    values: &Values,
    asked: &SettingsChange,
    place: Place,
    networks: &[Arc<str>],
) -> Result<Values, PolicyRefusal> {
    let mut values = values.clone();
    for (name, value) in &asked.changes {
        let key = key_of(name).unwrap_or(name);
        match value {
            Some(value) => {
                if let Some(problem) = layer::problem(key, value, place, networks) {
                    return Err(PolicyRefusal::Invalid(problem));
                }
                values.insert(key.to_owned(), value.clone());
            }
            // Whatever is kept may go, be it of use or not.
            None if values.remove(key).is_none() => {
                if let Some(problem) = layer::unknown(key) {
                    return Err(PolicyRefusal::Invalid(problem));
                }
            }
            None => {}
        }
    }
    Ok(values)
}

/// What is said with a rule before all others of its list; `None` where it is first already.
pub(crate) fn add_rule(
    values: &Values,
    new: &NewRule,
    networks: &[Arc<str>],
) -> Result<Option<Values>, PolicyRefusal> {
    let rule = layer::new_rule(&new.rule, networks).map_err(PolicyRefusal::Invalid)?;
    let mut lines = lines_of(values, new.list);
    // What counts until the next restart takes the place of what an earlier restart ended; what
    // counts until the app ends that of what another run of it ended, or will.
    let anew = Rule { when: rule.when.whenever_said(), ..rule.clone() };
    let has_ended = |old: &Rule| {
        old.when.until != rule.when.until && anew.when != rule.when && is_meant(old, &anew)
    };
    lines.retain(|line| !rule::parse(line).is_ok_and(|old| has_ended(&old)));
    if lines.first().and_then(|first| rule::parse(first).ok()).is_some_and(|it| it == rule) {
        return Ok(None);
    }
    if lines.len() >= MAX_RULES {
        let problem = format!("{} has {MAX_RULES} rules, and no room for more", new.list.key());
        return Err(PolicyRefusal::Failed(problem));
    }
    lines.insert(0, new.rule.clone());
    Ok(Some(with_lines(values, new.list, lines)))
}

/// What is said after a rule went or was switched, and the rule as it is or was; `None` where
/// there is no such rule.
pub(crate) fn change_rule(
    values: &Values,
    asked: &ChangeRule,
) -> Result<Option<(Values, String)>, PolicyRefusal> {
    let wanted = layer::read_rule(&asked.rule).map_err(PolicyRefusal::Invalid)?;
    let mut lines = lines_of(values, asked.list);
    let is_it = |line: &String| rule::parse(line).is_ok_and(|rule| is_meant(&rule, &wanted));
    let Some(at) = lines.iter().position(is_it) else { return Ok(None) };
    let line = lines.remove(at);
    let told = match asked.change {
        RuleChange::Remove => line,
        RuleChange::Disable | RuleChange::Enable => {
            let off = asked.change == RuleChange::Disable;
            let line = switched(&line, off).unwrap_or(line);
            lines.insert(at, line.clone());
            line
        }
    };
    Ok(Some((with_lines(values, asked.list, lines), told)))
}

/// The same rule, be it off or on.
pub(crate) fn is_meant(rule: &Rule, wanted: &Rule) -> bool {
    let on = |when: When| match wanted.when.until {
        // As people write it, it is the one of any run of the machine, or of the app.
        Some(End::Restart(None) | End::Exit(None)) => When { off: false, ..when.whenever_said() },
        _ => When { off: false, ..when },
    };
    (rule.permission, &rule.entity, rule.service, on(rule.when), &rule.only)
        == (wanted.permission, &wanted.entity, wanted.service, on(wanted.when), &wanted.only)
}

/// A profile as it was asked for.
pub(crate) fn new_profile(
    stored: &Stored,
    asked: &NewProfile,
    networks: &[Arc<str>],
    now_s: u64,
) -> Result<Profile, PolicyRefusal> {
    let refuse = |problem: String| Err(PolicyRefusal::Invalid(problem));
    if stored.len() >= MAX_PROFILES {
        let problem = format!("there are {MAX_PROFILES} profiles, and there is no room for more");
        return Err(PolicyRefusal::Failed(problem));
    }
    if asked.matches.is_empty() || asked.matches.len() > MAX_MATCHES {
        let count = asked.matches.len();
        return refuse(format!("matches: found {count}; expected 1 to {MAX_MATCHES}"));
    }
    if let Some(problem) = asked.matches.iter().find_map(fingerprint_problem) {
        return refuse(format!("matches: {problem}"));
    }
    let problem =
        |(key, value): (&String, &Value)| layer::problem(key, value, Place::App, networks);
    if let Some(problem) = asked.settings.iter().find_map(problem) {
        return refuse(problem);
    }
    let name = match &asked.name {
        Some(name) => free_name(stored, name)?,
        None => made_up_name(stored, asked),
    };
    Ok(Profile {
        id: stored.free_id(),
        name,
        matches: asked.matches.clone(),
        settings: asked.settings.clone(),
        problems: Vec::new(),
        created_s: now_s,
    })
}

/// A profile for an app that has none.
pub(crate) fn profile_for(app: &str) -> NewProfile {
    let matches = vec![fingerprint_of(&AppMatch::of_text(app))];
    NewProfile { name: None, matches, settings: Values::new() }
}

/// A name that a profile can be given.
pub(crate) fn free_name(stored: &Stored, name: &str) -> Result<Arc<str>, PolicyRefusal> {
    if !is_name(name) {
        let problem = format!("name: found {name:?}; expected {}", name_expected());
        return Err(PolicyRefusal::Invalid(problem));
    }
    if stored.has_name(name) {
        return Err(PolicyRefusal::Failed(format!("there is a profile named {name:?} already")));
    }
    Ok(Arc::from(name))
}

/// A name like that which no profile has; `None` where it makes none.
pub(crate) fn nearest_free_name(stored: &Stored, name: &str) -> Option<String> {
    is_name(name).then(|| numbered(stored, name))
}

/// What people call a program: the end of its path, or of its id.
fn made_up_name(stored: &Stored, asked: &NewProfile) -> Arc<str> {
    let first = asked.matches.first();
    let text = first.and_then(|of| of.path.as_ref().or(of.tag.as_ref())).map(|it| it.as_str());
    let end = text.map(|text| text.rsplit(['/', ':']).next().unwrap_or(text));
    let base = match end.filter(|end| !end.is_empty() && !end.contains('*')) {
        Some(end) => end.to_owned(),
        None => first.map(ToString::to_string).unwrap_or_default(),
    };
    // Long fingerprints are cut where a name ends.
    let base: String =
        base.chars().filter(|it| !it.is_control()).take(MADE_UP_CHARACTERS).collect();
    Arc::from(numbered(stored, &base))
}

/// The name, or with a number behind it where others have it.
fn numbered(stored: &Stored, base: &str) -> String {
    let numbered = |number: usize| match number {
        1 => base.to_owned(),
        number => format!("{base} {number}"),
    };
    // Of more names than there are profiles, one is free.
    let free = (1..=stored.len() + 1).map(numbered).find(|name| !stored.has_name(name));
    free.unwrap_or_else(|| base.to_owned())
}

/// Longest name that is made up, in characters of at most four bytes.
const MADE_UP_CHARACTERS: usize = 45;

fn lines_of(values: &Values, list: RuleList) -> Vec<String> {
    match values.get(list.key()) {
        Some(Value::Rules(lines)) => lines.clone(),
        _ => Vec::new(),
    }
}

fn with_lines(values: &Values, list: RuleList, lines: Vec<String>) -> Values {
    let mut values = values.clone();
    match lines.is_empty() {
        true => values.remove(list.key()),
        false => values.insert(list.key().to_owned(), Value::Rules(lines)),
    };
    values
}

/// The line with its rule switched; its comment stays.
fn switched(line: &str, off: bool) -> Option<String> {
    let switched = rule::switched(&rule::parse(line).ok()?, off);
    let comment = rule::comment(line).map(|comment| format!(" {comment}")).unwrap_or_default();
    Some(format!("{}{comment}", rule::kept(&switched)))
}

#[cfg(test)]
mod tests {
    use seawall_messages::policy::{Fingerprint, RulePlace};

    use super::*;

    fn rules(lines: &[&str]) -> Values {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Values::from([("outgoing_rules".to_owned(), Value::Rules(lines))])
    }

    fn new(rule: &str) -> NewRule {
        let (list, place) = (RuleList::Outgoing, RulePlace::First);
        NewRule { app: None, list, place, rule: rule.to_owned() }
    }

    #[test]
    fn a_rule_comes_first_once() {
        let values = add_rule(&rules(&["+ LAN"]), &new("- * # all"), &[]).expect("a rule");
        assert_eq!(values, Some(rules(&["- * # all", "+ LAN"])));
        assert_eq!(add_rule(&rules(&["-  *", "+ LAN"]), &new("- *"), &[]).expect("a rule"), None);
        assert_eq!(
            add_rule(&Values::new(), &new("- *"), &[]).expect("a rule"),
            Some(rules(&["- *"]))
        );
        assert!(matches!(
            add_rule(&Values::new(), &new("nonsense"), &[]),
            Err(PolicyRefusal::Invalid(_))
        ));
        assert!(matches!(
            add_rule(&Values::new(), &new("- *\n"), &[]),
            Err(PolicyRefusal::Invalid(_))
        ));
    }

    #[test]
    fn what_counts_until_the_restart_is_said_anew_after_it() {
        let [now, before] = ["- * until=restart@0fcbee07bad8", "- * until=restart@000000000000"];
        let values = rules(&["+ LAN", before]);
        let after = add_rule(&values, &new(now), &[]).expect("a rule").expect("a change");
        assert_eq!(after, rules(&[now, "+ LAN"]));
        assert_eq!(add_rule(&after, &new(now), &[]).expect("a rule"), None);
        let unknown = add_rule(&values, &new("- * until=restart"), &[]);
        assert!(matches!(unknown, Err(PolicyRefusal::Invalid(_))), "{unknown:?}");
        let asked = ChangeRule {
            app: None,
            list: RuleList::Outgoing,
            rule: "- * until=restart".to_owned(),
            change: RuleChange::Disable,
        };
        let (values, _) = change_rule(&after, &asked).expect("a rule").expect("found");
        assert_eq!(values, rules(&["- * off until=restart@0fcbee07bad8", "+ LAN"]));
    }

    #[test]
    fn what_counts_until_the_app_ends_is_said_anew_of_another_run_of_it() {
        let [now, before] = ["+ * until=exit@7-8-0fcbee07bad8", "+ * until=exit@1-2-0fcbee07bad8"];
        let values = rules(&["- LAN", before]);
        let after = add_rule(&values, &new(now), &[]).expect("a rule").expect("a change");
        assert_eq!(after, rules(&[now, "- LAN"]));
        assert_eq!(add_rule(&after, &new(now), &[]).expect("a rule"), None);
        let unknown = add_rule(&values, &new("+ * until=exit"), &[]);
        assert!(matches!(unknown, Err(PolicyRefusal::Invalid(_))), "{unknown:?}");
        let asked = |rule: &str, change| ChangeRule {
            app: None,
            list: RuleList::Outgoing,
            rule: rule.to_owned(),
            change,
        };
        let off = asked("+ * until=exit", RuleChange::Disable);
        let (values, _) = change_rule(&after, &off).expect("a rule").expect("found");
        assert_eq!(values, rules(&["+ * off until=exit@7-8-0fcbee07bad8", "- LAN"]));
        let gone = asked("+ * until=exit off", RuleChange::Remove);
        let (values, _) = change_rule(&values, &gone).expect("a rule").expect("found");
        assert_eq!(values, rules(&["- LAN"]));
        let other = asked("+ * until=restart", RuleChange::Remove);
        assert_eq!(change_rule(&after, &other).expect("a rule"), None);
    }

    #[test]
    fn a_rule_goes_or_is_switched_with_its_comment() {
        let asked = |change, rule: &str| ChangeRule {
            app: None,
            list: RuleList::Outgoing,
            rule: rule.to_owned(),
            change,
        };
        let on = rules(&["- * TCP/80 # web", "+ LAN"]);
        let off = rules(&["- * TCP/HTTP off # web", "+ LAN"]);
        let done = |values: &Values, change, rule: &str| {
            change_rule(values, &asked(change, rule)).expect("a rule").map(|(values, _)| values)
        };
        assert_eq!(done(&on, RuleChange::Disable, "- * TCP/http"), Some(off.clone()));
        let back = rules(&["- * TCP/HTTP # web", "+ LAN"]);
        assert_eq!(done(&off, RuleChange::Enable, "- * TCP/80 off"), Some(back));
        assert_eq!(done(&on, RuleChange::Remove, "- * TCP/80"), Some(rules(&["+ LAN"])));
        assert_eq!(done(&rules(&["- *"]), RuleChange::Remove, "- *"), Some(Values::new()));
        assert_eq!(done(&on, RuleChange::Remove, "- *"), None);
    }

    #[test]
    fn settings_change_as_a_whole_or_not_at_all() {
        let asked = |changes: &[(&str, Option<Value>)]| SettingsChange {
            app: None,
            changes: changes.iter().map(|(key, it)| ((*key).to_owned(), it.clone())).collect(),
        };
        let before = Values::from([
            ("block_lan".to_owned(), Value::Switch(true)),
            ("of_another_day".to_owned(), Value::Number(7)),
        ]);
        let change =
            asked(&[("filter.block_lan", None), ("block_local", Some(Value::Switch(true)))]);
        let after = change_settings(&before, &change, Place::All, &[]).expect("good");
        assert_eq!(after.keys().collect::<Vec<_>>(), ["block_local", "of_another_day"]);
        let bad = asked(&[("block_lan", None), ("block_local", Some(Value::Number(1)))]);
        assert!(change_settings(&before, &bad, Place::All, &[]).is_err());
        let gone = asked(&[("of_another_day", None)]);
        assert_eq!(change_settings(&before, &gone, Place::All, &[]).expect("good").len(), 1);
        assert!(change_settings(&before, &asked(&[("unknown", None)]), Place::All, &[]).is_err());
        assert!(
            change_settings(&before, &asked(&[("block_local", None)]), Place::All, &[]).is_ok()
        );
    }

    #[test]
    fn a_profile_gets_a_name_that_people_know() {
        let stored = Stored::new(Values::new(), Vec::new());
        let cases = [
            ("/usr/bin/curl", "curl"),
            ("snap:firefox", "firefox"),
            ("docker:web:/usr/bin/nginx", "nginx"),
            ("/opt/*", "path=/opt/*"),
        ];
        for (app, name) in cases {
            let profile = new_profile(&stored, &profile_for(app), &[], 0).expect(app);
            assert_eq!(&*profile.name, name);
        }
        let curl = new_profile(&stored, &profile_for("/usr/bin/curl"), &[], 0).expect("good");
        let stored = Stored::new(Values::new(), vec![curl]);
        let other = new_profile(&stored, &profile_for("/opt/curl"), &[], 0).expect("good");
        assert_eq!((&*other.name, other.id), ("curl 2", 2));
    }

    #[test]
    fn what_makes_no_profile_is_refused() {
        let stored = Stored::new(Values::new(), Vec::new());
        let good = profile_for("/usr/bin/curl");
        let cases = [
            NewProfile { matches: Vec::new(), ..good.clone() },
            NewProfile { matches: vec![Fingerprint::default()], ..good.clone() },
            NewProfile { name: Some(String::new()), ..good.clone() },
            NewProfile {
                settings: Values::from([("block_moon".to_owned(), Value::Switch(true))]),
                ..good
            },
        ];
        for asked in cases {
            let refused = new_profile(&stored, &asked, &[], 0);
            assert!(matches!(refused, Err(PolicyRefusal::Invalid(_))), "{asked:?}: {refused:?}");
        }
    }
}
