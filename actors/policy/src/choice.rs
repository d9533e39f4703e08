//! Which settings are in force, given what the file looks like and what is
//! remembered. Pure; the rule behind it all: a file that can't be used never
//! makes the policy more open than it was.

use std::path::Path;

use seawall_messages::policy::PolicySource;

use crate::file::{self, PolicyFile, ReadError};

/// What the policy file looks like now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It can be used.
    Good {
        /// As it was read.
        text: String,
        /// What it says.
        file: Box<PolicyFile>,
    },
    /// There is none.
    Missing(String),
    /// It can't be used, and why.
    Bad(String),
}

/// The settings in force and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) settings: PolicyFile,
    pub(crate) source: PolicySource,
    /// Why the file as it is now was refused.
    pub(crate) refused: Option<String>,
}

impl Found {
    /// Looks at the file.
    pub(crate) fn look(path: &Path) -> Self {
        match file::read(path) {
            Ok(text) => match file::parse(&text, path) {
                Ok(file) => Self::Good { text, file: Box::new(file) },
                Err(problems) => Self::Bad(problems.to_string()),
            },
            Err(error @ ReadError::Missing(_)) => Self::Missing(error.to_string()),
            Err(error) => Self::Bad(crate::error::chain(&error)),
        }
    }

    /// The text of a file that can be used.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Good { text, .. } => Some(text.clone()),
            Self::Missing(_) | Self::Bad(_) => None,
        }
    }
}

impl Choice {
    /// At a start. A file that has gone since it was last read is as bad as a
    /// bad one: it may be about to be replaced. `was_running`: an earlier
    /// incarnation in this process published a policy, so that without a copy
    /// it can only have been the defaults.
    pub(crate) fn at_start(
        found: Found,
        last_good: Option<PolicyFile>,
        was_running: bool,
    ) -> Result<Self, String> {
        let defaults = |refused| Self {
            settings: PolicyFile::default(),
            source: PolicySource::Defaults,
            refused,
        };
        match (found, last_good) {
            (Found::Good { file, .. }, _) => Ok(Self::from_file(*file)),
            (Found::Missing(reason) | Found::Bad(reason), Some(settings)) => {
                Ok(Self { settings, source: PolicySource::LastGood, refused: Some(reason) })
            }
            (Found::Missing(_), None) => Ok(defaults(None)),
            (Found::Bad(reason), None) if was_running => Ok(defaults(Some(reason))),
            (Found::Bad(reason), None) => Err(reason),
        }
    }

    /// When the file may have changed: what is in force then.
    pub(crate) fn after(&self, found: Found) -> Self {
        match found {
            Found::Good { file, .. } => Self::from_file(*file),
            Found::Missing(_) if self.source == PolicySource::Defaults => {
                Self { refused: None, ..self.clone() }
            }
            Found::Missing(reason) | Found::Bad(reason) => {
                Self { refused: Some(reason), ..self.clone() }
            }
        }
    }

    fn from_file(settings: PolicyFile) -> Self {
        Self { settings, source: PolicySource::File, refused: None }
    }
}
