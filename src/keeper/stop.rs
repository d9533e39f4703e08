//! The ordered stop: as if Seawall had never been there, unless the mode is lockdown.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use seawall_messages::keeper::{ToKeeper, ToWorker};
use seawall_messages::policy::Mode;
use seawall_platform::linux::link::LinkError;
use seawall_platform::linux::signals::Signal;

use super::child::Worker;
use super::error::KeeperError;
use super::{Keeper, Phase, events, service_manager};
use crate::output;

/// How long the worker may take to finish in order.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long, where packets wait for its successor.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// Whether a signal cuts the patience with a worker short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    BySignal,
    /// Signals wait until the loop reads them.
    Never,
}

impl Keeper {
    /// Finishes. In open mode the rules go first, while the worker still
    /// answers what waits in the queues, so that no packet is lost; then the
    /// worker, then the labels. In lockdown rules and labels stay.
    pub(super) fn stop(mut self) -> Result<(), KeeperError> {
        events::stopping();
        service_manager::stopping();
        let mode = self.mode();
        let removed = match mode {
            Mode::Open => self.firewall.remove_rules(),
            Mode::Lockdown => Ok(()),
        };
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting(Instant::now()));
        if let Phase::Working(worker) = phase {
            self.stop_worker(worker, PATIENCE, Haste::BySignal);
        }
        self.descriptors.close_queues();
        if let Err(error) = self.accounting.restore() {
            events::accounting_stays(&error);
        }
        // Of what is stopped in order nothing is left with the service manager.
        self.descriptors.withdraw_all();
        self.descriptors.forget_rules();
        removed?;
        match mode {
            Mode::Open => self.firewall.clear_labels(),
            Mode::Lockdown => {
                output::complaint(
                    "stopped in lockdown: new connections are dropped from now on; \
                     `seawall remove-rules` lets everything pass again",
                );
                Ok(())
            }
        }
    }

    /// Has a worker finish in order, to be followed by another one: packets wait.
    pub(super) fn retire_worker(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting(Instant::now()));
        if let Phase::Working(worker) = phase {
            self.stop_worker(worker, SHORT_PATIENCE, Haste::Never);
        }
    }

    fn stop_worker(&self, mut worker: Worker, patience: Duration, haste: Haste) {
        let told = worker.link.send_to_worker(&ToWorker::Stop, None);
        let deadline = Instant::now() + if told.is_ok() { patience } else { Duration::ZERO };
        while !matches!(worker.reap(), Ok(Some(_))) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || (haste == Haste::BySignal && self.is_hastened()) {
                events::stop_hastened(worker.pid());
                break;
            }
            let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
            let mut polled = vec![readable(worker.death())];
            if haste == Haste::BySignal {
                polled.push(readable(self.signals.as_fd()));
            }
            if refuse_rules(&worker) {
                polled.push(readable(worker.link.as_fd()));
            }
            let timeout = Timespec::try_from(left).ok();
            // Whatever wakes it, or fails, the loop looks again at the worker and the clock.
            let _ = poll(&mut polled, timeout.as_ref());
        }
        worker.end();
    }

    /// Whether a second signal came: then nobody wants to wait.
    fn is_hastened(&self) -> bool {
        matches!(self.signals.next(), Ok(Some(Signal::Stop)))
    }
}

/// Rules are not set any more; who asks is told. Returns whether the link is still open.
fn refuse_rules(worker: &Worker) -> bool {
    loop {
        match worker.link.receive_from_worker(Duration::ZERO) {
            Ok((ToKeeper::SetRules { request, .. }, _)) => {
                let result = Err("Seawall is stopping".to_owned());
                let _ = worker.link.send_to_worker(&ToWorker::RulesSet { request, result }, None);
            }
            Ok(_) => {}
            Err(error) => return matches!(error, LinkError::TimedOut),
        }
    }
}
