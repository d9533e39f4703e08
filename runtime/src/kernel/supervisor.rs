//! The supervisor: a ractor actor, on a thread and runtime of its own, that
//! all incarnations are linked to. It never waits for one of them.

mod leaks;
mod seat;

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ractor::{ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use self::leaks::Leaks;
pub(super) use self::seat::Seat;
use super::events;
use super::health::{Activity, Pulse, Watch};
use super::plan::{GiveUp, Phase, Plan, Step};
use super::{OnFatal, TreeError};
use crate::body::{Life, Notice};
use crate::incarnation::Incarnation;
use crate::spec::Generation;
use crate::status::ComponentState;
use crate::sync::Arc;

/// What the supervisor is made from.
pub(super) struct Orders {
    pub(super) plan: Plan,
    pub(super) seats: Vec<Seat>,
    pub(super) on_fatal: OnFatal,
    pub(super) booted: SyncSender<Result<(), TreeError>>,
    /// When the clock of its runtime began.
    pub(super) origin: Instant,
}

/// The actor; what it knows is in [`Tree`].
pub(super) struct Supervisor;

/// See the module.
pub(super) struct Tree {
    myself: ActorRef<Notice>,
    plan: Plan,
    seats: Vec<Seat>,
    leaks: Leaks,
    pulse: Pulse,
    alarm: Option<(Instant, tokio::task::JoinHandle<()>)>,
    on_fatal: OnFatal,
    booted: Option<SyncSender<Result<(), TreeError>>>,
    ending: Option<Ending>,
}

/// An ordered stop that is under way.
struct Ending {
    deadline: Instant,
    abandoned: Vec<String>,
    outcome: Outcome,
}

enum Outcome {
    Stopped(SyncSender<Vec<String>>),
    NeverBooted(TreeError),
    GaveUp,
}

/// Most time for taking a tree down that did not come up.
const UNDO_BOOT: Duration = Duration::from_secs(10);

impl ractor::Actor for Supervisor {
    type Msg = Notice;
    type State = Tree;
    type Arguments = Orders;

    async fn pre_start(
        &self,
        myself: ActorRef<Notice>,
        orders: Orders,
    ) -> Result<Tree, ActorProcessingErr> {
        let Orders { plan, seats, on_fatal, booted, origin } = orders;
        Ok(Tree {
            myself,
            plan,
            seats,
            leaks: Leaks::default(),
            pulse: Pulse::new(origin),
            alarm: None,
            on_fatal,
            booted: Some(booted),
            ending: None,
        })
    }

    async fn post_start(
        &self,
        _: ActorRef<Notice>,
        tree: &mut Tree,
    ) -> Result<(), ActorProcessingErr> {
        tree.advance(Instant::now());
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Notice>,
        notice: Notice,
        tree: &mut Tree,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        match notice {
            Notice::Started { index, generation } => tree.started(index, generation, now),
            Notice::Ended { index, generation } => tree.ended(index, generation, now),
            Notice::Tick => tree.look_after_all(now),
            Notice::Stop { at_most, done } => tree.end(Outcome::Stopped(done), now + at_most),
        }
        tree.advance(now);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Notice>,
        event: SupervisionEvent,
        tree: &mut Tree,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        match event {
            SupervisionEvent::ActorStarted(actor) => {
                if let Some((index, incarnation)) = tree.find(&actor) {
                    tree.started(index, incarnation.generation, now);
                }
            }
            SupervisionEvent::ActorFailed(actor, error) => {
                tree.actor_over(&actor, Some(error));
            }
            SupervisionEvent::ActorTerminated(actor, _, _) => tree.actor_over(&actor, None),
            SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        tree.advance(now);
        Ok(())
    }
}

impl Tree {
    /// Does what is to be done now and sets the alarm for what comes next.
    fn advance(&mut self, now: Instant) {
        loop {
            let steps = self.plan.steps(now);
            if steps.is_empty() {
                break;
            }
            for step in steps {
                match step {
                    Step::Start(index) => self.start(index, now),
                    Step::Stop(index) => self.stop(index),
                }
            }
        }
        if self.plan.all_run()
            && let Some(booted) = self.booted.take()
        {
            self.plan.booted();
            // Fails where the starter has died.
            let _ = booted.send(Ok(()));
        }
        if self.plan.all_down() && self.ending.is_some() {
            self.finish();
        } else {
            self.set_alarm(now);
        }
    }

    fn start(&mut self, index: usize, now: Instant) {
        let seat = &mut self.seats[index];
        let incarnation = Incarnation::begin(seat.member.vitals().clone());
        seat.current = Some(incarnation.clone());
        seat.watch = Watch::new();
        events::starting(&incarnation);
        let supervisor = self.myself.clone();
        let life = Life { incarnation: incarnation.clone(), index, supervisor };
        if let Err(error) = seat.body.launch(life) {
            // The life that was not lived says that it ended.
            incarnation.note_failure(|| format!("can't start a thread: {error}"));
            self.ended(index, incarnation.generation, now);
        }
    }

    fn stop(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        let Some(incarnation) = &seat.current else { return };
        seat.member.vitals().set_state(ComponentState::Stopping);
        if self.ending.is_some() {
            seat.member.vitals().set_final();
        }
        incarnation.set_stopping();
        seat.body.nudge(incarnation);
    }

    fn started(&mut self, index: usize, generation: Generation, now: Instant) {
        let Some(incarnation) = self.current(index, generation) else { return };
        let seat = &self.seats[index];
        self.plan.running(index, now);
        if self.plan.phase(index) == Phase::Running {
            seat.member.vitals().set_state(ComponentState::Running);
        } else {
            // Told to stop while it started: it may not have heard.
            seat.body.nudge(&incarnation);
        }
    }

    /// An actor works no more. Its thread says later that it has ended.
    fn actor_over(&mut self, actor: &ActorCell, error: Option<ActorProcessingErr>) {
        let Some((index, incarnation)) = self.find(actor) else { return };
        if let Some(error) = error {
            incarnation.note_error(error.to_string());
        }
        incarnation.set_over();
        self.seats[index].member.revoke(&incarnation);
    }

    /// The thread of an incarnation has ended.
    fn ended(&mut self, index: usize, generation: Generation, now: Instant) {
        let Some(incarnation) = self.current(index, generation) else { return };
        self.seats[index].current = None;
        self.seats[index].member.revoke(&incarnation);
        let reason = incarnation.failure();
        let reason = match self.plan.phase(index) {
            Phase::Stopping => reason,
            _ => Some(reason.unwrap_or_else(|| "ended without being told to".to_owned())),
        };
        self.account_for_end(index, &incarnation, reason, now);
    }

    /// Gives up an incarnation that is hung.
    fn abandon(&mut self, index: usize, activity: Activity, now: Instant) {
        let Some(incarnation) = self.seats[index].current.take() else { return };
        let seat = &self.seats[index];
        let limit = activity.limit(&seat.member.vitals().spec.deadlines).unwrap_or_default();
        // Before it is killed, which is not the cause.
        incarnation.note_failure(|| activity.describe(limit));
        seat.member.revoke(&incarnation);
        incarnation.set_stopping();
        if let Some(actor) = incarnation.actor.get() {
            actor.kill();
        }
        seat.body.nudge(&incarnation);
        if let Some(ending) = &mut self.ending {
            ending.abandoned.push(seat.name().to_owned());
        }
        events::hung(&incarnation);
        let reason = incarnation.failure();
        self.leaks.add(incarnation.clone());
        self.account_for_end(index, &incarnation, reason, now);
    }

    /// Enters the end of an incarnation into the plan; with a reason where that was a failure.
    fn account_for_end(
        &mut self,
        index: usize,
        incarnation: &Incarnation,
        reason: Option<String>,
        now: Instant,
    ) {
        let vitals = incarnation.vitals.clone();
        if let Some(reason) = &reason {
            vitals.set_last_failure(reason.clone());
            events::failed(incarnation, reason);
        }
        let outcome = self.plan.ended(index, now);
        if self.ending.is_some() {
            vitals.set_final();
            vitals.set_state(ComponentState::Stopped);
            self.seats[index].member.close();
        } else {
            vitals.set_state(ComponentState::BackingOff);
        }
        if let Err(GiveUp { index, group }) = outcome {
            let name = self.seats[index].name();
            let reason = reason.unwrap_or_default();
            self.give_up(name, format!("group {group} fails: {name}: {reason}"), reason, now);
        }
    }

    /// The tree can't go on as a whole.
    fn give_up(&mut self, name: &str, why: String, reason: String, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        if self.booted.is_some() {
            let error = TreeError::Start { name: name.to_owned(), reason };
            self.end(Outcome::NeverBooted(error), now + UNDO_BOOT);
        } else {
            self.on_fatal.call(why);
            self.end(Outcome::GaveUp, now + UNDO_BOOT);
        }
    }

    fn end(&mut self, outcome: Outcome, deadline: Instant) {
        let abandoned = self.ending.take().map(|ending| ending.abandoned).unwrap_or_default();
        self.ending = Some(Ending { deadline, abandoned, outcome });
        self.plan.end();
        for seat in self.seats.iter().filter(|seat| seat.current.is_none()) {
            seat.member.vitals().set_final();
            seat.member.vitals().set_state(ComponentState::Stopped);
            seat.member.close();
        }
    }

    fn finish(&mut self) {
        let Some(Ending { abandoned, outcome, .. }) = self.ending.take() else { return };
        if let Some((_, alarm)) = self.alarm.take() {
            alarm.abort();
        }
        match outcome {
            // Fails where whoever wanted to know has gone.
            Outcome::Stopped(done) => drop(done.send(abandoned)),
            Outcome::NeverBooted(error) => {
                if let Some(booted) = self.booted.take() {
                    let _ = booted.send(Err(error));
                }
            }
            Outcome::GaveUp => {}
        }
        self.on_fatal.disarm();
        self.myself.stop(None);
    }

    /// The health check.
    fn look_after_all(&mut self, now: Instant) {
        self.alarm = None;
        let credit = self.pulse.credit(now);
        let too_late = self.ending.as_ref().is_some_and(|ending| now >= ending.deadline);
        let mut pause = self.leaks.pause();
        for index in 0..self.seats.len() {
            let activity = self.seats[index].activity(self.plan.phase(index));
            let seat = &mut self.seats[index];
            let deadlines = seat.member.vitals().spec.deadlines;
            let hung = seat.watch.look(activity, activity.age(), credit, &deadlines);
            if hung || (too_late && seat.current.is_some()) {
                let activity = if hung { activity } else { Activity::Ending };
                self.abandon(index, activity, now);
            }
            pause = pause.min(activity.pause(&deadlines));
        }
        self.pulse.plan(pause);
        if let Some(names) = self.leaks.too_many(credit.still) {
            let why = format!("threads leaked: {}", names.join(", "));
            let name = names.first().copied().unwrap_or_default();
            self.give_up(name, why.clone(), why, now);
        }
    }

    fn set_alarm(&mut self, now: Instant) {
        let starting = (0..self.seats.len())
            .any(|index| matches!(self.plan.phase(index), Phase::Starting | Phase::Stopping));
        if starting {
            self.pulse.hurry(now);
        }
        let due = self.plan.next_due(now).map_or(self.pulse.due(), |due| due.min(self.pulse.due()));
        if let Some((set_for, alarm)) = &self.alarm {
            if *set_for <= due {
                return;
            }
            alarm.abort();
        }
        let myself = self.myself.clone();
        let alarm = tokio::spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            // Fails where the supervisor has stopped.
            let _ = myself.cast(Notice::Tick);
        });
        self.alarm = Some((due, alarm));
    }

    fn current(&self, index: usize, generation: Generation) -> Option<Arc<Incarnation>> {
        let current = self.seats.get(index)?.current.as_ref()?;
        (current.generation == generation).then(|| current.clone())
    }

    fn find(&self, actor: &ActorCell) -> Option<(usize, Arc<Incarnation>)> {
        let is_it = |it: &&Arc<Incarnation>| {
            it.actor.get().is_some_and(|known| known.get_id() == actor.get_id())
        };
        let mut seats = self.seats.iter().enumerate();
        seats.find_map(|(index, seat)| Some((index, seat.current.as_ref().filter(is_it)?.clone())))
    }
}
