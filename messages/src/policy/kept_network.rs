//! Networks that have a name by command, as they are kept in the store and changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::network::NetworkMatch;
use crate::setting::{Value, Values};

/// A network as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptNetwork {
    /// What rules call it.
    pub name: Arc<str>,
    /// What it looks like.
    #[serde(rename = "match")]
    pub looks: NetworkMatch,
    /// What holds there in place of what is said for all.
    #[serde(default)]
    pub settings: Values,
}

/// A change of networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkChange {
    /// Name one; behind those that have a name.
    Add(KeptNetwork),
    /// Forget one.
    Remove {
        /// Its name.
        name: String,
    },
    /// Say what shall hold in one. All of it, or nothing.
    Set {
        /// Its name.
        name: String,
        /// What shall be said; `None` for nothing any more.
        changes: BTreeMap<String, Option<Value>>,
    },
}
