//! A rule to be put into the store, and what became of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::process::{App, AppKind};

/// A rule, whom it is for and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// The app whose rule it is; `None` for a rule for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<AppMatch>,
    /// Which list.
    #[serde(default)]
    pub list: RuleList,
    /// Where in the list.
    #[serde(default)]
    pub place: RulePlace,
    /// The rule as it is written: `- 10.0.0.5 TCP/80`.
    pub rule: String,
}

/// Whom an `[[app]]` section is about, by one word of its `match`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppMatch {
    /// The file that the program runs.
    Path(String),
    /// The app's id.
    Tag(String),
}

/// A list of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleList {
    /// `outgoing_rules`: of outbound and forwarded connections.
    #[default]
    Outgoing,
    /// `incoming_rules`: of inbound connections.
    Incoming,
}

/// A place in a list of rules, of which the first that matches decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePlace {
    /// Before all others.
    #[default]
    First,
}

/// A rule that is there, and what shall become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRule {
    /// The app whose rule it is, by its name, path or id; `None` for a rule for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<String>,
    /// Which list.
    #[serde(default)]
    pub list: RuleList,
    /// The rule, however it is written.
    pub rule: String,
    /// What shall become of it.
    pub change: RuleChange,
}

/// What shall become of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// It goes.
    Remove,
    /// It stays, and counts no more.
    Disable,
    /// It counts again.
    Enable,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRule {
    /// The rule as it is written, or was.
    pub rule: String,
    /// The list: `outgoing_rules for all`, `incoming_rules of the profile "curl"`.
    pub list: String,
}

/// Where a rule is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedRule {
    /// The rule as it was written.
    pub rule: String,
    /// The list: `outgoing_rules for all`, `incoming_rules of the profile "curl"`.
    pub list: String,
    /// Whether it stood there already, so that nothing was written.
    pub was_there: bool,
    /// What comes before it all the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub behind: Option<String>,
}

/// Why a change was not made, or a question not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRefusal {
    /// The request makes no sense.
    Invalid(String),
    /// It can't be done as things are.
    Failed(String),
}

impl AppMatch {
    /// As people say it on a command line: a path, or the id of an app.
    pub fn of_text(text: &str) -> Self {
        const IDS: [AppKind; 4] = [AppKind::Path, AppKind::Script, AppKind::AppImage, AppKind::Nix];
        let is_id = text
            .split_once(':')
            .is_some_and(|(kind, _)| IDS.iter().any(|known| known.as_str() == kind));
        let is_path = text.starts_with(['/', '*']) || text.contains(":/");
        if is_path && !is_id { Self::Path(text.to_owned()) } else { Self::Tag(text.to_owned()) }
    }

    /// What names an app for good: a program is known by its file, all else by its id.
    /// `None`: a file with a star in its path, whoever chose that name; in a rule it would
    /// mean others, too.
    pub fn of_app(app: &App, path: &str) -> Option<Self> {
        match app.kind {
            AppKind::Path if path.starts_with('/') || path.contains(":/") => {
                (!path.contains('*')).then(|| Self::Path(path.to_owned()))
            }
            _ => Some(Self::Tag(app.id.to_string())),
        }
    }

    /// The key in `match`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Tag(_) => "tag",
        }
    }

    /// The text that has to fit.
    pub fn text(&self) -> &str {
        let (Self::Path(text) | Self::Tag(text)) = self;
        text
    }
}

impl fmt::Display for AppMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.text())
    }
}

impl RuleList {
    /// Its key in the policy file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing_rules",
            Self::Incoming => "incoming_rules",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_ids() {
        let cases = [
            ("/usr/bin/curl", "path"),
            ("*/curl", "path"),
            ("docker:web:/usr/bin/curl", "path"),
            ("unknown:/usr/bin/curl", "path"),
            ("snap:firefox", "tag"),
            ("script:/usr/bin/meld", "tag"),
            ("path:/usr/bin/curl", "tag"),
            ("unidentified", "tag"),
        ];
        for (text, key) in cases {
            let app = AppMatch::of_text(text);
            assert_eq!((app.key(), app.text()), (key, text));
        }
    }

    #[test]
    fn an_app_is_named_by_its_file_or_its_id_and_never_by_a_pattern() {
        let app = |kind, id: &str| App { id: id.into(), kind, name: "x".into(), icon: None };
        let cases = [
            (app(AppKind::Path, "path:/usr/bin/curl"), "/usr/bin/curl", Some("path=/usr/bin/curl")),
            (app(AppKind::Path, "path:/home/u/*"), "/home/u/*", None),
            (app(AppKind::Snap, "snap:firefox"), "snap:firefox:/x", Some("tag=snap:firefox")),
            (app(AppKind::Kernel, "kernel"), "", Some("tag=kernel")),
        ];
        for (app, path, expected) in cases {
            let named = AppMatch::of_app(&app, path).map(|named| named.to_string());
            assert_eq!(named.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_request_is_first_and_outgoing() {
        let rule: NewRule = serde_json::from_str(r#"{"rule": "- *"}"#).expect("a rule");
        assert_eq!((rule.list, rule.place, rule.app), (RuleList::Outgoing, RulePlace::First, None));
        let rule: NewRule = serde_json::from_str(
            r#"{"rule": "- *", "app": {"tag": "snap:x"}, "list": "incoming", "place": "first"}"#,
        )
        .expect("a rule");
        assert_eq!(rule.app, Some(AppMatch::Tag("snap:x".to_owned())));
        assert!(serde_json::from_str::<NewRule>(r#"{"rule": "- *", "plaice": "first"}"#).is_err());
    }
}
