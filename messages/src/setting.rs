//! The settings: one registry, from which the command, the API and the docs are made.
//!
//! A setting is said in the policy file, which wins and locks it, or kept in
//! the store, where the command puts it; else it has its default. Those that
//! [`Place::App`] allows may be said for one app, too, and count for it before
//! what is said for all.

mod preset;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::preset::{PRESETS, Preset};

/// Most profiles that are kept.
pub const MAX_PROFILES: usize = 10_000;

/// What is known of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as in the policy file: `filter.block_lan`.
    pub name: &'static str,
    /// What may be said.
    pub kind: Kind,
    /// What holds where nothing is said, as it is written on a command line.
    pub default: &'static str,
    /// Where it may be said.
    pub place: Place,
    /// What it does, in a line.
    pub doc: &'static str,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// One of some words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number.
    Number {
        /// Not less.
        least: u64,
        /// Not more.
        most: u64,
        /// Of what: `seconds`; empty for a bare number.
        unit: &'static str,
    },
    /// Rules, of which the first that matches decides; those in the file come first.
    Rules,
    /// Names of profiles.
    Names,
    /// Text of a form.
    Text(&'static str),
}

/// Where a setting may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the policy file alone: it is needed before anything else runs.
    File,
    /// For all.
    All,
    /// For all, or for one app.
    App,
    /// For one app alone.
    AppAlone,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A whole number.
    Number(u64),
    /// A word, or text.
    Word(String),
    /// Rules as they were written, comments included, or names.
    Rules(Vec<String>),
}

/// What was said, by key.
pub type Values = BTreeMap<String, Value>;

/// Which layer a value in force is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nothing was said.
    Default,
    /// The store.
    Store,
    /// The policy file: locked.
    File,
    /// Both, for rules: those of the file come first, and are locked.
    Both,
}

/// The words of `default_action`.
const ACTIONS: &[(&str, &str)] = &[
    ("permit", "it passes"),
    ("block", "it is denied"),
    ("ask", "it waits for the user's answer"),
];

const fn switch(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: Kind::Switch, default: "false", place: Place::App, doc }
}

const fn rules(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: Kind::Rules, default: "[]", place: Place::App, doc }
}

/// All settings.
pub const ALL: &[Setting] = &[
    Setting {
        name: "filter.default_action",
        kind: Kind::Choice(ACTIONS),
        default: "permit",
        place: Place::App,
        doc: "what becomes of a connection that nothing else decides",
    },
    switch("filter.block_inbound", "deny every connection that others open to this machine"),
    switch("filter.block_lan", "deny the LAN, both ways"),
    switch("filter.block_internet", "deny the Internet, both ways"),
    switch("filter.block_local", "deny connections of this machine with itself"),
    rules("filter.outgoing_rules", "rules for outbound and forwarded connections"),
    rules("filter.incoming_rules", "rules for inbound connections"),
    Setting {
        name: "filter.permanent_verdicts",
        kind: Kind::Switch,
        default: "true",
        place: Place::All,
        doc: "decided connections leave the packet queue",
    },
    Setting {
        name: "filter.ask_timeout",
        kind: Kind::Number { least: 10, most: 999_999, unit: "seconds" },
        default: "60",
        place: Place::All,
        doc: "how long a connection waits for the user's answer before it is denied",
    },
    Setting {
        name: "filter.built_in_profiles",
        kind: Kind::Switch,
        default: "true",
        place: Place::All,
        doc: "profiles that come with Seawall permit what DNS, DHCP, time and the kernel need",
    },
    Setting {
        name: "filter.built_in_profiles_off",
        kind: Kind::Names,
        default: "[]",
        place: Place::All,
        doc: "those of them that don't count",
    },
    Setting {
        name: "app.use_parent",
        kind: Kind::Switch,
        default: "false",
        place: Place::AppAlone,
        doc: "what isn't said of the app is as it is said of the program that started it",
    },
    Setting {
        name: "service.mode",
        kind: Kind::Choice(&[
            ("open", "new connections pass while Seawall is absent"),
            ("lockdown", "new connections drop while Seawall is absent"),
        ]),
        default: "open",
        place: Place::File,
        doc: "what traffic does while Seawall is absent",
    },
    Setting {
        name: "service.backend",
        kind: Kind::Choice(&[
            ("auto", "the first that works"),
            ("nft", "nft"),
            ("iptables-nft", "iptables on top of nftables"),
            ("iptables-legacy", "iptables with its own tables"),
        ]),
        default: "auto",
        place: Place::File,
        doc: "which program writes the firewall rules; from the next start on",
    },
    Setting {
        name: "service.queue_base",
        kind: Kind::Number { least: 0, most: 65_506, unit: "" },
        default: "7300",
        place: Place::File,
        doc: "first of 30 packet queues; from the next start on",
    },
    Setting {
        name: "service.mark_shift",
        kind: Kind::Number { least: 0, most: 24, unit: "" },
        default: "24",
        place: Place::File,
        doc: "lowest of 8 bits of the packet mark; from the next start on",
    },
    Setting {
        name: "service.label_base",
        kind: Kind::Number { least: 0, most: 64, unit: "" },
        default: "64",
        place: Place::File,
        doc: "first of 64 connection labels, 0 or 64; from the next start on",
    },
    Setting {
        name: "metrics.listen",
        kind: Kind::Text("an address and port such as 127.0.0.1:9817, or off"),
        default: "127.0.0.1:9817",
        place: Place::File,
        doc: "where metrics are served; from the next start on",
    },
];

/// The setting of that name, with or without its section.
pub fn find(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| setting.name == name || setting.key() == Some(name))
}

/// The name of a setting that can be stored without its section; `None` for one that can't.
pub fn key_of(name: &str) -> Option<&str> {
    name.strip_prefix("filter.").or_else(|| name.strip_prefix("app."))
}

impl Setting {
    /// Its key in `[filter]`, `[[app]]` and the store; `None` for one of another section.
    pub fn key(&self) -> Option<&'static str> {
        key_of(self.name)
    }

    /// What holds where nothing is said.
    pub fn default_value(&self) -> Value {
        match self.kind {
            Kind::Rules | Kind::Names => Value::Rules(Vec::new()),
            kind => kind.read(&[self.default.to_owned()]).unwrap_or(Value::Word(String::new())),
        }
    }
}

impl Kind {
    /// What is expected, for people.
    pub fn expected(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")
            }
            Self::Number { least, most, unit: "" } => {
                format!("a whole number of {least} to {most}")
            }
            Self::Number { least, most, unit } => {
                format!("a whole number of {least} to {most} ({unit})")
            }
            Self::Rules => "rules such as \"- 10.0.0.5 TCP/80\"".to_owned(),
            Self::Names => "names of profiles".to_owned(),
            Self::Text(expected) => expected.to_owned(),
        }
    }

    /// Reads what was said on a command line. The error says what was expected.
    pub fn read(self, words: &[String]) -> Result<Value, String> {
        let single = match words {
            [word] => Some(word.as_str()),
            _ => None,
        };
        let value = match (self, single) {
            (Self::Rules | Self::Names, _) => Some(Value::Rules(words.to_vec())),
            (_, None) => None,
            (Self::Switch, Some("true" | "on" | "yes")) => Some(Value::Switch(true)),
            (Self::Switch, Some("false" | "off" | "no")) => Some(Value::Switch(false)),
            (Self::Switch, Some(_)) => None,
            (Self::Choice(_) | Self::Text(_), Some(word)) => Some(Value::Word(word.to_owned())),
            (Self::Number { .. }, Some(word)) => word.parse().ok().map(Value::Number),
        };
        let value = value.filter(|value| self.fits(value));
        value.ok_or_else(|| format!("found {}; expected {}", shown(words), self.expected()))
    }

    /// Whether a value is of this kind. What rules say is another question.
    pub fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Switch, Value::Switch(_)) | (Self::Rules | Self::Names, Value::Rules(_)) => true,
            (Self::Choice(words), Value::Word(word)) => {
                words.iter().any(|(known, _)| known == word)
            }
            (Self::Number { least, most, .. }, Value::Number(number)) => {
                (least..=most).contains(number)
            }
            (Self::Text(_), Value::Word(_)) => true,
            _ => false,
        }
    }
}

fn shown(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        words => format!("\"{}\"", words.join(" ")),
    }
}

impl Origin {
    /// As shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Store => "store",
            Self::File => "file",
            Self::Both => "file, store",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word),
            Self::Rules(rules) if rules.is_empty() => f.write_str("none"),
            Self::Rules(rules) => {
                let quoted: Vec<_> = rules.iter().map(|rule| format!("\"{rule}\"")).collect();
                f.write_str(&quoted.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values_of_their_settings() {
        for setting in ALL {
            assert!(setting.kind.fits(&setting.default_value()), "{}", setting.name);
            assert_eq!(find(setting.name), Some(setting));
        }
        assert_eq!(find("block_lan").map(|setting| setting.name), Some("filter.block_lan"));
        assert_eq!(find("mode"), None);
    }

    #[test]
    fn words_are_read_as_the_setting_wants_them() {
        let cases = [
            ("block_lan", &["on"][..], Some(Value::Switch(true))),
            ("block_lan", &["false"], Some(Value::Switch(false))),
            ("block_lan", &["1"], None),
            ("block_lan", &[], None),
            ("default_action", &["block"], Some(Value::Word("block".to_owned()))),
            ("default_action", &["blok"], None),
            ("service.queue_base", &["8000"], Some(Value::Number(8000))),
            ("service.queue_base", &["70000"], None),
            (
                "outgoing_rules",
                &["- *", "+ LAN"],
                Some(Value::Rules(vec!["- *".to_owned(), "+ LAN".to_owned()])),
            ),
            ("outgoing_rules", &[], Some(Value::Rules(Vec::new()))),
        ];
        for (name, words, expected) in cases {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let setting = find(name).expect(name);
            assert_eq!(setting.kind.read(&words).ok(), expected, "{name} {words:?}");
        }
    }

    #[test]
    fn values_keep_their_kind_in_json() {
        let text = r#"{"a":true,"b":7,"c":"x","d":["- *"]}"#;
        let values: Values = serde_json::from_str(text).expect("values");
        assert_eq!(serde_json::to_string(&values).expect("text"), text);
    }
}
