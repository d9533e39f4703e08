//! Takes a rule out of the text of a policy file, or switches it off and on.
//!
//! As with [`super::insert`] everything else stays as it is, comments included:
//! only what stands behind a rule on its own line goes with it.

use std::path::Path;

use seawall_messages::policy::{
    AppMatch, AppPolicy, ChangeRule, ChangedRule, RuleChange, RuleList, RuleRefusal,
};
use seawall_messages::rule::{Rule, Rules, When};
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::{checked, fingerprint_of, not_editable, with_line_ends_of};
use crate::file::{self, PolicyFile};
use crate::rule;

/// What a change gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The whole file.
    pub text: String,
    /// What became of which rule.
    pub changed: ChangedRule,
}

/// Where a rule stands: in the section of an app, by its index, or in `[filter]`; and its index there.
struct Place {
    app: Option<usize>,
    index: usize,
}

/// The text of the file with the rule changed. `path` is only for error messages.
pub fn change(text: &str, asked: &ChangeRule, path: &Path) -> Result<Changed, RuleRefusal> {
    let wanted = checked(&asked.rule)?;
    let before = file::parse(text, path).map_err(|problems| {
        RuleRefusal::Failed(format!(
            "the file must be put right before a rule is changed\n{problems}"
        ))
    })?;
    let app = app_of(asked, &before.apps)?;
    let list = match app {
        None => format!("filter.{}", asked.list.key()),
        Some(at) => format!("app[{}].{}", at + 1, asked.list.key()),
    };
    let rules = rules_of(&before, app, asked.list);
    let index = rules.iter().position(|rule| is_meant(rule, &wanted)).ok_or_else(|| {
        RuleRefusal::Failed(format!("{}: there is no `{}` in {list}", path.display(), wanted.text))
    })?;
    let place = Place { app, index };
    let mut document: DocumentMut = text.parse().map_err(|error| not_editable(path, &error))?;
    let now = edit(&mut document, &place, asked)
        .ok_or_else(|| not_editable(path, &"its form is unusual"))?;
    let edited = with_line_ends_of(text, document.to_string());
    let after = file::parse(&edited, path)
        .map_err(|_| not_editable(path, &"the result would not be read"))?;
    if after != expected(before, &place, asked) {
        return Err(not_editable(path, &"the result would say something else"));
    }
    Ok(Changed { text: edited, changed: ChangedRule { rule: now, list } })
}

/// The section that is meant: by its name, or by what it matches.
fn app_of(asked: &ChangeRule, apps: &[AppPolicy]) -> Result<Option<usize>, RuleRefusal> {
    let Some(app) = &asked.app else { return Ok(None) };
    let wanted = fingerprint_of(&AppMatch::of_text(app));
    let is_it = |section: &AppPolicy| *section.name == **app || section.fingerprint == wanted;
    apps.iter().position(is_it).map(Some).ok_or_else(|| {
        RuleRefusal::Failed(format!("there is no [[app]] that is named or matches {app:?}"))
    })
}

fn rules_of(file: &PolicyFile, app: Option<usize>, list: RuleList) -> &[Rule] {
    let app = app.and_then(|at| file.apps.get(at)).map(|app| &app.filter);
    match (app, list) {
        (Some(app), RuleList::Outgoing) => &app.outgoing_rules,
        (Some(app), RuleList::Incoming) => &app.incoming_rules,
        (None, RuleList::Outgoing) => &file.filter.outgoing_rules,
        (None, RuleList::Incoming) => &file.filter.incoming_rules,
    }
}

/// The same rule, be it off or on.
fn is_meant(rule: &Rule, wanted: &Rule) -> bool {
    let on = |when: When| When { off: false, ..when };
    (rule.permission, &rule.entity, rule.service, on(rule.when), &rule.only)
        == (wanted.permission, &wanted.entity, wanted.service, on(wanted.when), &wanted.only)
}

/// What the file has to say when it is done.
fn expected(mut file: PolicyFile, place: &Place, asked: &ChangeRule) -> PolicyFile {
    let rules = rules_of(&file, place.app, asked.list).iter().enumerate();
    let changed: Rules = rules
        .filter_map(|(index, rule)| match asked.change {
            _ if index != place.index => Some(rule.clone()),
            RuleChange::Remove => None,
            RuleChange::Disable => Some(rule::switched(rule, true)),
            RuleChange::Enable => Some(rule::switched(rule, false)),
        })
        .collect();
    let app = place.app.and_then(|at| file.apps.get_mut(at)).map(|app| &mut app.filter);
    *match (app, asked.list) {
        (Some(app), RuleList::Outgoing) => &mut app.outgoing_rules,
        (Some(app), RuleList::Incoming) => &mut app.incoming_rules,
        (None, RuleList::Outgoing) => &mut file.filter.outgoing_rules,
        (None, RuleList::Incoming) => &mut file.filter.incoming_rules,
    } = changed;
    file
}

/// Gives the rule as it was or is written. `None` where the document has a form that isn't known here.
fn edit(document: &mut DocumentMut, place: &Place, asked: &ChangeRule) -> Option<String> {
    let section: &mut dyn TableLike = match place.app {
        None => document.get_mut("filter")?.as_table_like_mut()?,
        Some(at) => match document.get_mut("app")? {
            Item::ArrayOfTables(sections) => sections.get_mut(at)?,
            Item::Value(Value::Array(sections)) => sections.get_mut(at)?.as_inline_table_mut()?,
            _ => return None,
        },
    };
    let list = section.get_mut(asked.list.key())?.as_array_mut()?;
    let line = list.get(place.index)?.as_str()?.to_owned();
    match asked.change {
        RuleChange::Remove => {
            take_out(list, place.index);
            Some(line)
        }
        RuleChange::Disable => rewrite(list, place.index, &line, true),
        RuleChange::Enable => rewrite(list, place.index, &line, false),
    }
}

fn rewrite(list: &mut Array, index: usize, line: &str, off: bool) -> Option<String> {
    let switched = rule::switched(&rule::parse(line).ok()?, off);
    let comment = rule::comment(line).map(|comment| format!(" {comment}")).unwrap_or_default();
    let line = format!("{}{comment}", switched.text);
    let value = list.get_mut(index)?;
    let decor = value.decor().clone();
    *value = Value::from(line.as_str());
    *value.decor_mut() = decor;
    Some(line)
}

/// Takes a value out. What stands above it stays; what stands behind it on its line goes.
fn take_out(list: &mut Array, index: usize) {
    let removed = list.remove(index);
    let above = removed.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let joined = |below: &str| match (above.rfind('\n'), below.find('\n')) {
        (Some(end), Some(begin)) => format!("{}{}", &above[..end], &below[begin..]),
        (None, Some(begin)) => below[begin..].to_owned(),
        (_, None) => above.to_owned(),
    };
    if let Some(next) = list.get_mut(index) {
        let below = next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let prefix = joined(below);
        next.decor_mut().set_prefix(prefix);
    } else {
        let below = list.trailing().as_str().unwrap_or_default();
        let trailing = if below.contains('\n') { joined(below) } else { below.to_owned() };
        list.set_trailing(trailing);
        // A comma that follows nothing.
        list.set_trailing_comma(list.trailing_comma() && !list.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: RuleChange, app: Option<&str>, rule: &str) -> ChangeRule {
        let app = app.map(str::to_owned);
        ChangeRule { app, list: RuleList::Outgoing, rule: rule.to_owned(), change }
    }

    #[track_caller]
    fn becomes(text: &str, asked: &ChangeRule, expected: &str) {
        let changed = change(text, asked, Path::new("seawall.toml"));
        let changed = changed.unwrap_or_else(|refusal| panic!("{refusal:?} of {asked:?}"));
        assert_eq!(changed.text, expected, "\n--- got:\n{}--- expected:\n{expected}", changed.text);
    }

    #[test]
    fn a_rule_goes_and_the_rest_stays() {
        let cases = [
            ("[filter]\noutgoing_rules = [\"- *\"]\n", "[filter]\noutgoing_rules = []\n"),
            (
                "[filter]\noutgoing_rules = [\"+ LAN\", \"- *\"] # all\n",
                "[filter]\noutgoing_rules = [\"+ LAN\"] # all\n",
            ),
            (
                "[filter]\noutgoing_rules = [\"- *\", \"+ LAN\"]\n",
                "[filter]\noutgoing_rules = [\"+ LAN\"]\n",
            ),
            (
                "[filter]\noutgoing_rules = [ # of the house\n  # names\n  \"- *\", # far\n  '+ LAN', # near\n]\n",
                "[filter]\noutgoing_rules = [ # of the house\n  # names\n  '+ LAN', # near\n]\n",
            ),
            (
                "[filter]\noutgoing_rules = [\n  \"+ LAN\", # near\n  # far\n  \"-  *  # note\", # all\n]\n",
                "[filter]\noutgoing_rules = [\n  \"+ LAN\", # near\n  # far\n]\n",
            ),
            (
                "[filter]\r\noutgoing_rules = [\r\n  \"- *\",\r\n]\r\n",
                "[filter]\r\noutgoing_rules = [\r\n]\r\n",
            ),
            (
                "filter = { outgoing_rules = [\"- * off\", \"- *\"] }\n",
                "filter = { outgoing_rules = [\"- *\"] }\n",
            ),
        ];
        for (text, expected) in cases {
            becomes(text, &asked(RuleChange::Remove, None, "- *"), expected);
        }
    }

    #[test]
    fn a_rule_is_switched_off_and_on_with_its_comment() {
        let on = "[filter]\noutgoing_rules = [\n  \"- * TCP/80 # web\", # far\n  \"+ LAN\",\n]\n";
        let off =
            "[filter]\noutgoing_rules = [\n  \"- * TCP/HTTP off # web\", # far\n  \"+ LAN\",\n]\n";
        let back =
            "[filter]\noutgoing_rules = [\n  \"- * TCP/HTTP # web\", # far\n  \"+ LAN\",\n]\n";
        becomes(on, &asked(RuleChange::Disable, None, "- * TCP/http"), off);
        becomes(off, &asked(RuleChange::Enable, None, "- * TCP/80"), back);
        becomes(off, &asked(RuleChange::Disable, None, "- * TCP/80 off"), off);
    }

    #[test]
    fn a_rule_of_an_app_is_found_by_its_name_or_what_it_matches() {
        let text = "[[app]]\nname = \"Curl\"\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\"- *\"]\n\n\
                    [[app]]\nmatch = { tag = \"snap:x\" }\noutgoing_rules = [\"- *\", \"+ LAN\"]\n";
        let curl = text.replacen("[\"- *\"]", "[]", 1);
        for app in ["Curl", "/usr/bin/curl"] {
            becomes(text, &asked(RuleChange::Remove, Some(app), "- *"), &curl);
        }
        let snap = text.replacen("[\"- *\", \"+ LAN\"]", "[\"+ LAN\"]", 1);
        becomes(text, &asked(RuleChange::Remove, Some("snap:x"), "- *"), &snap);
    }

    #[test]
    fn what_is_not_there_is_not_changed() {
        let text = "[filter]\noutgoing_rules = [\"- *\"]\n";
        let refused = |asked: &ChangeRule| change(text, asked, Path::new("seawall.toml"));
        for (asked, why) in [
            (asked(RuleChange::Remove, None, "+ *"), "there is no `+ *` in filter.outgoing_rules"),
            (asked(RuleChange::Remove, Some("curl"), "- *"), "there is no [[app]]"),
        ] {
            match refused(&asked) {
                Err(RuleRefusal::Failed(told)) => assert!(told.contains(why), "{told}"),
                other => panic!("{other:?}"),
            }
        }
        let nonsense = refused(&asked(RuleChange::Remove, None, "nonsense"));
        assert!(matches!(nonsense, Err(RuleRefusal::Invalid(_))), "{nonsense:?}");
    }
}
