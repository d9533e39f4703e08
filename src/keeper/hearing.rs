//! What the worker says, and what it is told.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use seawall_messages::keeper::{ToKeeper, ToWorker};
use seawall_platform::linux::link::LinkError;

use super::firewall::Look;
use super::{Keeper, Phase, events, service_manager, welcome};

/// Frames taken from the worker in one go, so that one that floods the link
/// can't keep the keeper from everything else.
const FRAMES_AT_ONCE: usize = 64;

impl Keeper {
    /// Takes the frames that the worker sent.
    pub(super) fn hear_worker(&mut self) {
        for _ in 0..FRAMES_AT_ONCE {
            let Phase::Working(worker) = &mut self.phase else { return };
            if worker.hung_up {
                return;
            }
            match worker.link.receive_from_worker(Duration::ZERO) {
                Ok((frame, descriptor)) => {
                    worker.liveness.heard(Instant::now());
                    self.confirm_takeover();
                    self.obey(frame, descriptor);
                }
                Err(LinkError::TimedOut) => return,
                Err(LinkError::Closed) => {
                    worker.hung_up = true;
                    worker.liveness.hung_up(Instant::now());
                    return;
                }
                Err(error) => {
                    events::worker_distrusted(worker.pid(), &error);
                    worker.kill();
                    return;
                }
            }
        }
    }

    fn obey(&mut self, frame: ToKeeper, descriptor: Option<OwnedFd>) {
        match frame {
            ToKeeper::Hello { version } => self.welcome(version),
            ToKeeper::Deposit { name } => {
                let kept = descriptor.is_some_and(|fd| self.descriptors.deposit(&name, fd));
                if !kept {
                    events::deposit_refused(&name);
                }
            }
            ToKeeper::Withdraw { name } => self.descriptors.withdraw(&name),
            ToKeeper::SetRules { request, rules } => {
                // Before they stand: a keeper after this one must not take labels
                // of an epoch that it doesn't know for its own later ones.
                self.descriptors.note_rules(&rules);
                let result = self.firewall.set(rules);
                if let (Err(_), Some(rules)) = (&result, self.firewall.wanted()) {
                    self.descriptors.note_rules(rules);
                }
                self.tell_worker(&ToWorker::RulesSet { request, result });
                self.tell_what_stands_behind();
            }
            ToKeeper::CheckRules => self.look_at_rules(),
            ToKeeper::Ready => self.worker_is_ready(),
            ToKeeper::Heartbeat => {
                if let Phase::Working(worker) = &mut self.phase {
                    worker.liveness.beat(Instant::now());
                }
            }
        }
    }

    pub(super) fn welcome(&mut self, version: u16) {
        let Phase::Working(worker) = &self.phase else { return };
        let sent = welcome::send(self, worker, version);
        let Phase::Working(worker) = &mut self.phase else { return };
        match sent {
            Ok(()) => worker.welcomed = true,
            Err(error) => {
                events::worker_not_told(worker.pid(), &error);
                worker.kill();
                return;
            }
        }
        // News of the time before, which no worker would hear otherwise.
        if let Some(times) = self.firewall.mended() {
            self.tell_worker(&ToWorker::RulesMended { times });
        }
        self.tell_what_stands_behind();
    }

    fn worker_is_ready(&mut self) {
        let Phase::Working(worker) = &mut self.phase else { return };
        if std::mem::replace(&mut worker.ready, true) {
            return;
        }
        events::worker_ready(worker.pid(), worker.started.elapsed());
        self.upgrade_goes_on();
        self.state_file.say(None);
        service_manager::ready("Packets are judged");
        if !std::mem::replace(&mut self.was_ready, true) {
            self.announce();
        }
    }

    pub(super) fn look_at_rules(&mut self) {
        match self.firewall.look() {
            Look::Intact => {}
            Look::Mended(times) => {
                self.tell_worker(&ToWorker::RulesMended { times });
                self.tell_worker(&ToWorker::RulesBroken { problem: None });
            }
            Look::Broken(problem) => {
                events::not_protected(&problem);
                self.tell_worker(&ToWorker::RulesBroken { problem: Some(problem) });
            }
        }
        self.tell_what_stands_behind();
    }

    /// Tells the worker whether there are rules behind ours, where that is news.
    fn tell_what_stands_behind(&mut self) {
        let nothing = self.firewall.nothing_behind();
        if let Phase::Working(worker) = &mut self.phase
            && worker.welcomed
            && std::mem::replace(&mut worker.nothing_behind, nothing) != nothing
        {
            self.tell_worker(&ToWorker::NothingBehind { nothing });
        }
    }

    fn tell_worker(&self, frame: &ToWorker) {
        if let Phase::Working(worker) = &self.phase
            && worker.welcomed
            && let Err(error) = worker.link.send_to_worker(frame, None)
        {
            events::worker_not_told(worker.pid(), &error);
        }
    }
}
