//! How a keeper begins that is not the first: with what the program before it
//! handed on. Rules stand, queues are open, the lock is held; nothing of it is
//! let go for a moment.

use std::time::Instant;

use rustix::process::Pid;
use seawall_platform::linux::conntrack::Accounting;
use seawall_platform::linux::link::{Link, NamespaceLock};
use seawall_platform::linux::signals::SignalFd;

use super::child::Worker;
use super::control::Applicant;
use super::crashes::Crashes;
use super::descriptors::Descriptors;
use super::error::KeeperError;
use super::estate::{self, Belongings, Estate, EstateError, Number, WorkerPart};
use super::firewall::Firewall;
use super::guardian::Guard;
use super::start::open_control;
use super::state_copy::StateCopy;
use super::state_file::StateFile;
use super::upgrade::Upgrade;
use super::{Keeper, Phase, Watchdog, events, service_manager};
use crate::cli::{ConfigFile, Folders, VERSION, WorkerArguments};
use crate::settings;

impl Keeper {
    /// In the process of the old keeper, after an exec. The worker judges on.
    pub(super) fn take_over(number: Number) -> Result<Self, KeeperError> {
        let estate = Estate::take(number)?;
        let belongings = estate.take_belongings()?;
        let guardian = Guard::take_over(estate.guardian)?;
        let worker = estate.worker.map(adopt_worker).transpose()?;
        let mut keeper = Self::inherit(estate, belongings)?;
        keeper.guardian = guardian;
        match worker {
            Some(worker) => {
                keeper.phase = Phase::Working(worker);
                keeper.state_file.say(None);
            }
            None => keeper.start_worker(),
        }
        events::taken_over(VERSION);
        service_manager::status(&format!("Packets are judged; upgraded to {VERSION}"));
        Ok(keeper)
    }

    /// In the process of the guardian, after the new keeper failed.
    pub(super) fn come_back(
        estate: Estate,
        belongings: Belongings,
        reason: &str,
    ) -> Result<Self, KeeperError> {
        let mut keeper = Self::inherit(estate, belongings)?;
        if let Err(error) = keeper.state_copy.restore() {
            events::state_not_restored(&error);
        }
        keeper.upgrade = Upgrade::GoingBack { reason: reason.to_owned() };
        keeper.start_worker();
        Ok(keeper)
    }

    /// All but the worker.
    fn inherit(estate: Estate, belongings: Belongings) -> Result<Self, KeeperError> {
        let backend = |name: &str| {
            settings::backend_of_name(name)
                .map_err(|_| EstateError::Missing(format!("a back-end that exists, but {name:?}")))
        };
        let folders = Folders {
            config: ConfigFile { config: estate.config },
            state_dir: estate.state_dir,
            run_dir: estate.run_dir,
        };
        let firewall = Firewall::take_over(
            backend(&estate.backend)?,
            estate.layout,
            estate.rules,
            estate.mended,
        )?;
        let arguments = WorkerArguments {
            folders: folders.clone(),
            keeper_pid: std::process::id(),
            metrics: estate.metrics,
            backend: estate.asked_backend.as_deref().map(backend).transpose()?,
        };
        let applicant = belongings.applicant.map(Applicant::from_fd).transpose();
        Ok(Self {
            arguments,
            layout: estate.layout,
            mode: estate.mode,
            firewall,
            descriptors: Descriptors::take_over(estate.layout, belongings.descriptors)?,
            crashes: Crashes::after(estate.crashes),
            phase: Phase::Waiting(Instant::now()),
            signals: SignalFd::open().map_err(KeeperError::Wait)?,
            state_file: StateFile::new(&folders.run_dir),
            was_ready: true,
            accounting: Accounting::from_before(estate.accounting_was_off),
            failed_starts: 0,
            watchdog: Watchdog::asked_for(),
            control: open_control(&folders.run_dir)?,
            applicant: applicant.map_err(KeeperError::Wait)?,
            upgrade: Upgrade::None,
            installed: estate.installed,
            state_copy: StateCopy::of(&folders.state_dir),
            guardian: Guard::None,
            lock: NamespaceLock::from_fd(belongings.lock),
        })
    }
}

fn adopt_worker(part: WorkerPart) -> Result<Worker, KeeperError> {
    let pid = Pid::from_raw(part.pid).ok_or_else(|| EstateError::Missing("a worker".to_owned()))?;
    let link = Link::from_fd(estate::adopt("the link to the worker", part.link)?);
    Worker::adopt(pid, link, part.nothing_behind)
}
