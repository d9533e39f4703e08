//! `seawall upgrade`, as the keeper sees it.
//!
//! The worker goes first. One of the new program is started beside the old one,
//! which judges on; what doesn't start, or doesn't speak the protocol, costs
//! nothing. Once it has greeted the keeper, it takes the old one's place, on
//! the same queues and journals, while the old keeper stays in charge. Whatever
//! goes wrong then, the old program's worker comes back, and packets have only
//! waited. Once the new worker judges packets and whoever asked has accepted
//! it, the keeper follows, by exec in its own process, under the eyes of a
//! guardian (`guardian.rs`). The worker judges on meanwhile.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use seawall_messages::keeper::{PROTOCOL_VERSION, ToKeeper};
use seawall_messages::upgrade::{Report, Request};
use seawall_platform::linux::inherited;
use seawall_platform::linux::link::LinkError;

use super::child::{Program, Worker};
use super::estate::{self, ESTATE_VARIABLE, Estate, FORMAT, Passage, WorkerPart};
use super::guardian::Guardian;
use super::trial::{Step, Trial};
use super::{Keeper, KeeperError, Phase, events};
use crate::cli::{Folders, VERSION};
use crate::installed;
use crate::settings;
use crate::verbs::describe;

/// Variables that are about this program and no other.
const OWN_VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", ESTATE_VARIABLE];

/// How long the new worker may take to greet the keeper: by then it is a
/// running Seawall that speaks the protocol. The old one judges meanwhile.
const TO_GREET: Duration = Duration::from_secs(10);

/// What people are told to do where the two can't talk.
const OTHER_PROTOCOL: &str = "it speaks another protocol than the running keeper and can't take over \
    while it runs; restart the service instead (systemctl restart seawall)";

/// How an upgrade stands.
pub(super) enum Upgrade {
    /// There is none.
    None,
    /// A worker of the new program was started; the old one judges.
    Applying {
        /// The new one.
        worker: Worker,
        /// The new program.
        candidate: File,
        /// When it must have greeted the keeper.
        until: Instant,
    },
    /// The worker is one of the new program.
    Trying {
        /// How far it is.
        trial: Trial,
        /// The new program: what was tried is what takes over.
        candidate: File,
    },
    /// It failed; the old program's worker starts.
    GoingBack {
        /// Why it failed.
        reason: String,
    },
}

impl Upgrade {
    /// Whether the worker is one of the new program.
    pub(super) fn is_trial(&self) -> bool {
        matches!(self, Self::Trying { .. })
    }

    /// Readable when a new worker has something to say that is not the worker yet.
    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Applying { worker, .. } => Some(worker.link.as_fd()),
            _ => None,
        }
    }
}

impl Keeper {
    /// When the upgrade, or an applicant that does nothing, is due.
    pub(super) fn upgrade_deadline(&self) -> Option<Instant> {
        match &self.upgrade {
            Upgrade::Applying { until, .. } => Some(*until),
            Upgrade::Trying { trial, .. } => Some(trial.due()),
            Upgrade::GoingBack { .. } => None,
            Upgrade::None => self.applicant.as_ref().map(|applicant| applicant.until()),
        }
    }

    /// Takes in who connected, or what it says.
    pub(super) fn hear_applicant(&mut self) {
        let Some(applicant) = &mut self.applicant else {
            self.applicant = self.control.accept();
            let installed = self.installed.clone();
            self.tell_applicant(&Report::Keeper { version: VERSION.to_owned(), installed });
            return;
        };
        match applicant.next() {
            Ok(None) => {}
            Ok(Some(request)) => self.grant(request),
            Err(_) => {
                self.applicant = None;
                self.roll_back("whoever asked for it went away");
            }
        }
    }

    fn grant(&mut self, request: Request) {
        match request {
            Request::Upgrade => {
                if let Err(reason) = self.begin_upgrade() {
                    events::upgrade_refused(&reason);
                    self.tell_applicant(&Report::Refused { reason });
                }
            }
            Request::Accept => {
                let Upgrade::Trying { trial, candidate } = &self.upgrade else { return };
                if !trial.is_proven() {
                    return;
                }
                let handed_on = candidate.try_clone().map_err(KeeperError::Spawn);
                let Err(error) = handed_on.and_then(|candidate| self.hand_on(&candidate));
                self.roll_back(&describe(&error));
            }
            Request::Refuse { reason } => self.roll_back(&reason),
            Request::Unknown => {}
        }
    }

    fn begin_upgrade(&mut self) -> Result<(), String> {
        if !matches!(self.upgrade, Upgrade::None) || self.guardian.is_watching() {
            return Err("another upgrade is under way".to_owned());
        }
        let candidate = installed::open(&self.installed)?;
        let worker = self.spawn(Program::Candidate(candidate.as_fd()));
        let worker = worker.map_err(|error| describe(&error))?;
        events::upgrade_begins(&self.installed);
        self.tell_applicant(&Report::Trying);
        self.upgrade = Upgrade::Applying { worker, candidate, until: Instant::now() + TO_GREET };
        Ok(())
    }

    /// What the new worker says before it is the worker: its greeting.
    pub(super) fn hear_new_worker(&mut self) {
        let Upgrade::Applying { worker, .. } = &self.upgrade else { return };
        match worker.link.receive_from_worker(Duration::ZERO) {
            Ok((ToKeeper::Hello { version: PROTOCOL_VERSION }, _)) => self.let_in(),
            Ok((ToKeeper::Hello { .. }, _)) => self.turn_away(OTHER_PROTOCOL),
            Ok(_) => self.turn_away("its worker did not begin with a greeting"),
            Err(LinkError::TimedOut) => {}
            Err(_) => self.turn_away("its worker ended before it greeted the keeper"),
        }
    }

    /// The new worker can't be tried; the old one has not noticed anything.
    fn turn_away(&mut self, reason: &str) {
        match std::mem::replace(&mut self.upgrade, Upgrade::None) {
            Upgrade::Applying { worker, .. } => {
                worker.end();
                events::rolled_back(reason);
                self.tell_applicant(&Report::RolledBack { reason: reason.to_owned() });
            }
            other => self.upgrade = other,
        }
    }

    /// Puts the new worker in the place of the old one. From here until it
    /// judges, packets wait.
    fn let_in(&mut self) {
        let begun = Instant::now();
        self.retire_worker();
        let prepared = self.state_copy.make();
        let prepared = prepared.map_err(|error| format!("can't copy the state: {error}"));
        let prepared = prepared
            .and_then(|()| self.descriptors.reopen_queues().map_err(|error| describe(&error)));
        if let Err(reason) = prepared {
            self.turn_away(&reason);
            self.forget_state_copy();
            self.start_worker();
            return;
        }
        let upgrade = std::mem::replace(&mut self.upgrade, Upgrade::None);
        let Upgrade::Applying { worker, candidate, .. } = upgrade else { return };
        events::old_worker_retired(begun.elapsed());
        self.phase = Phase::Working(worker.begin());
        self.upgrade = Upgrade::Trying { trial: Trial::new(Instant::now()), candidate };
        self.welcome(PROTOCOL_VERSION);
    }

    /// A worker judges packets: the new one, or the old program's again.
    pub(super) fn upgrade_goes_on(&mut self) {
        match &mut self.upgrade {
            Upgrade::None | Upgrade::Applying { .. } => {}
            Upgrade::Trying { trial, .. } => trial.judges(Instant::now()),
            Upgrade::GoingBack { reason } => {
                let reason = std::mem::take(reason);
                self.upgrade = Upgrade::None;
                self.tell_applicant(&Report::RolledBack { reason });
            }
        }
    }

    /// What is due of an upgrade by time alone.
    pub(super) fn mind_the_upgrade(&mut self, now: Instant) {
        self.guardian.reap();
        match &mut self.upgrade {
            Upgrade::Applying { until, .. } => {
                if *until <= now {
                    self.turn_away("its worker did not greet the keeper within 10 s");
                }
            }
            Upgrade::Trying { trial, .. } => match trial.step(now) {
                Step::Wait => {}
                Step::Ask => self.tell_applicant(&Report::Judges),
                Step::Fail(reason) => self.roll_back(reason),
            },
            Upgrade::GoingBack { .. } => {}
            Upgrade::None => {
                if self.applicant.as_ref().is_some_and(|applicant| applicant.until() <= now) {
                    self.applicant = None;
                }
            }
        }
    }

    /// Takes the old program's worker back, if the new one's is on trial.
    pub(super) fn roll_back(&mut self, reason: &str) {
        self.turn_away(reason);
        if !self.upgrade.is_trial() {
            return;
        }
        events::rolled_back(reason);
        self.upgrade = Upgrade::GoingBack { reason: reason.to_owned() };
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting(Instant::now()));
        if let Phase::Working(worker) = phase {
            worker.end();
        }
        if let Err(error) = self.state_copy.restore() {
            events::state_not_restored(&error);
        }
        self.start_worker();
    }

    /// Puts the new program in the place of this one. Comes back only when that failed.
    fn hand_on(&mut self, candidate: &File) -> Result<Infallible, KeeperError> {
        let Phase::Working(worker) = &self.phase else {
            return Err(KeeperError::Refused);
        };
        let mut estate = self.estate(worker);
        let guardian = Guardian::spawn(&estate, &self.belongings(worker))?;
        estate.guardian = Some(guardian.part());
        let memory = estate.write()?;
        let mut passing = self.belongings(worker);
        passing.extend([guardian.link(), memory.as_fd()]);
        let passage = Passage::open(passing)?;
        events::handing_on();
        let error = inherited::replace_program(
            candidate,
            &self.command_line(),
            &environment(estate::number(&memory)),
        );
        drop(passage);
        guardian.dismiss();
        Err(KeeperError::Spawn(error))
    }

    /// Every descriptor that the program after this one needs.
    fn belongings<'a>(&'a self, worker: &'a Worker) -> Vec<BorrowedFd<'a>> {
        let kept = self.descriptors.all().into_iter().map(|(_, descriptor)| descriptor);
        kept.chain([self.lock.as_fd(), worker.link.as_fd()])
            .chain(self.applicant.as_ref().map(AsFd::as_fd))
            .collect()
    }

    fn estate(&self, worker: &Worker) -> Estate {
        let Folders { config, state_dir, run_dir } = self.arguments.folders.clone();
        let kept = self.descriptors.all().into_iter();
        Estate {
            format: FORMAT,
            keeper_pid: std::process::id(),
            installed: self.installed.clone(),
            config: config.config,
            state_dir,
            run_dir,
            metrics: self.arguments.metrics,
            asked_backend: self.arguments.backend.map(|it| settings::backend_name(it).to_owned()),
            backend: self.firewall.backend().to_owned(),
            layout: self.layout,
            mode: self.mode,
            rules: self.firewall.wanted().cloned(),
            mended: self.firewall.mended_times(),
            crashes: self.crashes.total(),
            accounting_was_off: self.accounting.was_off(),
            lock: estate::number(&self.lock),
            applicant: self.applicant.as_ref().map(estate::number),
            descriptors: kept.map(|(name, fd)| (name.to_owned(), estate::number(fd))).collect(),
            worker: Some(WorkerPart {
                pid: worker.pid().cast_signed(),
                link: estate::number(&worker.link),
                nothing_behind: worker.nothing_behind,
            }),
            guardian: None,
        }
    }

    /// As people started it: what the estate says counts.
    fn command_line(&self) -> Vec<CString> {
        let folders = &self.arguments.folders;
        let words: [OsString; 8] = [
            "seawall".into(),
            "run".into(),
            "--config".into(),
            folders.config.config.clone().into(),
            "--state-dir".into(),
            folders.state_dir.clone().into(),
            "--run-dir".into(),
            folders.run_dir.clone().into(),
        ];
        words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect()
    }

    /// The first word of the new program's worker, or of any: nothing was lost on the way.
    pub(super) fn confirm_takeover(&mut self) {
        if !self.guardian.is_watching() {
            return;
        }
        self.guardian.confirm();
        self.forget_state_copy();
        events::upgraded(VERSION);
        self.tell_applicant(&Report::Upgraded { version: VERSION.to_owned() });
    }

    fn forget_state_copy(&self) {
        if let Err(error) = self.state_copy.forget() {
            events::state_copy_stays(&error);
        }
    }

    pub(super) fn tell_applicant(&mut self, report: &Report) {
        if let Some(applicant) = &mut self.applicant {
            applicant.tell(report);
        }
    }
}

/// The environment of this process, with the estate in it.
fn environment(estate: estate::Number) -> Vec<CString> {
    let kept = std::env::vars_os().filter(|(name, _)| !OWN_VARIABLES.iter().any(|own| name == own));
    let estate = (OsString::from(ESTATE_VARIABLE), OsString::from(estate.to_string()));
    kept.chain([estate])
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect()
}
