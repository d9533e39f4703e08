//! What happens to the screen, and what is to be done then.

use seawall_messages::api::{Changes, Protection, RuleAdded};
use seawall_messages::policy::NewRule;
use seawall_messages::prompt::{AnswerPrompt, PromptId, Prompts};

/// A key, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Character(char),
    /// Enter.
    Enter,
    /// Esc.
    Escape,
    /// The key that takes back a character.
    Backspace,
    /// To the other list.
    Tab,
    /// A line up, down, and so on.
    Move(Move),
    /// Ctrl-C.
    Interrupt,
}

/// Where the selection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A line up.
    Up,
    /// A line down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
}

/// What happens to the screen.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key was pressed.
    Key(Key),
    /// The terminal has another size: columns, lines.
    Resize(u16, u16),
    /// Seawall told what changed.
    Changes(Box<Changes>),
    /// It told how it stands.
    Health(Health),
    /// It told what waits for the user.
    Prompts(Box<Prompts>),
    /// It answers, and nothing else was asked.
    Rest,
    /// It doesn't answer, and why.
    Lost(String),
    /// What became of a rule.
    Rule(Result<Box<RuleAdded>, String>),
    /// What an answer of the user's did, in words, or why it was not taken.
    Answered(Result<String, String>),
    /// A second has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// End.
    Quit,
    /// Have Seawall change something.
    Change(Change),
}

/// What Seawall is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Have this rule written.
    AddRule(Box<NewRule>),
    /// Answer a prompt.
    Answer(AnswerPrompt),
    /// Take a prompt off the list, or an answer back.
    Dismiss(PromptId),
}

/// How Seawall stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// In a word.
    pub(crate) protection: Protection,
    /// Why, where it isn't `PROTECTED`.
    pub(crate) reasons: Vec<String>,
    /// Components that run.
    pub(crate) running: usize,
    /// All of them.
    pub(crate) components: usize,
    /// Connections that wait for an answer of the user.
    pub(crate) asked: usize,
}
