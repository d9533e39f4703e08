//! The worker process as the keeper sees it: started, heard, killed, reaped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use seawall_platform::linux::link::Link;

use super::error::KeeperError;
use super::liveness::Liveness;
use crate::cli::WorkerArguments;
use crate::{output, settings};

/// A running worker.
pub(super) struct Worker {
    child: Child,
    pidfd: OwnedFd,
    /// The keeper's end of the link.
    pub(super) link: Link,
    /// When it was last heard of.
    pub(super) liveness: Liveness,
    /// When it was started.
    pub(super) started: Instant,
    /// Whether it was greeted: before, it expects nothing but the greeting.
    pub(super) welcomed: bool,
    /// Whether it judges packets.
    pub(super) ready: bool,
    /// Whether it closed the link: it is about to end.
    pub(super) hung_up: bool,
    /// What it was told last of rules behind ours: whether there are none.
    pub(super) nothing_behind: bool,
}

impl Worker {
    /// Starts one from the file of this very process, with its end of the
    /// link as standard input.
    pub(super) fn spawn(arguments: &WorkerArguments) -> Result<Self, KeeperError> {
        let (ours, theirs) = Link::pair().map_err(KeeperError::Link)?;
        let theirs = theirs.as_fd().try_clone_to_owned().map_err(KeeperError::Spawn)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("seawall")
            .arg("worker")
            .arg("--config")
            .arg(&arguments.folders.config.config)
            .arg("--state-dir")
            .arg(&arguments.folders.state_dir)
            .arg("--run-dir")
            .arg(&arguments.folders.run_dir)
            .args(["--keeper-pid", &std::process::id().to_string()])
            .args(["--color", output::chosen_colors().as_str()])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            // A group of its own: what the terminal sends reaches the keeper alone.
            .process_group(0)
            .stdin(Stdio::from(theirs));
        if let Some(address) = arguments.metrics {
            command.args(["--metrics", &address.to_string()]);
        }
        if let Some(backend) = arguments.backend {
            command.args(["--backend", settings::backend_name(backend)]);
        }
        let child = command.spawn().map_err(KeeperError::Spawn)?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .map_err(|errno| KeeperError::Spawn(errno.into()))?;
        let started = Instant::now();
        let liveness = Liveness::new(started);
        Ok(Self {
            child,
            pidfd,
            link: ours,
            liveness,
            started,
            welcomed: false,
            ready: false,
            hung_up: false,
            nothing_behind: false,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Readable once it is dead.
    pub(super) fn death(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Ends it, whatever it is doing.
    pub(super) fn kill(&self) {
        // Fails only where it is dead already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended, if it did.
    pub(super) fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it and waits for its end, which SIGKILL makes short.
    pub(super) fn end(mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// An exit status in words.
pub(super) fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
