//! `seawall upgrade`: puts another program in the place of the running one.
//!
//! The keeper does it, and undoes it (`keeper/upgrade.rs`). This side, outside
//! of the service and its confinement, minds the files: it installs the new
//! program, keeps the old one beside it, and puts that back when the keeper
//! says that the new one failed, or says nothing any more. It asks the new
//! worker itself whether all is well, as anybody would who looks.

mod conversation;
mod files;
mod program;

use std::path::Path;
use std::time::{Duration, Instant};

use seawall_messages::api::{Protection, Status};
use seawall_messages::upgrade::{Report, Request};
use seawall_platform::linux::signals::SignalFd;

use self::conversation::Conversation;
use self::files::Files;
use super::Outcome;
use crate::client::Client;
use crate::output;

/// How long the new worker may take to say that it protects.
const TO_PROTECT: Duration = Duration::from_secs(10);

/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Why there was no upgrade.
enum Failure {
    /// Nobody is there to be upgraded.
    NotRunning(String),
    /// Nothing was changed, or all was put back.
    Failed(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

pub(super) fn perform(file: Option<&Path>, run_dir: &Path) -> Outcome {
    let (text, outcome) = match upgrade(file, run_dir) {
        Ok(()) => return Outcome::Done,
        Err(Failure::NotRunning(text)) => (text, Outcome::NotProtected),
        Err(Failure::Failed(text)) => (text, Outcome::Failed),
    };
    output::complaint(text);
    outcome
}

fn upgrade(file: Option<&Path>, run_dir: &Path) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Failed("an upgrade needs root".to_owned()));
    }
    let (mut keeper, greeting) = Conversation::begin(run_dir)?;
    let before = protection(run_dir);
    let files = Files::new(&greeting.installed, keeper.pid());
    if let Some(file) = file {
        let version = files.stage(file)?;
        output::line(format_args!("{} is {version}, for this machine", file.display()));
    } else if files.runs_what_is_installed()? {
        output::line(format_args!("{} runs already", greeting.installed.display()));
        return Ok(());
    }
    // From here on files and keeper have to agree at the end: a signal waits.
    let _signals = SignalFd::open().map_err(|error| format!("can't hold back signals: {error}"))?;
    files.keep_running_one()?;
    output::line(format_args!("{} is kept as {}", greeting.version, files.previous().display()));
    if file.is_some() {
        files.install()?;
        output::line(format_args!("installed {}", greeting.installed.display()));
    }
    match replace(&mut keeper, run_dir, before) {
        Ok(version) => {
            output::line(format_args!("{version} judges packets; the upgrade is done"));
            Ok(())
        }
        Err(reason) => {
            let files = match files.put_back() {
                Ok(()) => format!("{} is back", greeting.version),
                Err(problem) => problem,
            };
            Err(Failure::Failed(format!("the upgrade failed: {reason}; {files}")))
        }
    }
}

/// Has the keeper replace worker and itself; gives the version that runs then.
fn replace(
    keeper: &mut Conversation,
    run_dir: &Path,
    before: Option<Protection>,
) -> Result<String, String> {
    keeper.say(&Request::Upgrade)?;
    loop {
        match keeper.hear()? {
            Report::Refused { reason } => return Err(format!("the keeper refused it: {reason}")),
            Report::RolledBack { reason } => return Err(reason),
            Report::Upgraded { version } => return Ok(version),
            Report::Trying => output::line("a worker of the new program was started"),
            Report::Judges => {
                output::line("it judges packets; asking how it stands");
                keeper.say(&match wait_until_well(run_dir, before) {
                    Ok(()) => Request::Accept,
                    Err(reason) => Request::Refuse { reason },
                })?;
            }
            Report::Keeper { .. } | Report::Unknown => {}
        }
    }
}

fn wait_until_well(run_dir: &Path, before: Option<Protection>) -> Result<(), String> {
    let deadline = Instant::now() + TO_PROTECT;
    loop {
        let now = protection(run_dir);
        if is_well(before, now) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!(
                "its status is {}",
                now.map_or("unknown".to_owned(), |it| format!("{it:?}"))
            ));
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// Whether the new worker may stay: it protects, and nothing is worse than before.
fn is_well(before: Option<Protection>, now: Option<Protection>) -> bool {
    match now {
        Some(Protection::Protected) => true,
        Some(Protection::Degraded) => before != Some(Protection::Protected),
        Some(Protection::NotProtected) | None => false,
    }
}

fn protection(run_dir: &Path) -> Option<Protection> {
    let status: Status = Client::new(run_dir).get("/v1/status").ok()?;
    Some(status.protection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_worker_may_be_no_worse_than_the_old_one() {
        use Protection::{Degraded, NotProtected, Protected};
        let cases = [
            (Some(Protected), Some(Protected), true),
            (Some(Protected), Some(Degraded), false),
            (Some(Degraded), Some(Degraded), true),
            (Some(Degraded), Some(Protected), true),
            (Some(NotProtected), Some(Degraded), true),
            (None, Some(Degraded), true),
            (None, Some(Protected), true),
            (Some(NotProtected), Some(NotProtected), false),
            (None, None, false),
            (Some(Protected), None, false),
        ];
        for (before, now, expected) in cases {
            assert_eq!(is_well(before, now), expected, "{before:?} -> {now:?}");
        }
    }
}
