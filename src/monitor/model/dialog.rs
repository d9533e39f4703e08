//! The dialog that writes a rule.

use seawall_messages::rule::Permission;

use crate::monitor::choice::Choice;
use crate::monitor::input::{Change, Effect, Key};
use crate::monitor::position::moved;

/// Which rule to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    /// Block or allow.
    pub(crate) permission: Permission,
    /// Whose rule it will be.
    pub(crate) whom: String,
    /// What there is to choose from; never empty.
    pub(crate) choices: Vec<Choice>,
    /// Which is chosen.
    pub(crate) chosen: usize,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// How far the writing of a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is done yet.
    Choosing,
    /// It is under way.
    Writing,
    /// It failed, and why.
    Failed(String),
}

impl Dialog {
    /// What a key does, and whether the dialog is over.
    pub(super) fn key(&mut self, key: Key) -> (Option<Effect>, bool) {
        match (&self.stage, key) {
            (Stage::Failed(_), _) | (_, Key::Escape | Key::Character('q')) => (None, true),
            (Stage::Choosing, Key::Move(to)) => {
                self.chosen = moved(self.chosen, to, 2, self.choices.len().saturating_sub(1));
                (None, false)
            }
            (Stage::Choosing, Key::Enter) => {
                let Some(choice) = self.choices.get(self.chosen) else { return (None, true) };
                let change = Change::AddRule(Box::new(choice.rule.clone()));
                self.stage = Stage::Writing;
                (Some(Effect::Change(change)), false)
            }
            _ => (None, false),
        }
    }
}
