//! What the user says to a prompt, and what becomes of it then.

use std::time::{Duration, SystemTime};

use seawall_messages::prompt::{
    AnswerPrompt, Choice, Covers, Given, Lasting, PromptId, Refusal, Taken, Uses, covered,
};

use super::{Book, MOST_ANSWERS, ONCE, Record};

/// Longest time that an answer counts for: whoever wants more wants a rule.
pub(crate) const MOST_SECONDS: u64 = 366 * 24 * 60 * 60;

impl Book {
    /// The prompt, if there is one, and what the answer covers; or why it can't be given like that.
    pub(crate) fn asked(&self, answer: &AnswerPrompt) -> Result<(&Record, Covers), Refusal> {
        let entry = self.prompts.get(&answer.id).ok_or(Refusal::Unknown(answer.id))?;
        let Record { whole_app, targets, .. } = &entry.record;
        let covers = covered(answer.extent, *whole_app, targets).map_err(Refusal::Invalid)?;
        Ok((&entry.record, covers))
    }

    /// Takes an answer that counts for a time.
    pub(crate) fn take(
        &mut self,
        answer: &AnswerPrompt,
        now: SystemTime,
    ) -> Result<Taken, Refusal> {
        let (record, covers) = self.asked(answer)?;
        let invalid = |why: &str| Refusal::Invalid(why.to_owned());
        let until = match answer.lasting {
            Lasting::Once => Some(now + ONCE),
            Lasting::Seconds(seconds @ 1..=MOST_SECONDS) => {
                Some(now + Duration::from_secs(seconds))
            }
            Lasting::Seconds(_) => return Err(invalid("a time of 1 second to 366 days is meant")),
            Lasting::UntilAppEnds if record.asker.process.is_none() => {
                return Err(invalid("nobody knows which process it is, so nobody sees it end"));
            }
            Lasting::UntilAppEnds => None,
            Lasting::Always => return Err(invalid("what is for good is a rule")),
        };
        let (asker, direction) = (record.asker.clone(), record.direction);
        let waiting = self.waiting(answer.id, now);
        let uses = match (answer.lasting, waiting.is_empty()) {
            (Lasting::Once, true) => Uses::Next,
            (Lasting::Once, false) => Uses::These(waiting),
            _ => Uses::Every,
        };
        let id = answer.id;
        let choice = answer.choice;
        let given = Given { id, choice, asker, direction, covers, uses, given: now, until };
        let waited = self.conclude(&given, now);
        self.give(given);
        Ok(Taken { waited, rule: None })
    }

    /// An answer became a rule: its prompt and all that it covers are over.
    pub(crate) fn became_rule(&mut self, answer: &AnswerPrompt, now: SystemTime) -> usize {
        let Ok((record, covers)) = self.asked(answer) else { return 0 };
        let given = Given {
            id: answer.id,
            choice: answer.choice,
            asker: record.asker.clone(),
            direction: record.direction,
            covers,
            uses: Uses::Every,
            given: now,
            until: Some(now),
        };
        self.conclude(&given, now)
    }

    /// The prompt goes, and what waits for it is denied; or the answer to it goes.
    pub(crate) fn dismiss(&mut self, id: PromptId, now: SystemTime) -> Result<(), Refusal> {
        let Some(entry) = self.prompts.get(&id) else {
            let is_there = self.answers.iter().any(|given| given.id == id);
            self.forget_answers(&[id]);
            return is_there.then_some(()).ok_or(Refusal::Unknown(id));
        };
        let (asker, direction) = (entry.record.asker.clone(), entry.record.direction);
        let waiting = self.waiting(id, now);
        self.prompts.remove(&id);
        self.unstored.prompts.insert(id);
        if !waiting.is_empty() {
            let (choice, covers, uses) = (Choice::Block, Covers::App, Uses::These(waiting));
            let until = Some(now + ONCE);
            self.give(Given { id, choice, asker, direction, covers, uses, given: now, until });
        }
        Ok(())
    }

    fn waiting(&self, id: PromptId, now: SystemTime) -> Vec<seawall_messages::Flow> {
        let waiting = self.prompts.get(&id).map(|entry| &entry.waiting);
        let still = waiting.into_iter().flatten().filter(|(_, until)| *until > now);
        still.map(|(flow, _)| *flow).collect()
    }

    /// Ends the prompt of an answer, and those that it covers. Returns how many connections waited for it.
    fn conclude(&mut self, given: &Given, now: SystemTime) -> usize {
        let is_over = |id: PromptId, record: &Record| {
            let is_same = record.asker.app.id == given.asker.app.id
                && record.direction == given.direction
                && given.is_for(&record.asker);
            // Of more targets than are remembered, all may be of that name, not of that address.
            let is_covered = match &given.covers {
                Covers::App => true,
                _ if record.whole_app => false,
                Covers::Address(_) | Covers::AddressPort(..) if record.more_targets > 0 => false,
                covers => record.targets.iter().all(|target| covers.covers(target)),
            };
            id == given.id || (given.uses == Uses::Every && is_same && is_covered)
        };
        let over = self.prompts.iter().filter(|(id, entry)| is_over(**id, &entry.record));
        let over: Vec<PromptId> = over.map(|(id, _)| *id).collect();
        let waited = over.iter().map(|id| self.waiting(*id, now).len()).sum();
        self.prompts.retain(|id, _| !over.contains(id));
        self.unstored.prompts.extend(over);
        waited
    }

    /// Keeps an answer, in place of an older one about the same.
    fn give(&mut self, given: Given) {
        let is_replaced = |old: &Given| {
            old.uses == Uses::Every
                && given.uses == Uses::Every
                && old.covers == given.covers
                && old.direction == given.direction
                && old.is_for(&given.asker)
                && given.is_for(&old.asker)
        };
        let replaced: Vec<_> =
            self.answers.iter().filter(|old| is_replaced(old)).map(|old| old.id).collect();
        self.forget_answers(&replaced);
        if self.answers.len() >= MOST_ANSWERS
            && let Some(oldest) = self.answers.first().map(|given| given.id)
        {
            self.forget_answers(&[oldest]);
        }
        self.unstored.answers.insert(given.id);
        self.answers.push(given);
    }
}
