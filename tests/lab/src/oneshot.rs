//! Programs that are gone at once, and who they were: the load for attribution.
//!
//! Each does one [`Deed`] and ends. It is one of many copies of one file, so
//! that a connection that is taken for another program's shows. The owner of a
//! connection is the process that last called `connect` or `sendto` on its
//! socket before the packet left: not the one that made the socket, bound it
//! or passed it on. A `send` on a datagram socket runs no hook of ours and
//! changes nothing: it counts for whoever connected the socket.
//!
//! A flow that two programs happened to have in turn (a source port drawn
//! twice) says nothing about either. The driver leaves such flows out and
//! starts more programs, until it has as many as were asked for.

mod held;
mod ledger;
mod programs;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use seawall_messages::flow::Protocol;
use serde::{Deserialize, Serialize};

pub use self::held::{Held, on_cue};
pub use self::ledger::{Judged, Ledger};
pub use self::programs::{Interpreter, Programs};
use crate::load::program;
use crate::process::Running;
use crate::world::Host;

/// How long programs may take: each, if all wait for nothing else, and all of them beyond that.
const EACH: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(120);

/// What a program does with its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Connects a TCP socket and waits until that is done.
    Connect,
    /// Begins to connect a TCP socket and is gone before the answer.
    ConnectAndGo,
    /// One datagram on a socket that is not connected.
    SendTo,
    /// Connects a datagram socket, then sends one.
    ConnectAndSend,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Connect, Self::ConnectAndGo, Self::SendTo, Self::ConnectAndSend];

    /// The word on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectAndGo => "connect-and-go",
            Self::SendTo => "send-to",
            Self::ConnectAndSend => "connect-and-send",
        }
    }

    /// What travels.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Connect | Self::ConnectAndGo => Protocol::TCP,
            Self::SendTo | Self::ConnectAndSend => Protocol::UDP,
        }
    }
}

/// How a program comes to be, and to its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Started (vfork and exec); makes its own socket.
    Exec,
    /// A fork of a long-lived program, without an exec, whose parent is gone.
    Fork,
    /// Started; a thread of it does the deed.
    Thread,
    /// Started with a socket that a program of another file made and, for datagrams, bound.
    Inherited,
    /// Started, and given a socket of a program of another file over a Unix socket.
    Passed,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Exec, Self::Fork, Self::Thread, Self::Inherited, Self::Passed];

    /// The word on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Thread => "thread",
            Self::Inherited => "inherited",
            Self::Passed => "passed",
        }
    }
}

impl FromStr for Deed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|deed| deed.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no deed"))
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|way| way.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no way"))
    }
}

/// What a program printed before it was gone: its port, and `ok` or what the kernel said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its source port; 0 where the socket had lost it already.
    pub from_port: u16,
    /// `ok`, or an error.
    pub outcome: String,
}

impl FromStr for Done {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let parsed = line.trim().split_once(' ').and_then(|(port, outcome)| {
            Some(Self { from_port: port.parse().ok()?, outcome: outcome.to_owned() })
        });
        parsed.ok_or_else(|| format!("`{line}` tells neither port nor outcome"))
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.from_port, self.outcome)
    }
}

/// One program that was there, and whose connection is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// What it did.
    pub deed: Deed,
    /// How it came to be.
    pub way: Way,
    /// Its source port; 0 where a refusal came before it could be asked for.
    pub from_port: u16,
    /// Where to.
    pub to: SocketAddr,
    /// The file of the program.
    pub executable: PathBuf,
    /// `ok`, or an error.
    pub outcome: String,
}

/// Many short-lived programs.
#[derive(Clone, Debug)]
pub struct OneShots {
    /// Where to, in turn.
    pub to: Vec<SocketAddr>,
    /// Flows wanted that one program each had to itself.
    pub count: u32,
    /// Programs alive at once.
    pub parallel: usize,
    /// What they do, in turn.
    pub deeds: Vec<Deed>,
    /// How they come to be, in turn.
    pub ways: Vec<Way>,
    /// Names of their files begin with this.
    pub named: String,
    /// A program that starts the driver, with its arguments: `unshare --mount`.
    pub within: Vec<String>,
}

impl OneShots {
    /// The whole matrix of deeds and ways.
    pub fn matrix(to: Vec<SocketAddr>, count: u32) -> Self {
        Self {
            to,
            count,
            parallel: Programs::PARALLEL,
            deeds: Deed::ALL.to_vec(),
            ways: Way::ALL.to_vec(),
            named: Programs::APP.to_owned(),
            within: Vec::new(),
        }
    }

    /// Starts the driver on a host.
    pub fn start(&self, host: &Host, programs: &Programs) -> Shooting {
        let driver = program("lab-oneshot", "LAB_ONESHOT_BIN").to_string_lossy().into_owned();
        let words: Vec<&str> = self.within.iter().map(String::as_str).chain([&*driver]).collect();
        let mut command = host.command(words[0]);
        command.args(&words[1..]).arg("run");
        self.add_arguments(&mut command, programs);
        Shooting {
            running: Running::start(&mut command),
            allowed: EACH * self.count + GRACE,
            count: self.count,
        }
    }

    /// Runs the driver to its end.
    #[track_caller]
    pub fn run(&self, host: &Host, programs: &Programs) -> Vec<Shot> {
        self.start(host, programs).finish()
    }

    fn add_arguments(&self, command: &mut Command, programs: &Programs) {
        command.arg("--folder").arg(programs.folder());
        command.arg(format!("--count={}", self.count));
        command.arg(format!("--parallel={}", self.parallel));
        command.arg(format!("--named={}", self.named));
        command.args(self.to.iter().map(|to| format!("--to={to}")));
        command.args(self.deeds.iter().map(|deed| format!("--deed={}", deed.as_str())));
        command.args(self.ways.iter().map(|way| format!("--way={}", way.as_str())));
        command.env("PYTHONHOME", &programs.interpreter().home);
    }
}

/// A driver at work.
#[derive(Debug)]
pub struct Shooting {
    running: Running,
    allowed: Duration,
    count: u32,
}

impl Shooting {
    /// Whether it is still at work.
    pub fn at_work(&mut self) -> bool {
        self.running.poll().is_none()
    }

    /// Waits for its end; gives who was there.
    ///
    /// # Panics
    /// When it fails, takes too long, or tells of fewer than asked for.
    #[track_caller]
    pub fn finish(mut self) -> Vec<Shot> {
        let ended = self.running.wait(self.allowed);
        assert!(
            ended.is_some_and(|status| status.success()),
            "the driver of short-lived programs ended with {ended:?}: {}",
            self.running.stderr()
        );
        let output = self.running.rest_of_output();
        let shots: Vec<Shot> =
            output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert!(shots.len() >= self.count as usize, "only {} programs were told of", shots.len());
        shots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for deed in Deed::ALL {
            assert_eq!(deed.as_str().parse(), Ok(deed));
        }
        for way in Way::ALL {
            assert_eq!(way.as_str().parse(), Ok(way));
        }
        let done = Done { from_port: 40_000, outcome: "connection refused".to_owned() };
        assert_eq!(done.to_string().parse(), Ok(done));
        for bad in ["", "40000", "x ok", "70000 ok"] {
            assert!(bad.parse::<Done>().is_err(), "{bad}");
        }
    }
}
