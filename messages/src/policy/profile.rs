//! What is kept in the store, as it is asked for and changed: settings for all, and profiles of apps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::new_rule::AppMatch;
use crate::setting::{Origin, Value, Values};

/// A profile as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Names it for ever; 0 for one that is built in.
    pub id: u32,
    /// What it is called, in reasons, too.
    pub name: Arc<str>,
    /// Whom it is about: any of these.
    pub matches: Vec<Fingerprint>,
    /// What is said in it.
    pub settings: Values,
    /// What in it doesn't count, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
}

/// A profile that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// What it shall be called; without, a name is made of `matches`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Whom it shall be about: any of these.
    pub matches: Vec<Fingerprint>,
    /// What shall be said in it.
    #[serde(default)]
    pub settings: Values,
}

/// An app that was seen on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenApp {
    /// What people call it.
    pub name: Arc<str>,
    /// What names it.
    pub app: AppMatch,
}

/// A change of profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileChange {
    /// Make one.
    Make(NewProfile),
    /// Forget one, by its name, what it matches, or its id.
    Remove {
        /// Which one.
        app: String,
    },
    /// Switch one off that comes with Seawall.
    Disable {
        /// Which one: its name, or a program that it is about.
        app: String,
    },
    /// Switch one on again that comes with Seawall.
    Enable {
        /// Which one.
        app: String,
    },
    /// Call one otherwise.
    Rename {
        /// Which one.
        app: String,
        /// What it shall be called.
        name: String,
    },
}

/// A change of settings. All of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// The app whose settings are meant, by the name of its profile, its path or id; `None`
    /// for all apps. An app without a profile gets one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<String>,
    /// What shall be said; `None` for nothing any more.
    pub changes: BTreeMap<String, Option<Value>>,
}

/// A setting as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingStatus {
    /// Its name: `filter.block_lan`.
    pub name: String,
    /// What is in force.
    pub value: Value,
    /// Where that is from.
    pub origin: Origin,
    /// What the store says, be it in force or not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stored: Option<Value>,
    /// What holds where nothing is said.
    pub default: Value,
    /// What it does.
    pub doc: String,
}

/// The settings for all, or of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsStatus {
    /// The name of the profile that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub profile: Option<Arc<str>>,
    /// In the order of the registry; of an app those that may be said for one.
    pub settings: Vec<SettingStatus>,
    /// What is kept and doesn't count, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
}

/// A policy as text, to be taken into the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// TOML of the form of the policy file: `[filter]` and `[[app]]`.
    pub text: String,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Forget first what the store says and the text doesn't.
    #[serde(default)]
    pub replace: bool,
}

/// What an import changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// One line for each thing, with `+`, `-` or `~` before it.
    pub lines: Vec<String>,
}
