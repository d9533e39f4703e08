//! The keeper: the process that stays. It holds what must outlive a worker
//! (the lock of the namespace, packet queues, journals, deposited
//! descriptors), alone writes the firewall's rules, and starts a worker
//! whenever there is none.
//!
//! One thread, one loop, no allocation to speak of, nothing clever: whatever
//! can be done in the worker is done there. Packets wait in the kernel's
//! queues while no worker lives; only a crash loop closes them.

mod child;
mod control;
mod crashes;
mod descriptors;
mod error;
mod estate;
mod events;
mod firewall;
mod guardian;
mod hearing;
mod kept_rules;
mod liveness;
mod service_manager;
mod start;
mod state_copy;
mod state_file;
mod stop;
mod take_over;
mod trial;
mod upgrade;
mod welcome;

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::conntrack::Accounting;
use seawall_platform::linux::link::NamespaceLock;
use seawall_platform::linux::memory;
use seawall_platform::linux::signals::{Signal, SignalFd};

use self::child::{Program, Worker, how_it_ended};
use self::control::{Applicant, Control};
use self::crashes::{Crashes, Next};
use self::descriptors::Descriptors;
use self::error::KeeperError;
use self::firewall::Firewall;
use self::guardian::Guard;
use self::state_copy::StateCopy;
use self::state_file::StateFile;
use self::upgrade::Upgrade;
use crate::cli::{Folders, WorkerArguments};
use crate::verbs::{Outcome, describe};
use crate::{output, worker};

/// How long after a failure to start a worker it is tried again.
const SPAWN_RETRY: Duration = Duration::from_secs(1);

/// So often in a row no worker could be started before the service manager is
/// let know: a minute's worth.
const MANY_FAILED_STARTS: u32 = 60;

/// The longest sleep: time-outs of poll are bounded, deadlines are not.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// `seawall run`: guards until told to stop.
pub(crate) fn run(folders: &Folders) -> Outcome {
    crate::logging::start();
    memory::keep_program();
    // After an exec by descriptor the kernel calls it by a number; a failure costs only the name.
    let _ = rustix::thread::set_name(c"seawall");
    let keeper = match estate::handed_on() {
        Some(number) => Keeper::take_over(number),
        None => Keeper::start(folders),
    };
    finish(keeper.and_then(Keeper::guard))
}

/// The hidden verb `guardian`: comes back if the program that took over fails.
pub(crate) fn guardian() -> Outcome {
    crate::logging::start();
    let _ = rustix::thread::set_name(c"seawall-guard");
    finish(guardian::watch())
}

fn finish(result: Result<(), KeeperError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => {
            output::complaint(describe(&error));
            Outcome::Failed
        }
    }
}

/// Everything the keeper keeps.
struct Keeper {
    arguments: WorkerArguments,
    layout: Layout,
    /// Until the worker says otherwise, as the policy file says.
    mode: Mode,
    firewall: Firewall,
    descriptors: Descriptors,
    crashes: Crashes,
    phase: Phase,
    signals: SignalFd,
    state_file: StateFile,
    /// Whether any worker was ever ready.
    was_ready: bool,
    /// How often in a row the system did not let a worker start.
    failed_starts: u32,
    watchdog: Option<Watchdog>,
    /// The worker may have the kernel count what connections move.
    accounting: Accounting,
    control: Control,
    applicant: Option<Applicant>,
    upgrade: Upgrade,
    /// The file that an upgrade starts.
    installed: PathBuf,
    state_copy: StateCopy,
    guardian: Guard,
    lock: NamespaceLock,
}

/// Whether there is a worker.
enum Phase {
    /// There is.
    Working(Worker),
    /// Crash loop: the queues are closed, the next worker starts then.
    Waiting(Instant),
}

/// When the service manager wants a sign of life.
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Watchdog {
    fn asked_for() -> Option<Self> {
        let every = service_manager::watchdog_interval()?;
        Some(Self { every, next: Instant::now() })
    }
}

/// What ended a wait.
#[derive(Default)]
struct Woken {
    signal: bool,
    applicant: bool,
    new_worker: bool,
    rules: bool,
    link: bool,
    death: bool,
}

impl Keeper {
    /// The loop.
    fn guard(mut self) -> Result<(), KeeperError> {
        let mut listening = Instant::now();
        loop {
            let asleep = Instant::now();
            // Since it last returned from a wait, the keeper heard nothing.
            self.deaf_for(asleep - listening);
            let due = self.next_deadline(asleep);
            let woken = self.wait(due)?;
            listening = Instant::now();
            self.deaf_for(listening.saturating_duration_since(due));
            if woken.signal && self.signals.next().map_err(KeeperError::Wait)? == Some(Signal::Stop)
            {
                return self.stop();
            }
            if woken.link {
                self.hear_worker();
            }
            if woken.rules || self.firewall.next_look().is_some_and(|due| due <= listening) {
                self.look_at_rules();
            }
            if woken.death {
                self.bury_worker()?;
            }
            if woken.new_worker {
                self.hear_new_worker();
            }
            if woken.applicant {
                self.hear_applicant();
            }
            self.mind_the_clock();
        }
    }

    fn deaf_for(&mut self, time: Duration) {
        if let Phase::Working(worker) = &mut self.phase {
            worker.liveness.deaf_for(time);
        }
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let phase = match &self.phase {
            Phase::Working(worker) => worker.liveness.deadline(),
            Phase::Waiting(until) => *until,
        };
        [
            Some(phase),
            self.firewall.next_look(),
            self.upgrade_deadline(),
            self.watchdog.as_ref().map(|watchdog| watchdog.next),
        ]
        .into_iter()
        .flatten()
        .fold(now + LONGEST_SLEEP, Instant::min)
    }

    /// Waits until something happens or `due` has come.
    fn wait(&self, due: Instant) -> Result<Woken, KeeperError> {
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let door = self.applicant.as_ref().map_or(self.control.as_fd(), AsFd::as_fd);
        let mut polled = vec![readable(self.signals.as_fd()), readable(door)];
        let new_worker = self.upgrade.link().map(|fd| {
            polled.push(readable(fd));
            polled.len() - 1
        });
        let rules = self.firewall.watch_fd().map(|fd| {
            polled.push(readable(fd));
            polled.len() - 1
        });
        let (mut death, mut link) = (None, None);
        if let Phase::Working(worker) = &self.phase {
            death = Some(polled.len());
            polled.push(readable(worker.death()));
            // A closed link is always ready, and has nothing more to say.
            if !worker.hung_up {
                link = Some(polled.len());
                polled.push(readable(worker.link.as_fd()));
            }
        }
        let left = due.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Woken::default()),
            Err(errno) => return Err(KeeperError::Wait(errno.into())),
        }
        let ready = |index: usize| polled.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Woken {
            signal: ready(0),
            applicant: ready(1),
            new_worker: new_worker.is_some_and(ready),
            rules: rules.is_some_and(ready),
            link: link.is_some_and(ready),
            death: death.is_some_and(ready),
        })
    }

    /// What is due by time alone.
    fn mind_the_clock(&mut self) {
        let now = Instant::now();
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.next <= now
        {
            watchdog.next = now + watchdog.every;
            // Where no worker starts any more, a new keeper may be the cure.
            if self.failed_starts < MANY_FAILED_STARTS {
                service_manager::alive();
            }
        }
        self.mind_the_upgrade(now);
        match &self.phase {
            Phase::Working(worker) if worker.liveness.is_silent(now) => {
                events::worker_silent(worker.pid());
                worker.kill();
                // Its death wakes the loop; until then it must not wake it for silence.
                self.deaf_for(Duration::from_secs(1));
            }
            Phase::Waiting(until) if *until <= now => self.start_worker(),
            _ => {}
        }
    }

    /// The worker is dead: sees to the next one.
    fn bury_worker(&mut self) -> Result<(), KeeperError> {
        // What it said last still counts: a deposit, or new rules.
        self.hear_worker();
        let Phase::Working(worker) = &mut self.phase else { return Ok(()) };
        let Some(status) = worker.reap().map_err(KeeperError::Wait)? else { return Ok(()) };
        if self.upgrade.is_trial() {
            self.roll_back(&format!("its worker ended ({})", how_it_ended(&status)));
            return Ok(());
        }
        let refused = status.exit_status() == Some(i32::from(worker::EXIT_REFUSED));
        if refused && !self.was_ready {
            return Err(KeeperError::Refused);
        }
        let now = Instant::now();
        let next = self.crashes.record(now, now - worker.started);
        events::worker_died(worker.pid(), &how_it_ended(&status), self.crashes.total());
        match next {
            Next::AtOnce => self.start_worker(),
            Next::After(wait) => {
                self.give_up_for(wait);
                self.phase = Phase::Waiting(now + wait);
            }
        }
        Ok(())
    }

    /// Crash loop: lets the rules say what traffic does, loudly.
    fn give_up_for(&mut self, wait: Duration) {
        self.descriptors.close_queues();
        // Whoever asks for the status is refused at once, rather than left waiting.
        self.descriptors.withdraw_all();
        let traffic = match self.mode() {
            Mode::Open => "new connections PASS unjudged",
            Mode::Lockdown => "new connections are dropped",
        };
        let reason = format!(
            "the worker keeps crashing ({} times so far); {traffic}; next attempt within {} s",
            self.crashes.total(),
            wait.as_secs()
        );
        events::not_protected(&reason);
        service_manager::status(&format!("NOT PROTECTED: {reason}"));
        self.state_file.say(Some(reason));
    }

    /// Starts the next worker; where the system has no room for it, tries again soon.
    fn start_worker(&mut self) {
        let started = self.descriptors.reopen_queues().and_then(|()| self.spawn(Program::Own));
        self.failed_starts = if started.is_ok() { 0 } else { self.failed_starts.saturating_add(1) };
        self.phase = match started {
            Ok(worker) => Phase::Working(worker),
            Err(error) => {
                events::not_protected(&describe(&error));
                Phase::Waiting(Instant::now() + SPAWN_RETRY)
            }
        };
    }

    fn spawn(&self, program: Program<'_>) -> Result<Worker, KeeperError> {
        let worker = Worker::spawn(&self.arguments, program)?;
        events::worker_started(worker.pid());
        Ok(worker)
    }

    /// What traffic does while nobody judges it: as the rules say, or will say.
    fn mode(&self) -> Mode {
        self.firewall.wanted().map_or(self.mode, |rules| rules.mode)
    }
}
