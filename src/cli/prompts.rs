//! The words of `seawall prompts`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use seawall_messages::prompt::{Choice, Extent};

use crate::verbs::prompts;

/// What to do with prompts.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PromptsVerb {
    /// Show what waits for an answer, what was missed, and answers that count for a time (also without a verb)
    List,
    /// Answer one: what waits for it goes on, or is denied. Needs root
    ///
    /// Without a time, it is answered once: for what waits now, or for the next
    /// such connection within a minute.
    Answer(AnswerArguments),
    /// Take one off the list, and deny what waits for it; or take an answer back. Needs root
    Dismiss {
        /// Its id, as the list shows it
        id: u64,
    },
    /// Show what waits as it comes; one key answers. Needs root, and a terminal
    Watch,
}

/// An answer.
#[derive(Args, Clone, Debug)]
pub(crate) struct AnswerArguments {
    /// The prompt's id, as the list shows it
    pub(crate) id: u64,
    /// What becomes of it
    pub(crate) choice: ChoiceName,
    #[command(flatten)]
    pub(crate) lasts: Lasts,
    /// What the answer is about [default: the name, or else the address and port; the whole app where the prompt is]
    #[arg(long, value_name = "WHAT")]
    pub(crate) what: Option<ExtentName>,
}

/// How long an answer counts.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(crate) struct Lasts {
    /// For so long: 10m, 90s, 8h
    #[arg(long = "for", value_name = "TIME", value_parser = prompts::length)]
    pub(crate) length: Option<Duration>,
    /// For what waits now, or for the next such connection within a minute [default]
    #[arg(long)]
    pub(crate) once: bool,
    /// As long as the process runs
    #[arg(long)]
    pub(crate) until_app_ends: bool,
    /// For good: it becomes a rule of the app
    #[arg(long)]
    pub(crate) always: bool,
}

/// Words for [`Choice`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ChoiceName {
    /// It passes
    Allow,
    /// It is denied
    Block,
}

/// Words for [`Extent`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExtentName {
    /// All connections of the app in that direction
    App,
    /// The app's connections with this address
    Address,
    /// The app's connections at this port
    Port,
    /// The app's connections with this address at this port
    AddressPort,
    /// The app's connections with this name, where it is known
    Domain,
    /// The app's connections with names of what was registered: example.com and all below it
    Zone,
}

impl From<ChoiceName> for Choice {
    fn from(name: ChoiceName) -> Self {
        match name {
            ChoiceName::Allow => Self::Allow,
            ChoiceName::Block => Self::Block,
        }
    }
}

impl From<ExtentName> for Extent {
    fn from(name: ExtentName) -> Self {
        match name {
            ExtentName::App => Self::App,
            ExtentName::Address => Self::Address,
            ExtentName::Port => Self::Port,
            ExtentName::AddressPort => Self::AddressPort,
            ExtentName::Domain => Self::Domain,
            ExtentName::Zone => Self::Zone,
        }
    }
}
