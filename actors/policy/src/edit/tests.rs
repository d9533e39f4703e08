//! What a rule does to the text around it: nothing.

use std::path::Path;

use proptest::prelude::*;
use seawall_messages::policy::{AppMatch, NewRule, RuleList, RulePlace, RuleRefusal};

use super::{Edited, insert};
use crate::file;

const CURL: &str = "/usr/bin/curl";

fn rule(rule: &str) -> NewRule {
    let rule = rule.to_owned();
    NewRule { app: None, list: RuleList::Outgoing, place: RulePlace::First, rule }
}

fn of(app: &str, line: &str) -> NewRule {
    NewRule { app: Some(AppMatch::of_text(app)), ..rule(line) }
}

fn edited(text: &str, new: &NewRule) -> Edited {
    insert(text, new, Path::new("seawall.toml"))
        .unwrap_or_else(|refusal| panic!("{refusal:?} of {new:?} in\n{text}"))
}

#[track_caller]
fn becomes(text: &str, new: &NewRule, expected: &str) {
    let edited = edited(text, new);
    assert_eq!(edited.text, expected, "\n--- got:\n{}--- expected:\n{expected}", edited.text);
    let again = insert(&edited.text, new, Path::new("seawall.toml")).expect("it stands there");
    assert!(again.added.was_there && again.text == edited.text, "it stays once");
}

#[test]
fn a_rule_for_all_stands_first_and_the_rest_as_it_was() {
    let new = rule("- 10.0.0.1 TCP/80");
    let cases = [
        ("", "[filter]\noutgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n"),
        ("# mine\n", "# mine\n\n[filter]\noutgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n"),
        (
            "[filter]\nblock_lan = true # yes\n\n[service]\nmode = \"open\"\n",
            "[filter]\nblock_lan = true # yes\noutgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n\n[service]\nmode = \"open\"\n",
        ),
        ("[filter]\noutgoing_rules = []\n", "[filter]\noutgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n"),
        (
            "[filter]\noutgoing_rules = [\"+ *\"]   # all\n",
            "[filter]\noutgoing_rules = [\"- 10.0.0.1 TCP/80\", \"+ *\"]   # all\n",
        ),
        (
            "[filter]\noutgoing_rules = [ # of the house\n  # names\n  \"+ LAN\", # near\n  '+ *',\n]\n",
            "[filter]\noutgoing_rules = [ # of the house\n  \"- 10.0.0.1 TCP/80\",\n  # names\n  \"+ LAN\", # near\n  '+ *',\n]\n",
        ),
        (
            "[filter]\noutgoing_rules = [\n    # none yet\n]\n",
            "[filter]\noutgoing_rules = [\n    \"- 10.0.0.1 TCP/80\"\n    # none yet\n]\n",
        ),
        (
            "filter = { block_lan = true }\n",
            "filter = { block_lan = true , outgoing_rules = [\"- 10.0.0.1 TCP/80\"] }\n",
        ),
        (
            "filter.block_lan = true\n",
            "filter.block_lan = true\nfilter.outgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n",
        ),
        (
            "[service]\nmode = \"open\"\n# the end\n",
            "[service]\nmode = \"open\"\n# the end\n\n[filter]\noutgoing_rules = [\"- 10.0.0.1 TCP/80\"]\n",
        ),
        (
            "[filter]\r\noutgoing_rules = [\r\n  \"+ *\",\r\n]\r\n",
            "[filter]\r\noutgoing_rules = [\r\n  \"- 10.0.0.1 TCP/80\",\r\n  \"+ *\",\r\n]\r\n",
        ),
    ];
    for (text, expected) in cases {
        becomes(text, &new, expected);
    }
}

#[test]
fn incoming_rules_are_a_list_of_their_own() {
    let new = NewRule { list: RuleList::Incoming, ..rule("- 10.0.0.1   # a scanner") };
    becomes(
        "[filter]\noutgoing_rules = [\"+ *\"]\n",
        &new,
        "[filter]\noutgoing_rules = [\"+ *\"]\nincoming_rules = [\"- 10.0.0.1   # a scanner\"]\n",
    );
}

#[test]
fn a_rule_of_an_app_goes_where_that_app_is_decided() {
    let new = of(CURL, "- *");
    let cases = [
        // None speaks of it: one at the end.
        ("", "[[app]]\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\"- *\"]\n"),
        (
            "[filter]\nblock_lan = true\n# later\n",
            "[filter]\nblock_lan = true\n# later\n\n[[app]]\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\"- *\"]\n",
        ),
        (
            "[[app]]\nmatch = { path = \"/usr/bin/wget\" }\n\n[service]\nmode = \"open\"\n",
            "[[app]]\nmatch = { path = \"/usr/bin/wget\" }\n\n[service]\nmode = \"open\"\n\n[[app]]\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\"- *\"]\n",
        ),
        // Its own section.
        (
            "[[app]]\nname = \"c\" # mine\nmatch.path = \"/usr/bin/curl\"\noutgoing_rules = [\"+ LAN\"]\n",
            "[[app]]\nname = \"c\" # mine\nmatch.path = \"/usr/bin/curl\"\noutgoing_rules = [\"- *\", \"+ LAN\"]\n",
        ),
        (
            "[[app]]\n[app.match]\npath = \"/usr/bin/curl\"\n",
            "[[app]]\noutgoing_rules = [\"- *\"]\n[app.match]\npath = \"/usr/bin/curl\"\n",
        ),
        (
            "app = [{ match = { path = \"/usr/bin/curl\" } }]\n",
            "app = [{ match = { path = \"/usr/bin/curl\" } , outgoing_rules = [\"- *\"] }]\n",
        ),
        // Nobody can tell whether the first fits: the second is left.
        (
            "[[app]]\nmatch = { path = \"/usr/bin/*\", parent = \"/usr/bin/bash\" }\n",
            "[[app]]\nmatch = { path = \"/usr/bin/*\", parent = \"/usr/bin/bash\" }\n\n[[app]]\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\"- *\"]\n",
        ),
        // One that means others, too: what it said of this app still holds.
        (
            "[filter]\nblock_lan = false\n\n# tools\n[[app]]\nname = \"tools\"\nmatch = { path = \"/usr/bin/*\" }\nblock_internet = true # all\noutgoing_rules = [\"+ LAN\"]\n",
            "[filter]\nblock_lan = false\n\n[[app]]\nmatch = { path = \"/usr/bin/curl\" }\nblock_internet = true # all\noutgoing_rules = [\"- *\", \"+ LAN\"]\n\n# tools\n[[app]]\nname = \"tools\"\nmatch = { path = \"/usr/bin/*\" }\nblock_internet = true # all\noutgoing_rules = [\"+ LAN\"]\n",
        ),
        (
            "app = [{ match = { path = \"*\" } }]\n",
            "app = [{ match = { path = \"/usr/bin/curl\" }, outgoing_rules = [\"- *\"] }, { match = { path = \"*\" } }]\n",
        ),
    ];
    for (text, expected) in cases {
        becomes(text, &new, expected);
    }
    becomes(
        "",
        &of("snap:firefox", "+ Internet TCP/443"),
        "[[app]]\nmatch = { tag = \"snap:firefox\" }\noutgoing_rules = [\"+ Internet TCP/443\"]\n",
    );
}

#[test]
fn where_it_went_is_said_as_errors_say_it() {
    let text = "[[app]]\nmatch = { tag = \"*\" }\n";
    let incoming = NewRule { list: RuleList::Incoming, ..of(CURL, "- *") };
    for (new, expected) in [
        (rule("- *"), "filter.outgoing_rules"),
        (incoming, "app[2].incoming_rules"),
        (of("snap:x", "- *"), "app[1].outgoing_rules"),
        (of("*", "- *"), "app[2].outgoing_rules"),
    ] {
        assert_eq!(edited(text, &new).added.list, expected, "{new:?}");
    }
}

#[test]
fn what_is_no_rule_is_refused_and_what_cannot_be_edited_says_so() {
    let invalid = [
        ("", rule("")),
        ("", rule("10.0.0.1")),
        ("", rule("- no where")),
        ("", rule("- * TCP/80\n+ *")),
        ("", rule("- * # \u{1b}[2J")),
        ("", of("", "- *")),
        ("", of("/usr/bin/\u{7}curl\n", "- *\r")),
        ("", of(&"/x".repeat(1_000), "- *")),
        ("", rule(&"- * # long ".repeat(500))),
    ];
    for (text, new) in invalid {
        let refused = insert(text, &new, Path::new("seawall.toml"));
        assert!(matches!(refused, Err(RuleRefusal::Invalid(_))), "{new:?}: {refused:?}");
    }
    let refused = insert("[filter]\nx = 1\n", &rule("- *"), Path::new("seawall.toml"));
    let Err(RuleRefusal::Failed(why)) = refused else { panic!("a bad file: {refused:?}") };
    assert!(why.contains("seawall.toml:2:1"), "{why}");
}

/// Lines of a file: comments, keys, sections, in an order that is one of a policy file.
fn files() -> impl Strategy<Value = String> {
    let comment = prop_oneof![Just(String::new()), Just("\n".to_owned()), "# [a-z ]{0,9}\n"];
    let line = prop_oneof!["[+-] (LAN|[*]|10\\.0\\.0\\.[1-9])( TCP/[1-9][0-9]?)?( # [a-z]{1,5})?"];
    let list = (proptest::collection::vec(line, 0..4), 0..4_u8).prop_map(|(lines, form)| {
        let quoted: Vec<String> = lines.iter().map(|line| format!("\"{line}\"")).collect();
        match form {
            0 => format!("[{}]", quoted.join(", ")),
            1 => format!("[{}]", quoted.join(",")),
            2 => format!(
                "[ # head\n{}]",
                quoted.join(",\n") + if lines.is_empty() { "" } else { "\n" }
            ),
            _ => format!(
                "[\n{}  # tail\n]",
                quoted.iter().map(|line| format!("  {line}, # why\n")).collect::<String>()
            ),
        }
    });
    let rules = (list.clone(), list, 0..4_u8).prop_map(|(one, other, which)| {
        let outgoing = format!("outgoing_rules = {one} # out\n");
        let incoming = format!("incoming_rules={other}\n");
        match which {
            0 => String::new(),
            1 => outgoing,
            2 => incoming,
            _ => incoming + &outgoing,
        }
    });
    let whom = prop_oneof![
        Just("match = { path = \"/usr/bin/curl\" }\n"),
        Just("match = { path = \"/usr/*\" } # wide\n"),
        Just("match.tag = \"snap:firefox\"\n"),
        Just("match = { path = \"/usr/bin/curl\", parent = \"/bin/sh\" }\n"),
    ];
    let app = (comment.clone(), whom, rules.clone(), any::<bool>()).prop_map(
        |(comment, whom, rules, lan)| {
            let lan = if lan { "block_lan = true\n" } else { "" };
            format!("{comment}[[app]]\n{lan}{whom}{rules}")
        },
    );
    let filter = (comment.clone(), rules, any::<bool>()).prop_map(|(comment, rules, is_there)| {
        if is_there { format!("{comment}[filter]\nblock_lan = false\n{rules}") } else { comment }
    });
    let apps = proptest::collection::vec(app, 0..4);
    (filter, apps, comment, any::<bool>()).prop_map(|(filter, apps, comment, at_the_end)| {
        let apps = apps.concat();
        let service = "[service]\nmode = \"open\"\n";
        if at_the_end {
            format!("{filter}{apps}{service}{comment}")
        } else {
            format!("{service}{apps}{filter}{comment}")
        }
    })
}

proptest! {
    /// All that the file said it still says, comments and all, in the same order but for
    /// the rule; and the rule is what decides first.
    #[test]
    fn all_other_content_survives(
        text in files(),
        app in prop_oneof![Just(None), Just(Some(CURL)), Just(Some("snap:firefox")), Just(Some("snap:*"))],
        incoming: bool,
    ) {
        let list = if incoming { RuleList::Incoming } else { RuleList::Outgoing };
        let line = "- 10.9.9.9 TCP/99 # new";
        let new = NewRule { app: app.map(AppMatch::of_text), list, ..rule(line) };
        let edited = edited(&text, &new);
        let before = file::parse(&text, Path::new("a")).expect("a good file");
        let after = file::parse(&edited.text, Path::new("a")).expect("a good file");
        prop_assert_eq!(&before.service, &after.service);
        let lists = |file: &file::PolicyFile| {
            let apps = file.apps.iter().flat_map(|app| [app.filter.outgoing_rules.len(), app.filter.incoming_rules.len()]);
            file.filter.outgoing_rules.len() + file.filter.incoming_rules.len() + apps.sum::<usize>()
        };
        prop_assert!(lists(&after) > lists(&before));
        prop_assert_eq!(edited.text.matches(line).count(), 1);
        // Word for word, the old text is what is left when others are taken out of the new.
        let mut rest = edited.text.split_whitespace().flat_map(|word| word.chars());
        for character in text.chars().filter(|character| !character.is_whitespace()) {
            prop_assert!(rest.any(|other| other == character), "lost {:?} of\n{}\n---\n{}", character, text, edited.text);
        }
        let comments = |text: &str| text.matches('#').count();
        prop_assert!(comments(&edited.text) > comments(&text));
    }

    #[test]
    fn no_text_at_all_makes_it_give_up(text in "\\PC{0,80}", line in "\\PC{0,40}") {
        let _ = insert(&text, &rule(&line), Path::new("a"));
    }
}
