//! The prompts and the answers: which connections share a prompt, when it is missed, what an answer covers.
//!
//! Pure: questions, answers and time go in. What has to be stored is noted as it changes.
//!
//! - A prompt is about an app and a direction, a name (or an address, where no name is known)
//!   and a port. When an app has more than [`FEW`] of them, they become one about the whole app.
//! - A connection waits for [`Snapshot::ask_timeout`](seawall_messages::Snapshot); when none waits any more,
//!   the prompt is missed. It can still be answered, and the next such connection opens it again.
//! - An answer ends its prompt, and all others of the app that it covers.

mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use seawall_messages::Direction;
use seawall_messages::flow::Flow;
use seawall_messages::prompt::{
    Answers, Asker, Given, Outcome, Prompt, PromptId, PromptState, Question, Target, Uses,
};

/// Most prompts of an app and a direction, before they become one.
pub(crate) const FEW: usize = 4;
/// Most prompts in all: one for each of five hundred apps. What was missed longest ago goes first.
pub(crate) const MOST_PROMPTS: usize = 512;
/// Most connections that wait for one prompt. The datapath has room for a thousand.
pub(crate) const MOST_WAITING: usize = 32;
/// Most targets that are remembered of a prompt about a whole app.
pub(crate) const MOST_TARGETS: usize = 64;
/// Targets that are told.
const TARGETS_TOLD: usize = 8;
/// Most answers that count for a time. The oldest goes first.
pub(crate) const MOST_ANSWERS: usize = 1_024;
/// How long an answer that is meant once stays good for a connection that comes again.
pub(crate) const ONCE: Duration = Duration::from_secs(60);
/// How often it is looked whether processes still run that answers last as long as.
const LOOK_AT_PROCESSES: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    prompts: BTreeMap<PromptId, Entry>,
    /// Oldest first.
    answers: Vec<Given>,
    next_id: u64,
    unstored: Unstored,
}

/// What is in the store, to begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The id of the next prompt.
    pub next_id: u64,
    /// Prompts.
    pub prompts: Vec<(PromptId, Record)>,
    /// Answers, in any order.
    pub answers: Vec<Given>,
}

/// A prompt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose connections.
    pub asker: Asker,
    /// Who opened them.
    pub direction: Direction,
    /// Whether it is about the whole app.
    pub whole_app: bool,
    /// Where they lead.
    pub targets: Vec<Target>,
    /// Connections to others than those.
    pub more_targets: u32,
    /// When it was opened.
    pub opened: SystemTime,
    /// How it stands.
    pub state: PromptState,
}

/// What changed since it was stored: what is not there any more is to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The id of the next prompt.
    pub next_id: u64,
    /// Prompts; `None`: gone.
    pub prompts: Vec<(PromptId, Option<Record>)>,
    /// Answers by their prompts; `None`: gone.
    pub answers: Vec<(PromptId, Option<Given>)>,
}

#[derive(Clone, Debug)]
struct Entry {
    record: Record,
    /// Connections that wait, and until when.
    waiting: Vec<(Flow, SystemTime)>,
}

#[derive(Clone, Debug, Default)]
struct Unstored {
    prompts: BTreeSet<PromptId>,
    answers: BTreeSet<PromptId>,
}

impl Changes {
    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.prompts.is_empty() && self.answers.is_empty()
    }
}

impl Record {
    fn is_about(&self, target: &Target) -> bool {
        self.whole_app || self.targets.iter().any(|own| own.shares_prompt(target))
    }

    /// Notes one more target: of a whole app, or another address of a name.
    fn add(&mut self, target: Target) {
        let is_it = |own: &Target| own.shares_prompt(&target) && own.address == target.address;
        if self.targets.iter().any(is_it) {
        } else if self.targets.len() < MOST_TARGETS {
            self.targets.push(target);
        } else {
            self.more_targets = self.more_targets.saturating_add(1);
        }
    }
}

impl Entry {
    fn is_of(&self, asker: &Asker, direction: Direction) -> bool {
        self.record.asker.app.id == asker.app.id && self.record.direction == direction
    }

    fn is_missed(&self) -> bool {
        matches!(self.record.state, PromptState::Missed { .. })
    }

    /// When it is missed, or was.
    fn time(&self) -> SystemTime {
        match self.record.state {
            PromptState::Waits { until: time } | PromptState::Missed { since: time } => time,
        }
    }
}

impl Book {
    /// What was kept.
    pub(crate) fn open(kept: Kept) -> Self {
        let Kept { next_id, prompts, mut answers } = kept;
        answers.sort_by_key(|given| given.given);
        let entry = |(id, record)| (id, Entry { record, waiting: Vec::new() });
        let prompts: BTreeMap<_, _> = prompts.into_iter().map(entry).collect();
        let after_last = prompts.keys().next_back().map_or(0, |id| id.0 + 1);
        let next_id = next_id.max(after_last).max(1);
        Self { prompts, answers, next_id, unstored: Unstored::default() }
    }

    /// A connection that the policy has the user asked about.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
        timeout: Duration,
        now: SystemTime,
        version: u64,
    ) -> Outcome {
        if let Some(given) = self.answer_to(question, now) {
            return Outcome::Answered(given.choice);
        }
        let until = now + timeout;
        let Some(id) = self.prompt_for(question, now, until) else { return Outcome::Full };
        match self.wait(id, &question.flow, now, until) {
            true => Outcome::Waits { answers: version, at_most: timeout },
            false => Outcome::Full,
        }
    }

    /// The policy asks nothing any more: it has decided what waited.
    pub(crate) fn forget_prompts(&mut self) {
        let all = std::mem::take(&mut self.prompts);
        self.unstored.prompts.extend(all.into_keys());
    }

    /// Time passed: what is missed now, and which answers are over. Returns how many prompts were missed.
    pub(crate) fn pass(
        &mut self,
        now: SystemTime,
        timeout: Duration,
        runs: impl Fn(&Given) -> bool,
    ) -> usize {
        let mut missed = 0;
        for (id, entry) in &mut self.prompts {
            let PromptState::Waits { until } = entry.record.state else { continue };
            if until <= now {
                entry.record.state = PromptState::Missed { since: now };
                entry.waiting.clear();
                missed += 1;
                self.unstored.prompts.insert(*id);
            } else if until > now + timeout {
                // The clock was set back, or the policy changed.
                entry.record.state = PromptState::Waits { until: now + timeout };
                self.unstored.prompts.insert(*id);
            }
        }
        let is_over =
            |given: &Given| !given.counts_at(now) || (given.until.is_none() && !runs(given));
        let over: Vec<_> =
            self.answers.iter().filter(|it| is_over(it)).map(|given| given.id).collect();
        self.forget_answers(&over);
        missed
    }

    /// When to look again.
    pub(crate) fn next_look(&self, now: SystemTime) -> Option<Duration> {
        let waits = self.prompts.values().filter(|entry| !entry.is_missed()).map(Entry::time);
        let counts =
            self.answers.iter().map(|given| given.until.unwrap_or(now + LOOK_AT_PROCESSES));
        let next = waits.chain(counts).min()?;
        Some(next.duration_since(now).unwrap_or_default())
    }

    /// All prompts, those that wait first, and all answers.
    pub(crate) fn list(&self) -> seawall_messages::prompt::Prompts {
        let told = |(id, entry): (&PromptId, &Entry)| {
            let Record { asker, direction, whole_app, targets, more_targets, opened, state } =
                entry.record.clone();
            let not_told = u32::try_from(targets.len().saturating_sub(TARGETS_TOLD));
            let prompt = Prompt {
                id: *id,
                asker,
                direction,
                whole_app,
                targets: targets.into_iter().take(TARGETS_TOLD).collect(),
                more_targets: more_targets.saturating_add(not_told.unwrap_or(u32::MAX)),
                state,
                waiting: entry.waiting.len(),
                opened,
            };
            (entry.is_missed(), prompt)
        };
        let mut prompts: Vec<_> = self.prompts.iter().map(told).collect();
        prompts.sort_by_key(|(is_missed, prompt)| (*is_missed, prompt.id));
        let prompts = prompts.into_iter().map(|(_, prompt)| prompt).collect();
        seawall_messages::prompt::Prompts { prompts, answers: self.answers.clone() }
    }

    /// How many wait, and how many were missed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let missed = self.prompts.values().filter(|entry| entry.is_missed()).count();
        (self.prompts.len() - missed, missed)
    }

    /// The answers, as `verdict` reads them.
    pub(crate) fn answers(&self, version: u64) -> Answers {
        Answers { version, given: self.answers.clone() }
    }

    /// Whether the published answers are out of date.
    pub(crate) fn answers_changed(&self) -> bool {
        !self.unstored.answers.is_empty()
    }

    /// What has to be stored.
    pub(crate) fn changes(&self) -> Changes {
        let prompt = |id: &PromptId| (*id, self.prompts.get(id).map(|entry| entry.record.clone()));
        let answer =
            |id: &PromptId| (*id, self.answers.iter().find(|given| given.id == *id).cloned());
        Changes {
            next_id: self.next_id,
            prompts: self.unstored.prompts.iter().map(prompt).collect(),
            answers: self.unstored.answers.iter().map(answer).collect(),
        }
    }

    /// It is stored.
    pub(crate) fn stored(&mut self) {
        self.unstored = Unstored::default();
    }

    /// What was answered already. An answer for the next connection is used up.
    fn answer_to(&mut self, question: &Question, now: SystemTime) -> Option<Given> {
        let flow = &question.flow;
        let is_meant = |given: &&mut Given| {
            let these = match &given.uses {
                Uses::Every | Uses::Next => true,
                Uses::These(flows) => flows.contains(flow),
            };
            these && given.speaks_for(question, now)
        };
        let given = self.answers.iter_mut().rev().find(is_meant)?;
        if given.uses == Uses::Next {
            given.uses = Uses::These(vec![*flow]);
            given.until = Some(now + ONCE);
            self.unstored.answers.insert(given.id);
        }
        Some(given.clone())
    }

    /// The prompt that the connection is about: one that is there, or a new one. `None`: there is no room.
    fn prompt_for(
        &mut self,
        question: &Question,
        now: SystemTime,
        until: SystemTime,
    ) -> Option<PromptId> {
        let Question { asker, flow, .. } = question;
        let target = question.target();
        let is_of_app = |(_, entry): &(&PromptId, &Entry)| entry.is_of(asker, flow.direction);
        let of_app = || self.prompts.iter().filter(is_of_app);
        let there = of_app().find(|(_, entry)| entry.record.is_about(&target));
        if let Some((id, _)) = there {
            let id = *id;
            self.add_target(id, target);
            return Some(id);
        }
        let of_app: Vec<PromptId> = of_app().map(|(id, _)| *id).collect();
        if of_app.len() >= FEW {
            let id = self.collapse(&of_app)?;
            self.add_target(id, target);
            return Some(id);
        }
        self.make_room()?;
        let record = Record {
            asker: asker.clone(),
            direction: flow.direction,
            whole_app: false,
            targets: vec![target],
            more_targets: 0,
            opened: now,
            state: PromptState::Waits { until },
        };
        let id = PromptId(self.next_id);
        self.next_id += 1;
        self.prompts.insert(id, Entry { record, waiting: Vec::new() });
        self.unstored.prompts.insert(id);
        Some(id)
    }

    fn add_target(&mut self, id: PromptId, target: Target) {
        let Some(entry) = self.prompts.get_mut(&id) else { return };
        let before = entry.record.targets.len();
        entry.record.add(target);
        if entry.record.targets.len() != before {
            self.unstored.prompts.insert(id);
        }
    }

    /// Makes one prompt about the whole app out of several, in the place of the oldest.
    fn collapse(&mut self, ids: &[PromptId]) -> Option<PromptId> {
        let (first, rest) = ids.split_first()?;
        let others: Vec<Entry> = rest.iter().filter_map(|id| self.prompts.remove(id)).collect();
        self.unstored.prompts.extend(ids);
        let whole = self.prompts.get_mut(first)?;
        whole.record.whole_app = true;
        for other in others {
            for target in other.record.targets {
                whole.record.add(target);
            }
            whole.waiting.extend(other.waiting);
            if let (PromptState::Waits { until }, true) = (other.record.state, whole.is_missed()) {
                whole.record.state = PromptState::Waits { until };
            }
        }
        Some(*first)
    }

    /// `None`: all that could go waits.
    fn make_room(&mut self) -> Option<()> {
        if self.prompts.len() < MOST_PROMPTS {
            return Some(());
        }
        let missed = self.prompts.iter().filter(|(_, entry)| entry.is_missed());
        let (oldest, _) = missed.min_by_key(|(_, entry)| entry.time())?;
        let oldest = *oldest;
        self.prompts.remove(&oldest);
        self.unstored.prompts.insert(oldest);
        Some(())
    }

    /// The connection waits. `false`: as many do as may.
    fn wait(&mut self, id: PromptId, flow: &Flow, now: SystemTime, until: SystemTime) -> bool {
        let Some(entry) = self.prompts.get_mut(&id) else { return false };
        entry.waiting.retain(|(_, until)| *until > now);
        let is_there = entry.waiting.iter().any(|(own, _)| own == flow);
        if !is_there && entry.waiting.len() >= MOST_WAITING {
            return false;
        }
        if !is_there {
            entry.waiting.push((*flow, until));
        }
        if entry.is_missed() || (!is_there && entry.time() < until) {
            entry.record.state = PromptState::Waits { until };
            self.unstored.prompts.insert(id);
        }
        true
    }

    fn forget_answers(&mut self, ids: &[PromptId]) {
        self.answers.retain(|given| !ids.contains(&given.id));
        self.unstored.answers.extend(ids);
    }
}
