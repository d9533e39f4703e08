//! The verbs of a running Seawall.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use seawall_messages::api::{Components, Connections, Status};
use seawall_runtime::ComponentState;
use serde_json::Value;

use super::{Seawall, binary};
use crate::process::run;

/// What a verb printed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Answer {
    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("no JSON ({error}), exit code {:?}: {}{}", self.code, self.stdout, self.stderr)
        })
    }
}

/// Whether every component of the tree runs.
pub(super) fn all_run(components: &Components) -> bool {
    components.components.iter().all(|component| component.state == ComponentState::Running)
}

impl Seawall<'_> {
    /// Runs a verb: `&["connections", "--json"]`.
    pub fn verb(&self, arguments: &[&str]) -> Answer {
        let mut command = self.host().command(&binary().to_string_lossy());
        let finished = run(command.args(arguments).arg("--run-dir").arg(self.run_dir()));
        Answer { code: finished.code, stdout: finished.stdout, stderr: finished.stderr }
    }

    /// How it stands.
    #[track_caller]
    pub fn status(&self) -> Status {
        let answer = self.verb(&["status", "--json"]);
        serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("status: {error}: {}{}", answer.stdout, answer.stderr))
    }

    /// The tree; `None` while nobody answers.
    pub fn try_components(&self) -> Option<Components> {
        let answer = self.verb(&["components", "--json"]);
        serde_json::from_str(&answer.stdout).ok()
    }

    /// The tree.
    #[track_caller]
    pub fn components(&self) -> Components {
        let answer = self.verb(&["components", "--json"]);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| {
            panic!("components: {error}: {}{}", answer.stdout, answer.stderr)
        })
    }

    /// Decided flows, newest first.
    #[track_caller]
    pub fn connections(&self) -> Connections {
        let answer = self.verb(&["connections", "--json", "--limit", "10000"]);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| {
            panic!("connections: {error}: {}{}", answer.stdout, answer.stderr)
        })
    }

    /// Injects a fault: `&["verdict", "panic"]`.
    #[track_caller]
    pub fn fault(&self, arguments: &[&str]) {
        let answer = self.verb(&[&["fault"], arguments].concat());
        assert_eq!(
            answer.code,
            Some(0),
            "fault {arguments:?} was refused (is the program built with fault injection?): {}{}",
            answer.stdout,
            answer.stderr
        );
    }

    /// The text of the metrics page.
    pub fn metrics(&self) -> String {
        let answer = self.http(
            "127.0.0.1:9817",
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9817\r\nConnection: close\r\n\r\n",
        );
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("the metrics page is no HTTP answer: {answer}"));
        assert!(head.starts_with("HTTP/1.1 200"), "the metrics page answers: {head}");
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            return unchunk(body);
        }
        body.to_owned()
    }

    /// One raw HTTP exchange with a TCP listener of Seawall's, from its own host.
    pub fn http(&self, to: &str, request: &str) -> String {
        let to: SocketAddr = to.parse().unwrap_or_else(|_| panic!("{to} is no socket address"));
        let mut text = Vec::new();
        let outcome = self.host().connect(to, Duration::from_secs(5)).and_then(|mut socket| {
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            socket.write_all(request.as_bytes())?;
            socket.read_to_end(&mut text)
        });
        if let Err(error) = outcome {
            assert!(!text.is_empty(), "no answer from {to}: {error}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Takes the frames of a chunked body away.
fn unchunk(body: &str) -> String {
    let mut text = String::new();
    let mut rest = body;
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let Ok(size @ 1..) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(chunk) = tail.get(..size) else { break };
        text.push_str(chunk);
        rest = tail.get(size + 2..).unwrap_or("");
    }
    text
}

/// A value of the metrics page: the first sample whose name and labels start with `name`.
pub fn sample(page: &str, name: &str) -> Option<f64> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .find(|line| line.starts_with(name))
        .and_then(|line| line.rsplit_once(' '))
        .and_then(|(_, value)| value.parse().ok())
}
