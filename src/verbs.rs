//! The verbs: each asks a running Seawall something and prints the answer,
//! except `run`, which is one, `upgrade`, which asks its keeper, `service`,
//! which asks systemd, and `early-rules` and `remove-rules`, which need that
//! none is.

mod adopted;
mod check;
mod complete;
mod components;
mod connections;
mod early_rules;
pub(crate) mod explain;
mod export;
#[cfg(feature = "fault-injection")]
mod fault;
mod import;
mod manual;
mod network;
pub(crate) mod pause;
mod profile;
pub(crate) mod prompts;
mod ps;
mod reload;
mod remove_rules;
pub(crate) mod rule;
mod service;
mod setting;
mod status;
mod upgrade;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use self::status::word;
use crate::cli::Verb;
use crate::client::ClientError;
use crate::{keeper, monitor, output, worker};

/// How a verb ended, as scripts see it. Documented in `--help`; stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went well.
    Done,
    /// It did not.
    Failed,
    /// Protected, with something that needs attention.
    Degraded,
    /// The command line makes no sense.
    Misused,
    /// Packets are not judged.
    NotProtected,
    /// Any other code: of the worker, which only the keeper reads.
    Worker(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            Outcome::Misused => Self::from(2),
            Outcome::Degraded => Self::from(3),
            Outcome::NotProtected => Self::from(4),
            Outcome::Worker(code) => Self::from(code),
        }
    }
}

/// Does what was said.
pub(crate) fn perform(verb: Verb) -> Outcome {
    let result = match verb {
        Verb::Run(folders) => return keeper::run(&folders),
        Verb::Worker(arguments) => return worker::run(&arguments),
        Verb::Guardian => return keeper::guardian(),
        Verb::EarlyRules(folders) => return early_rules::perform(&folders),
        Verb::Upgrade { file, run_dir } => return upgrade::perform(file.as_deref(), &run_dir),
        Verb::Service { what, root } => return service::perform(what, &root),
        Verb::RemoveRules(config) => return remove_rules::perform(&config),
        Verb::Check { config, json } => return check::perform(&config.config, json),
        Verb::Completions { shell, words } if words.is_empty() => {
            return manual::completions(shell);
        }
        Verb::Completions { shell, words } => return complete::perform(shell, &words),
        Verb::Man { out } => return manual::man(out.as_deref()),
        Verb::Explain(arguments) => explain::perform(arguments),
        Verb::Status(common) => status::perform(&common),
        Verb::Components(common) => components::perform(&common),
        Verb::Connections { limit, common } => connections::perform(limit, &common),
        Verb::Ps { all, common } => ps::perform(all, &common),
        Verb::Network { what, common } => network::perform(what, &common),
        Verb::Monitor { plain, once, common } => monitor::perform(plain, once, &common),
        Verb::Rule { what, common } => rule::perform(&what, &common),
        Verb::Setting { what, common } => setting::perform(&what, &common),
        Verb::Profile { what, common } => profile::perform(&what, &common),
        Verb::Export { app, common } => export::perform(app.as_deref(), &common),
        Verb::Import(asked) => import::perform(&asked),
        Verb::Prompts { what, common } => prompts::perform(what.as_ref(), &common),
        Verb::Adopted { what, common } => adopted::perform(what, &common),
        Verb::Pause { length, common } => pause::begin(length, &common),
        Verb::Resume(common) => pause::end(&common),
        Verb::Reload(common) => reload::perform(&common),
        #[cfg(feature = "fault-injection")]
        Verb::Fault { component, fault, common } => fault::perform(component, fault, &common),
    };
    result.unwrap_or_else(|error| {
        output::complaint(describe(&error));
        if let Some(hint) = error.hint() {
            output::hint(hint);
        }
        match error {
            ClientError::NotRunning { .. } | ClientError::Silent { .. } => Outcome::NotProtected,
            _ => Outcome::Failed,
        }
    })
}

/// The text of a file that somebody named, up to so many bytes.
fn read_text(path: &Path, most_bytes: u64) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("can't read it: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(most_bytes + 1).read_to_string(&mut text).map_err(failed)?;
    match text.len() as u64 > most_bytes {
        true => Err(format!("it has more than {most_bytes} bytes")),
        false => Ok(text),
    }
}

/// A path of the API, asked about an app.
fn query(path: &str, app: Option<&str>) -> String {
    match app {
        None => path.to_owned(),
        Some(app) => format!("{path}?app={}", utf8_percent_encode(app, NON_ALPHANUMERIC)),
    }
}

/// An error with all its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
