//! What happens before the first worker: checks, the lock, folders, queues.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant;

use rustix::thread::CapabilitySet;
use seawall_messages::policy::Mode;
use seawall_platform::linux::conntrack::Accounting;
use seawall_platform::linux::link::NamespaceLock;
use seawall_platform::linux::signals::SignalFd;

use super::child::Program;
use super::control::Control;
use super::crashes::Crashes;
use super::descriptors::Descriptors;
use super::error::KeeperError;
use super::firewall::Firewall;
use super::guardian::Guard;
use super::state_copy::StateCopy;
use super::state_file::StateFile;
use super::upgrade::Upgrade;
use super::{Keeper, Phase, Watchdog, events};
use crate::cli::{Folders, WorkerArguments};
use crate::settings::{self, Settings};
use crate::{installed, output};

impl Keeper {
    /// Everything up to the start of the first worker. Nothing outside is
    /// changed before the policy is known to be good and the lock is ours.
    pub(super) fn start(folders: &Folders) -> Result<Self, KeeperError> {
        let signals = SignalFd::open().map_err(KeeperError::Wait)?;
        let may = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN));
        if !may {
            return Err(KeeperError::NotRoot);
        }
        let lock = NamespaceLock::take().map_err(KeeperError::Lock)?;
        let lock = lock.ok_or(KeeperError::AlreadyGuarded)?;
        let state_copy = StateCopy::of(&folders.state_dir);
        let unsettled =
            |source| KeeperError::Unsettled { state_dir: folders.state_dir.clone(), source };
        if state_copy.settle().map_err(unsettled)? {
            events::state_restored();
        }
        let Settings { mode, layout, backend, metrics } =
            settings::load(&folders.config.config, &folders.state_dir)
                .map_err(KeeperError::Policy)?;
        make_folder(&folders.run_dir, 0o755)?;
        make_folder(&folders.state_dir, 0o700)?;
        let control = open_control(&folders.run_dir)?;
        let state_file = StateFile::new(&folders.run_dir);
        state_file.say(Some("Seawall is starting".to_owned()));
        let (descriptors, standing) = Descriptors::open(layout)?;
        let firewall = Firewall::open(backend, layout, standing)?;
        let arguments = WorkerArguments {
            folders: folders.clone(),
            keeper_pid: std::process::id(),
            metrics,
            backend,
        };
        let mut keeper = Self {
            arguments,
            layout,
            mode,
            firewall,
            descriptors,
            crashes: Crashes::default(),
            phase: Phase::Waiting(Instant::now()),
            signals,
            state_file,
            was_ready: false,
            accounting: Accounting::remember(),
            failed_starts: 0,
            watchdog: Watchdog::asked_for(),
            control,
            applicant: None,
            upgrade: Upgrade::None,
            installed: installed::own_path().map_err(KeeperError::Spawn)?,
            state_copy,
            guardian: Guard::None,
            lock,
        };
        keeper.phase = Phase::Working(keeper.spawn(Program::Own)?);
        Ok(keeper)
    }

    /// Says once, for people and scripts, that packets are judged.
    pub(super) fn announce(&self) {
        let folders = &self.arguments.folders;
        let mode = match self.mode() {
            Mode::Open => "open (new connections pass while Seawall is absent)",
            Mode::Lockdown => "lockdown (new connections drop while Seawall is absent)",
        };
        let metrics = self
            .arguments
            .metrics
            .map_or("off".to_owned(), |address| format!("http://{address}/metrics"));
        output::line("seawall: ready");
        output::line(format_args!("  mode     {mode}"));
        output::line(format_args!("  policy   {}", folders.config.config.display()));
        output::line(format_args!("  rules    {}", self.firewall.backend()));
        output::line(format_args!("  metrics  {metrics}"));
        output::line(format_args!(
            "  look     seawall status --run-dir {}",
            folders.run_dir.display()
        ));
    }
}

/// The keeper's own socket.
pub(super) fn open_control(run_dir: &Path) -> Result<Control, KeeperError> {
    Control::open(run_dir)
        .map_err(|source| KeeperError::Control { run_dir: run_dir.to_owned(), source })
}

fn make_folder(path: &Path, mode: u32) -> Result<(), KeeperError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|source| KeeperError::Folder { path: path.to_owned(), source })
}
