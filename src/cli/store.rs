//! The words of `seawall setting`, `seawall profile` and `seawall import`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use seawall_messages::setting::{ALL, PRESETS, Place};

use super::Common;

/// What to do with settings.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SettingVerb {
    /// Show all with their values and where these are from
    List {
        /// Those of an app: the name of its profile, or the path or id that it is known by
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
    },
    /// Print the value of one
    Get {
        /// Its name, such as block_lan
        #[arg(value_parser = names(Place::File))]
        name: String,
        /// That of an app: the name of its profile, or the path or id that it is known by
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
    },
    /// Say what one shall be, and wait until it is in force
    Set {
        /// Its name, such as block_lan
        #[arg(value_parser = names(Place::All))]
        name: String,
        /// What it shall be; of lists, one rule or name a line
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// For one app: the name of its profile, or its path or id, which makes a profile where there is none
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
    },
    /// Say nothing of one any more: of an app, what is said for all holds then; for all, the default
    Reset {
        /// Its name, such as block_lan
        name: String,
        /// For one app: the name of its profile, or the path or id that it is known by
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
    },
}

/// What to do with profiles.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ProfileVerb {
    /// Show those that say something, and those that come with Seawall: whom they are about, and what they say
    List {
        /// Also those that say nothing: of every app that was on the network
        #[arg(long, short)]
        all: bool,
    },
    /// Show one
    Show {
        /// Its name, or the path or id that it is about
        #[arg(value_name = "NAME|PATH|TAG")]
        app: String,
    },
    /// Make one for an app
    Make {
        /// Whom it shall be about: paths or ids, any of which fits
        #[arg(value_name = "PATH|TAG", required = true)]
        apps: Vec<String>,
        /// What it shall be called [default: the end of the path or id]
        #[arg(long)]
        name: Option<String>,
        /// What it shall say
        #[arg(long, value_parser = PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))]
        preset: Option<String>,
    },
    /// Call one otherwise
    Rename {
        /// Its name, or the path or id that it is about
        #[arg(value_name = "NAME|PATH|TAG")]
        app: String,
        /// What it shall be called
        name: String,
    },
    /// Forget one: what is said for all holds for its app
    Remove {
        /// Its name, or the path or id that it is about
        #[arg(value_name = "NAME|PATH|TAG")]
        app: String,
    },
    /// Switch one off that comes with Seawall
    Disable {
        /// Its name, or a program or app that it is about
        #[arg(value_name = "NAME|PATH|TAG")]
        app: String,
    },
    /// Switch one on again that comes with Seawall
    Enable {
        /// Its name, or a program or app that it is about
        #[arg(value_name = "NAME|PATH|TAG")]
        app: String,
    },
    /// Show what presets there are, and what each says
    Presets,
}

/// What `seawall import` is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct ImportArguments {
    #[command(subcommand)]
    pub(crate) from: Option<ImportFrom>,
    /// The text; - for standard input
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Forget first whatever the store says and the text doesn't
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Whose export it is.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImportFrom {
    /// Print a text of settings or a profile that Portmaster exported, in YAML or JSON
    ///
    /// On standard error, what could not be carried over. Needs no running
    /// Seawall, and changes nothing.
    Portmaster {
        /// The exported file
        file: PathBuf,
    },
}

/// The names of settings that may be said there, as they are completed.
fn names(at_least: Place) -> PossibleValuesParser {
    let names = ALL.iter().filter(|setting| setting.place >= at_least);
    PossibleValuesParser::new(names.map(|setting| setting.key().unwrap_or(setting.name)))
}
