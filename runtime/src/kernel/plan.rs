//! Who is restarted when: the supervision tree as a state machine.
//!
//! Pure: it is told what happened and when, and says what to do next.
//! Components that are restarted together form a batch: its members stop in
//! reverse order of declaration, then start in order, each after the one
//! before it runs. A failing start counts like a crash.

mod history;
#[cfg(test)]
mod tests;

use std::time::Instant;

use self::history::History;
pub(super) use self::history::Jitter;
use crate::spec::{Backoff, Intensity, Strategy};

/// Where a component is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Down,
    Starting,
    Running,
    Stopping,
}

/// What the supervisor is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Start(usize),
    Stop(usize),
}

/// The tree can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GiveUp {
    /// The component that failed last.
    pub(super) index: usize,
    /// The group that failed too often.
    pub(super) group: &'static str,
}

/// A group as declared. The first one is the root; parents come before children.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) parent: Option<usize>,
    pub(super) strategy: Strategy,
    pub(super) intensity: Intensity,
}

/// A component as declared.
pub(super) struct Child {
    pub(super) group: usize,
    pub(super) intensity: Intensity,
    pub(super) backoff: Backoff,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// First start: a component that fails too often ends it.
    Booting,
    Serving,
    Ending,
}

/// See the module.
pub(super) struct Plan {
    groups: Vec<(Group, History)>,
    nodes: Vec<Node>,
    jitter: Jitter,
    batches: u64,
    mode: Mode,
}

struct Node {
    child: Child,
    history: History,
    phase: Phase,
    must_stop: bool,
    batch: Option<u64>,
    not_before: Instant,
    running_since: Option<Instant>,
    failures_in_a_row: u32,
}

impl Plan {
    /// Everything is down and to be started in order.
    pub(super) fn new(
        groups: Vec<Group>,
        children: Vec<Child>,
        jitter: Jitter,
        now: Instant,
    ) -> Self {
        let nodes = children.into_iter().map(|child| Node {
            child,
            history: History::default(),
            phase: Phase::Down,
            must_stop: false,
            batch: Some(0),
            not_before: now,
            running_since: None,
            failures_in_a_row: 0,
        });
        Self {
            groups: groups.into_iter().map(|group| (group, History::default())).collect(),
            nodes: nodes.collect(),
            jitter,
            batches: 0,
            mode: Mode::Booting,
        }
    }

    pub(super) fn phase(&self, index: usize) -> Phase {
        self.nodes[index].phase
    }

    /// Whether every component runs.
    pub(super) fn all_run(&self) -> bool {
        self.nodes.iter().all(|node| node.phase == Phase::Running)
    }

    /// Whether every component is down.
    pub(super) fn all_down(&self) -> bool {
        self.nodes.iter().all(|node| node.phase == Phase::Down)
    }

    /// The first start is over.
    pub(super) fn booted(&mut self) {
        self.mode = Mode::Serving;
    }

    /// A component has come up.
    pub(super) fn running(&mut self, index: usize, now: Instant) {
        let node = &mut self.nodes[index];
        if node.phase == Phase::Starting {
            node.phase = Phase::Running;
            node.running_since = Some(now);
            if !node.must_stop {
                node.batch = None;
            }
        }
    }

    /// An incarnation has ended, or was given up: by itself, or because it was to stop.
    pub(super) fn ended(&mut self, index: usize, now: Instant) -> Result<(), GiveUp> {
        let node = &mut self.nodes[index];
        let wanted = node.phase == Phase::Stopping || node.must_stop;
        node.phase = Phase::Down;
        node.must_stop = false;
        if wanted || self.mode == Mode::Ending {
            return Ok(());
        }
        self.failed(index, now)
    }

    /// From now on everything is to stop, in reverse order, for good.
    pub(super) fn end(&mut self) {
        self.mode = Mode::Ending;
        self.recycle((0..self.nodes.len()).collect());
    }

    /// What to do now. Each step is handed out once.
    pub(super) fn steps(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        for index in (0..self.nodes.len()).rev() {
            if self.may_stop(index) {
                self.nodes[index].phase = Phase::Stopping;
                self.nodes[index].must_stop = false;
                steps.push(Step::Stop(index));
            }
        }
        for index in 0..self.nodes.len() {
            if self.may_start(index, now) {
                self.nodes[index].phase = Phase::Starting;
                steps.push(Step::Start(index));
            }
        }
        steps
    }

    /// When a restart that waits is due.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.mode == Mode::Ending {
            return None;
        }
        let waiting = self.nodes.iter().filter(|node| node.phase == Phase::Down);
        waiting.map(|node| node.not_before).filter(|due| *due > now).min()
    }

    fn failed(&mut self, index: usize, now: Instant) -> Result<(), GiveUp> {
        let node = &mut self.nodes[index];
        let Child { group, intensity, backoff } = node.child;
        let lived = node.running_since.take().map(|since| now.saturating_duration_since(since));
        if lived.is_some_and(|lived| lived >= backoff.healthy_after) {
            node.failures_in_a_row = 0;
        }
        node.failures_in_a_row = node.failures_in_a_row.saturating_add(1);
        node.not_before = now + self.jitter.delay(&backoff, node.failures_in_a_row);
        let exceeded = node.history.record(now, &intensity);
        if exceeded && self.mode == Mode::Booting {
            return Err(GiveUp { index, group: self.groups[group].0.name });
        }
        let recycled = self.escalate(index, exceeded, now)?;
        self.recycle(recycled);
        Ok(())
    }

    /// Finds the group that deals with a failure, and whom it restarts.
    fn escalate(
        &mut self,
        index: usize,
        mut exceeded: bool,
        now: Instant,
    ) -> Result<Vec<usize>, GiveUp> {
        let mut group = self.nodes[index].child.group;
        let mut failing = vec![index];
        loop {
            let (declared, history) = &mut self.groups[group];
            exceeded |= history.record(now, &declared.intensity);
            if !exceeded {
                return Ok(self.whom_to_restart(group, failing));
            }
            let Some(parent) = declared.parent else {
                return Err(GiveUp { index, group: declared.name });
            };
            failing = self.members(group);
            self.forget(group);
            group = parent;
            exceeded = false;
        }
    }

    fn whom_to_restart(&self, group: usize, failing: Vec<usize>) -> Vec<usize> {
        match self.groups[group].0.strategy {
            Strategy::OneForOne => failing,
            Strategy::OneForAll => self.members(group),
            Strategy::RestForOne => {
                let first = failing.first().copied().unwrap_or_default();
                let later = self.members(group).into_iter().filter(|member| *member > first);
                let mut all: Vec<usize> = failing.iter().copied().chain(later).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        }
    }

    /// The components of a group and of the groups below it, in order.
    fn members(&self, group: usize) -> Vec<usize> {
        let below = |node: &Node| self.is_within(node.child.group, group);
        (0..self.nodes.len()).filter(|index| below(&self.nodes[*index])).collect()
    }

    fn is_within(&self, inner: usize, outer: usize) -> bool {
        let mut at = Some(inner);
        while let Some(group) = at {
            if group == outer {
                return true;
            }
            at = self.groups[group].0.parent;
        }
        false
    }

    /// A group that is restarted whole begins with a clean record.
    fn forget(&mut self, group: usize) {
        for inner in 0..self.groups.len() {
            if self.is_within(inner, group) {
                self.groups[inner].1 = History::default();
            }
        }
        for index in self.members(group) {
            self.nodes[index].history = History::default();
        }
    }

    fn recycle(&mut self, members: Vec<usize>) {
        self.batches += 1;
        let alone = members.len() == 1;
        for index in members {
            let node = &mut self.nodes[index];
            node.must_stop = matches!(node.phase, Phase::Starting | Phase::Running);
            // One that fails alone while its batch starts keeps its place there.
            if !(alone && node.batch.is_some()) {
                node.batch = Some(self.batches);
            }
        }
    }

    fn may_stop(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.must_stop
            && !self.batch_of(index).any(|(other, node)| {
                other > index && (node.must_stop || node.phase == Phase::Stopping)
            })
    }

    fn may_start(&self, index: usize, now: Instant) -> bool {
        let node = &self.nodes[index];
        self.mode != Mode::Ending
            && node.phase == Phase::Down
            && node.not_before <= now
            && !self.batch_of(index).any(|(other, node)| {
                node.must_stop
                    || node.phase == Phase::Stopping
                    || (other < index && node.phase != Phase::Running)
            })
    }

    /// The others of a component's batch.
    fn batch_of(&self, index: usize) -> impl Iterator<Item = (usize, &Node)> {
        let batch = self.nodes[index].batch;
        let same = move |node: &Node| batch.is_some() && node.batch == batch;
        self.nodes.iter().enumerate().filter(move |(other, node)| *other != index && same(node))
    }
}
