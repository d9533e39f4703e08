//! The worker process as the keeper sees it: started, heard, killed, reaped.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};
use seawall_platform::linux::link::Link;

use super::error::KeeperError;
use super::estate::ESTATE_VARIABLE;
use super::liveness::Liveness;
use crate::cli::WorkerArguments;
use crate::{output, settings};

/// What a worker is started from.
#[derive(Clone, Copy)]
pub(super) enum Program<'a> {
    /// The file of this very process, even if another one lies in its place.
    Own,
    /// Another Seawall.
    Candidate(BorrowedFd<'a>),
}

/// A running worker.
pub(super) struct Worker {
    pid: Pid,
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
    /// Starts one with its end of the link as standard input.
    pub(super) fn spawn(
        arguments: &WorkerArguments,
        program: Program<'_>,
    ) -> Result<Self, KeeperError> {
        let (ours, theirs) = Link::pair().map_err(KeeperError::Link)?;
        let theirs = theirs.as_fd().try_clone_to_owned().map_err(KeeperError::Spawn)?;
        let mut command = match program {
            Program::Own => Command::new("/proc/self/exe"),
            Program::Candidate(file) => Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())),
        };
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
            .env_remove(ESTATE_VARIABLE)
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
        Self::of(Pid::from_child(&child), ours)
    }

    /// One that was started by the program before this one, in this same
    /// process, and judges: it is this process's child as before.
    pub(super) fn adopt(pid: Pid, link: Link, nothing_behind: bool) -> Result<Self, KeeperError> {
        let worker = Self::of(pid, link)?;
        Ok(Self { welcomed: true, ready: true, nothing_behind, ..worker })
    }

    fn of(pid: Pid, link: Link) -> Result<Self, KeeperError> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| KeeperError::Spawn(errno.into()))?;
        let started = Instant::now();
        Ok(Self {
            pid,
            pidfd,
            link,
            liveness: Liveness::new(started),
            started,
            welcomed: false,
            ready: false,
            hung_up: false,
            nothing_behind: false,
        })
    }

    /// The same, which has waited for its turn until now.
    pub(super) fn begin(self) -> Self {
        let started = Instant::now();
        Self { started, liveness: Liveness::new(started), ..self }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
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
    pub(super) fn reap(&mut self) -> io::Result<Option<WaitIdStatus>> {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::PidFd(self.pidfd.as_fd()), how)?)
    }

    /// Kills it and waits for its end, which SIGKILL makes short.
    pub(super) fn end(self) {
        self.kill();
        // Fails only where it was reaped already.
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// An exit status in words.
pub(super) fn how_it_ended(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for no known reason".to_owned(),
    }
}
