//! A program with a connection that stays, so that it can be looked at while it runs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Deed, Done};
use crate::process::Running;

/// How long a program may take to connect: a verdict may have to wait for a successor of whoever gives it.
const CONNECTS: Duration = Duration::from_secs(30);

/// What a script does instead of `hold`: the deed at each line of its input, with its own words before the first.
///
/// The script finds `connect(to)` defined, which prints what [`Held`] reads.
pub fn on_cue(to: SocketAddr, first: &str, then: &str) -> String {
    format!(
        "import os, socket, sys\n\
         kept = []\n\
         def connect():\n\
         \x20   family = socket.AF_INET6 if ':' in '{ip}' else socket.AF_INET\n\
         \x20   made = socket.socket(family, socket.SOCK_STREAM)\n\
         \x20   made.connect(('{ip}', {port}))\n\
         \x20   kept.append(made)\n\
         \x20   print(made.getsockname()[1], 'ok', flush=True)\n\
         {first}\n\
         connect()\n\
         for line in sys.stdin:\n\
         \x20   {then}\n\
         \x20   connect()\n",
        ip = to.ip(),
        port = to.port(),
    )
}

/// A program that did its deed, keeps its socket, and does it again when told. Ended when dropped.
#[derive(Debug)]
pub struct Held {
    running: Running,
    from_port: u16,
}

impl Held {
    /// Adds the arguments of `hold` to a command that ends with the program, and starts it.
    ///
    /// # Panics
    /// When it does not do its deed.
    #[track_caller]
    pub fn start(mut command: Command, deed: Deed, to: SocketAddr) -> Self {
        command.args(["hold", deed.as_str(), &to.to_string()]);
        Self::start_any(command)
    }

    /// As [`Held::start`], from a source port that is free again as soon as the program is gone.
    #[track_caller]
    pub fn start_from(mut command: Command, deed: Deed, to: SocketAddr, from_port: u16) -> Self {
        command.args(["hold", deed.as_str(), &to.to_string(), &from_port.to_string()]);
        Self::start_any(command)
    }

    /// As [`Held::start`], a program of this path on a host, without anything around it.
    #[track_caller]
    pub fn on(host: &crate::Host, executable: &Path, deed: Deed, to: SocketAddr) -> Self {
        Self::start(host.command(&executable.to_string_lossy()), deed, to)
    }

    /// Starts a program that behaves like `hold` by itself.
    #[track_caller]
    pub fn start_any(mut command: Command) -> Self {
        let mut held = Self { running: Running::start(&mut command), from_port: 0 };
        held.from_port = held.next_port();
        held
    }

    /// Source port of its first connection.
    pub fn from_port(&self) -> u16 {
        self.from_port
    }

    /// Process id of what was started: of the program, unless something around it forks.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Has it do its deed on one socket more; gives the source port.
    #[track_caller]
    pub fn again(&mut self) -> u16 {
        self.running.write("again\n");
        self.next_port()
    }

    /// Ends it, and waits until it is gone.
    #[track_caller]
    pub fn end(&mut self) {
        self.running.close_input();
        let ended = self.running.wait(CONNECTS);
        assert!(ended.is_some(), "a program did not end with its input");
    }

    #[track_caller]
    fn next_port(&mut self) -> u16 {
        let line = self.running.line(CONNECTS).unwrap_or_else(|| {
            panic!("a program did not do its deed in time: {}", self.running.stderr())
        });
        match line.parse::<Done>() {
            Ok(Done { from_port, outcome }) if outcome == "ok" => from_port,
            _ => panic!("a program failed: {line} {}", self.running.stderr()),
        }
    }
}
