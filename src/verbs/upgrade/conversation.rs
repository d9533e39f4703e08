//! The line to the keeper.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_messages::upgrade::{KEEPER_SOCKET, MAX_LINE_BYTES, Report, Request};

use super::Failure;

/// How long the keeper may say nothing: longer than any step of an upgrade,
/// the old program's return included.
const SILENCE: Duration = Duration::from_secs(60);

/// An open conversation.
pub(super) struct Conversation {
    stream: BufReader<UnixStream>,
    pid: i32,
}

/// What the keeper says first.
pub(super) struct Greeting {
    /// The version that runs.
    pub(super) version: String,
    /// The file that an upgrade starts.
    pub(super) installed: PathBuf,
}

impl Conversation {
    /// Finds the keeper.
    pub(super) fn begin(run_dir: &Path) -> Result<(Self, Greeting), Failure> {
        let path = run_dir.join(KEEPER_SOCKET);
        let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::NotRunning(format!(
                "Seawall is not running, or too old for this: no keeper answers at {}",
                path.display()
            )),
            _ => Failure::Failed(format!("can't reach the keeper at {}: {error}", path.display())),
        })?;
        let failed = |error: std::io::Error| format!("can't talk to the keeper: {error}");
        stream.set_read_timeout(Some(SILENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(SILENCE)).map_err(failed)?;
        // Of the process that opened the socket: the keeper.
        let peer =
            rustix::net::sockopt::socket_peercred(&stream).map_err(|errno| failed(errno.into()))?;
        let pid = peer.pid.as_raw_pid();
        let mut conversation = Self { stream: BufReader::new(stream), pid };
        match conversation.hear()? {
            Report::Keeper { version, installed } => {
                Ok((conversation, Greeting { version, installed }))
            }
            _ => Err(Failure::Failed("the keeper did not say who it is".to_owned())),
        }
    }

    /// Process id of the keeper.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Tells it something.
    pub(super) fn say(&mut self, request: &Request) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the keeper does not listen: {error}");
        let mut line = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(failed)
    }

    /// What it says next.
    pub(super) fn hear(&mut self) -> Result<Report, String> {
        let mut line = String::new();
        let mut bounded = (&mut self.stream).take(MAX_LINE_BYTES as u64);
        match bounded.read_line(&mut line) {
            Ok(0) => Err("the keeper hung up".to_owned()),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| format!("can't understand the keeper: {error}")),
            Err(error) => Err(format!("the keeper does not answer: {error}")),
        }
    }
}
