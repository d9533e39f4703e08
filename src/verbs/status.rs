//! `seawall status`: the first word says it.

use std::path::Path;

use seawall_messages::api::{KEEPER_FILE, KeeperState, Protection, Status};
use seawall_messages::policy::{Mode, PolicySource};
use serde::Serialize;

use super::{Outcome, describe};
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Style};

/// The answer when no worker gives one.
#[derive(Serialize)]
struct Absent {
    protection: Protection,
    reasons: Vec<String>,
}

pub(super) fn perform(common: &Common) -> Result<Outcome, ClientError> {
    match Client::new(&common.run_dir).get::<Status>("/v1/status") {
        Ok(status) => {
            if common.json {
                output::json(&status);
            } else {
                print(status.protection, &lines(&status));
            }
            Ok(outcome(status.protection))
        }
        Err(error @ (ClientError::NotRunning { .. } | ClientError::Silent { .. })) => {
            let keeper = keeper_says(&common.run_dir);
            let lives = keeper.is_some() || matches!(error, ClientError::Silent { .. });
            let reason = keeper.unwrap_or_else(|| describe(&error));
            if common.json {
                let reasons = vec![reason];
                output::json(&Absent { protection: Protection::NotProtected, reasons });
            } else {
                let mut lines = vec![format!("{}: {reason}", word(Protection::NotProtected))];
                lines.extend(advice(lives).map(|(what, text)| format!("  {what:10} {text}")));
                print(Protection::NotProtected, &lines);
            }
            Ok(Outcome::NotProtected)
        }
        Err(error) => Err(error),
    }
}

/// What to do where nothing is judged. `lives`: a keeper, or a worker, does.
fn advice(lives: bool) -> [(&'static str, &'static str); 3] {
    if lives {
        return [
            ("traffic", "as the mode says: open lets new connections pass, lockdown drops them"),
            ("why", "its log lines say it: where it was started, or in `journalctl -u seawall`"),
            ("check", "`seawall check` says whether the policy file is good"),
        ];
    }
    [
        ("traffic", "all passes, unless rules of an earlier run in lockdown still stand"),
        ("start", "`sudo seawall run`, in the foreground; Ctrl-C ends it and removes its rules"),
        ("no network", "where rules were left behind: `sudo seawall remove-rules`"),
    ]
}

fn print(protection: Protection, lines: &[String]) {
    let style = match protection {
        Protection::Protected => Style::Good,
        Protection::Degraded => Style::Warning,
        Protection::NotProtected => Style::Bad,
    };
    for (index, text) in lines.iter().enumerate() {
        match text.strip_prefix(word(protection)).filter(|_| index == 0) {
            Some(rest) => output::styled_line(&[(style, word(protection)), (Style::Plain, rest)]),
            None => output::line(text),
        }
    }
}

/// Why packets are not judged, from a keeper that lives without a worker.
fn keeper_says(run_dir: &Path) -> Option<String> {
    let text = std::fs::read(run_dir.join(KEEPER_FILE)).ok()?;
    let state: KeeperState = serde_json::from_slice(&text).ok()?;
    let alive = Path::new("/proc").join(state.keeper_pid.to_string()).exists();
    state.not_protecting.filter(|_| alive)
}

fn outcome(protection: Protection) -> Outcome {
    match protection {
        Protection::Protected => Outcome::Done,
        Protection::Degraded => Outcome::Degraded,
        Protection::NotProtected => Outcome::NotProtected,
    }
}

/// The first word of an answer.
pub(crate) fn word(protection: Protection) -> &'static str {
    match protection {
        Protection::Protected => "PROTECTED",
        Protection::Degraded => "DEGRADED",
        Protection::NotProtected => "NOT PROTECTED",
    }
}

fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![match status.reasons.as_slice() {
        [] => word(status.protection).to_owned(),
        [first, ..] => format!("{}: {first}", word(status.protection)),
    }];
    lines.extend(status.reasons.iter().skip(1).map(|reason| format!("  also: {reason}")));
    let mut say = |what: &str, text: String| lines.push(format!("  {what:9} {text}"));
    say(
        "mode",
        match status.mode {
            Mode::Open => "open: new connections pass while Seawall is absent".to_owned(),
            Mode::Lockdown => "lockdown: new connections drop while Seawall is absent".to_owned(),
        },
    );
    if let Some(networks) = &status.networks {
        let names = networks.join(", ");
        say("network", if names.is_empty() { "none that has a name".to_owned() } else { names });
    }
    if let Some(policy) = &status.policy {
        let file = policy.file.display();
        let source = match policy.source {
            PolicySource::File => format!("{file}"),
            PolicySource::Defaults => format!("safe defaults ({file} does not exist)"),
            PolicySource::LastGood => format!("the last good copy of {file}"),
        };
        say("policy", format!("{source}, generation {}", policy.generation.0));
        if !policy.restart_needed.is_empty() {
            say("restart", format!("needed for {}", policy.restart_needed.join(", ")));
        }
        if let Some(first) = policy.idle_rules.first() {
            let more = match policy.idle_rules.len() - 1 {
                0 => String::new(),
                1 => "; so does one more".to_owned(),
                more => format!("; so do {more} more"),
            };
            say("rules", format!("{first}{more}"));
        }
        if let Some(first) = policy.unused_settings.first() {
            let more = match policy.unused_settings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            say("settings", format!("not used: {first}{more}"));
        }
    }
    let datapath = &status.datapath;
    say("rules", format!("{}, put back {} times", datapath.backend, status.rules_mended));
    say(
        "waiting",
        format!("{} flows with {} packets", datapath.parked_flows, datapath.parked_packets),
    );
    if datapath.asked_flows > 0 {
        let flows = datapath.asked_flows;
        say("prompts", format!("{flows} connections wait for an answer: see `seawall prompts`"));
    }
    say(
        "processes",
        format!(
            "keeper {}, worker {} for {}, {} crashed before it",
            status.keeper_pid,
            status.worker_pid,
            output::span(status.uptime_s),
            status.worker_crashes
        ),
    );
    say("version", status.version.clone());
    lines
}

#[cfg(test)]
mod tests {
    use seawall_messages::datapath::DatapathStatus;

    use super::*;

    fn status(protection: Protection, reasons: &[&str]) -> Status {
        Status {
            protection,
            reasons: reasons.iter().map(ToString::to_string).collect(),
            version: "1.2.3".to_owned(),
            keeper_pid: 10,
            worker_pid: 11,
            uptime_s: 61,
            worker_crashes: 0,
            rules_mended: 0,
            mode: Mode::Open,
            networks: None,
            policy: None,
            datapath: DatapathStatus::default(),
        }
    }

    #[test]
    fn the_first_word_is_the_answer() {
        let cases = [
            (Protection::Protected, vec![], "PROTECTED", Outcome::Done),
            (Protection::Degraded, vec!["a", "b"], "DEGRADED: a", Outcome::Degraded),
            (Protection::NotProtected, vec!["c"], "NOT PROTECTED: c", Outcome::NotProtected),
        ];
        for (protection, reasons, first, expected) in cases {
            assert_eq!(lines(&status(protection, &reasons))[0], first);
            assert_eq!(outcome(protection), expected);
        }
    }

    #[test]
    fn a_keeper_without_worker_is_quoted_while_it_lives() {
        let folder = std::env::temp_dir().join(format!("seawall-status-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let write = |keeper_pid| {
            let state = KeeperState { keeper_pid, not_protecting: Some("crash loop".to_owned()) };
            let text = serde_json::to_vec(&state).expect("JSON");
            std::fs::write(folder.join(KEEPER_FILE), text).expect("a file");
        };
        assert_eq!(keeper_says(&folder), None);
        write(std::process::id());
        assert_eq!(keeper_says(&folder).as_deref(), Some("crash loop"));
        write(u32::MAX);
        assert_eq!(keeper_says(&folder), None);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
