//! What waits for the user, what was missed and what was answered: rows, the selection, and the keys that
//! answer. Pure.
//!
//! A key answers what the user has looked at: where the selection moved on by itself, because what was
//! selected is gone or something came up, keys that answer are left out for a moment.

use std::time::{Duration, SystemTime};

use seawall_messages::prompt::{
    AnswerPrompt, Covers, Extent, Given, Prompt, PromptId, PromptState, Prompts,
};

use super::input::Change;
use super::position::Position;
use crate::verbs::prompts::{self, words};

/// How long what comes up by itself is looked at before a key can mean it.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// It waits, or was missed.
    Prompt(Prompt),
    /// It counts for a time.
    Answer(Given),
}

/// What a key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// This is to be done.
    Change(Change),
    /// Nothing, and why.
    Refused(String),
    /// It means nothing here.
    Nothing,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct PromptPage {
    /// What there is, as it was told last; `None`: nothing was yet.
    told: Option<Prompts>,
    /// What is shown of it.
    pub(crate) rows: Vec<Row>,
    /// Where the list stands.
    pub(crate) position: Position,
    /// What an answer to the selected prompt is about; `None`: what its key says.
    pub(crate) extent: Option<Extent>,
    selected: Option<PromptId>,
    /// When the selection moved on by itself.
    moved_on: Option<SystemTime>,
    /// What is being answered.
    under_way: Option<PromptId>,
}

impl Row {
    /// Its id: an answer has that of its prompt, which is gone.
    pub(crate) fn id(&self) -> PromptId {
        match self {
            Self::Prompt(prompt) => prompt.id,
            Self::Answer(given) => given.id,
        }
    }

    /// How it stands, in a word or two.
    pub(crate) fn state(&self, now: SystemTime) -> String {
        match self {
            Self::Prompt(prompt) => words::state(prompt, now).1,
            Self::Answer(given) => words::until(given, now),
        }
    }

    /// Where it leads, and of an answer what was said.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Prompt(prompt) => words::what(prompt),
            Self::Answer(given) => words::covered(given),
        }
    }

    /// Whether the text, in small letters, is in the app, in where it leads, or in how it stands.
    fn passes(&self, filter: &str) -> bool {
        let (asker, state) = match self {
            Self::Prompt(prompt) => (
                &prompt.asker,
                match prompt.state {
                    PromptState::Waits { .. } => "waits",
                    PromptState::Missed { .. } => "missed",
                },
            ),
            Self::Answer(given) => (&given.asker, "answer"),
        };
        let has = |text: &str| text.to_lowercase().contains(filter);
        has(&asker.app.name)
            || has(&asker.app.id)
            || has(&asker.path)
            || has(state)
            || has(&self.what())
    }
}

impl PromptPage {
    /// Takes what was told.
    pub(crate) fn take(&mut self, told: Prompts) {
        self.told = Some(told);
    }

    /// Whether anything was told yet.
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// How many wait, were missed, and count: whatever the filter.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let Some(told) = &self.told else { return (0, 0, 0) };
        let waits = |prompt: &&Prompt| matches!(prompt.state, PromptState::Waits { .. });
        let waiting = told.prompts.iter().filter(waits).count();
        (waiting, told.prompts.len() - waiting, told.answers.len())
    }

    /// The selected row.
    pub(crate) fn selected(&self) -> Option<&Row> {
        self.rows.get(self.position.selected)
    }

    /// The user moved the selection.
    pub(crate) fn moved(&mut self, selected: usize) {
        self.position.selected = selected;
        self.select(self.rows.get(selected).map(Row::id));
        self.moved_on = None;
    }

    /// Works the rows out anew, and stays on what was selected.
    pub(crate) fn refresh(&mut self, filter: &str, page: usize, now: SystemTime) {
        let told = self.told.iter();
        let prompts = told.clone().flat_map(|told| told.prompts.iter().cloned().map(Row::Prompt));
        let answers = told.flat_map(|told| told.answers.iter().cloned().map(Row::Answer));
        self.rows = prompts.chain(answers).filter(|row| row.passes(filter)).collect();
        let there = self.rows.iter().position(|row| Some(row.id()) == self.selected);
        self.position.selected = there.unwrap_or(self.position.selected);
        self.position.show(page, self.rows.len());
        if there.is_none() {
            self.select(self.selected().map(Row::id));
            self.moved_on = Some(now);
        }
    }

    /// A key that may mean the selected row.
    pub(crate) fn key(&mut self, character: char, now: SystemTime) -> Pressed {
        let answer = prompts::answer_key(character);
        if answer.is_none() && !['d', 'e'].contains(&character) {
            return Pressed::Nothing;
        }
        let refused = |why: &str| Pressed::Refused(why.to_owned());
        let Some(row) = self.selected() else { return refused("Nothing waits for an answer") };
        let id = row.id();
        if self.under_way == Some(id) {
            return refused("It is being answered");
        }
        let prompt = match row {
            Row::Answer(_) if character != 'd' => {
                return refused("That is an answer: d takes it back");
            }
            Row::Answer(_) => None,
            Row::Prompt(prompt) => Some(prompt),
        };
        if let (Some(prompt), 'e') = (prompt, character) {
            self.extent = next(&prompt.extents(), self.extent);
            return Pressed::Nothing;
        }
        let since = self.moved_on.and_then(|since| now.duration_since(since).ok());
        if since.is_some_and(|since| since < LOOKED_AT) {
            return refused("That came up just now: look at it first");
        }
        let change = match (prompt, answer) {
            (Some(prompt), Some((choice, lasting))) => {
                let extent = self.extent.unwrap_or_else(|| prompts::key_extent(lasting, prompt));
                Change::Answer(AnswerPrompt { id, choice, extent, lasting })
            }
            _ => Change::Dismiss(id),
        };
        self.under_way = Some(id);
        Pressed::Change(change)
    }

    /// It is known what became of an answer.
    pub(crate) fn answered(&mut self) {
        self.under_way = None;
    }

    fn select(&mut self, id: Option<PromptId>) {
        self.selected = id;
        self.extent = None;
    }
}

/// The extent after this one; after the last, what the keys say.
fn next(extents: &[Extent], chosen: Option<Extent>) -> Option<Extent> {
    let Some(chosen) = chosen else { return extents.first().copied() };
    let at = extents.iter().position(|extent| *extent == chosen)?;
    extents.get(at + 1).copied()
}

/// What an answer is about, in a word.
pub(crate) fn word(extent: Option<Extent>) -> &'static str {
    extent.map_or("usual", Extent::as_str)
}

/// As [`word`], of an answer that was given.
pub(crate) fn word_of(covers: &Covers) -> &'static str {
    let extent = match covers {
        Covers::App => Extent::App,
        Covers::Address(_) => Extent::Address,
        Covers::Port(_) => Extent::Port,
        Covers::AddressPort(..) => Extent::AddressPort,
        Covers::Domain(_) => Extent::Domain,
        Covers::Zone(_) => Extent::Zone,
    };
    extent.as_str()
}

#[cfg(test)]
mod tests;
