//! What the screen shows and what keys do: state, input and time go in, state and
//! what is to be done come out. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_messages::Flow;
use seawall_messages::api::RuleAdded;
use seawall_messages::rule::Permission;

use super::choice;
use super::input::{Effect, Health, Input, Key, Move};
use super::known::{Entry, Known};
use super::layout::{self, Layout};
use super::lists::{Lists, Wish, lists};
use super::position::{Position, moved};
use super::prompts::{Pressed, PromptPage};

pub(crate) use self::dialog::{Dialog, Stage};

mod dialog;

/// Longest filter, in characters.
const LONGEST_FILTER: usize = 64;
/// How long a message stays.
const NOTICE_STAYS: Duration = Duration::from_secs(8);

/// Whether Seawall answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing was heard yet.
    Connecting,
    /// It does.
    Up,
    /// It doesn't, and why.
    Lost(String),
}

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Apps and connections.
    Lists,
    /// What waits for the user.
    Prompts,
}

/// One of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pane {
    /// The upper one.
    Apps,
    /// The lower one.
    Connections,
}

/// What the keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The lists.
    Browse,
    /// The text of the filter.
    Filter,
    /// All there is to know of what is selected; scrolled so far.
    Details(usize),
    /// What the keys do; scrolled so far.
    Help(usize),
    /// Which rule to write.
    Rule(Dialog),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Model {
    /// What is known.
    pub(crate) known: Known,
    /// What is shown of it.
    pub(crate) lists: Lists,
    /// What the user asked to see.
    pub(crate) wish: Wish,
    /// Whether Seawall answers.
    pub(crate) link: Link,
    /// How it stands, by its last word.
    pub(crate) health: Option<Health>,
    /// What the keys are for.
    pub(crate) mode: Mode,
    /// What is on the screen.
    pub(crate) page: Page,
    /// What waits for the user.
    pub(crate) prompts: PromptPage,
    /// Which list the keys move in.
    pub(crate) focus: Pane,
    /// Where the list of apps stands.
    pub(crate) apps: Position,
    /// Where the list of connections stands.
    pub(crate) connections: Position,
    /// Whether the picture stands still.
    pub(crate) paused: bool,
    /// The last message, and when it came.
    pub(crate) notice: Option<(String, SystemTime)>,
    /// Size of the terminal: columns, lines.
    pub(crate) size: (u16, u16),
    /// The time of the last input.
    pub(crate) now: SystemTime,
    selected_flow: Option<Flow>,
}

impl Model {
    /// Nothing is known.
    pub(crate) fn new(size: (u16, u16), now: SystemTime) -> Self {
        let known = Known::default();
        let wish = Wish::default();
        Self {
            lists: lists(&known, &wish),
            known,
            wish,
            link: Link::Connecting,
            health: None,
            mode: Mode::Browse,
            page: Page::Lists,
            prompts: PromptPage::default(),
            focus: Pane::Apps,
            apps: Position::default(),
            connections: Position::default(),
            paused: false,
            notice: None,
            size,
            now,
            selected_flow: None,
        }
    }

    /// Takes an input.
    pub(crate) fn update(&mut self, input: Input, now: SystemTime) -> Option<Effect> {
        self.now = now;
        match input {
            Input::Key(key) => {
                let effect = self.key(key);
                self.refresh();
                return effect;
            }
            Input::Resize(columns, lines) => self.size = (columns, lines),
            Input::Changes(changes) => {
                self.link = Link::Up;
                self.known.take(*changes, now);
            }
            Input::Health(health) => {
                self.link = Link::Up;
                self.health = Some(health);
                return None;
            }
            Input::Prompts(told) => {
                self.link = Link::Up;
                self.prompts.take(*told);
            }
            Input::Rest => return None,
            Input::Lost(why) => {
                self.link = Link::Lost(why);
                return None;
            }
            Input::Rule(outcome) => self.rule_done(outcome),
            Input::Answered(outcome) => {
                self.prompts.answered();
                self.say(&outcome.unwrap_or_else(|why| format!("Not taken: {why}")));
            }
            Input::Tick => {
                if !self.paused {
                    self.known.tick(now);
                }
                self.notice.take_if(|(_, since)| {
                    now.duration_since(*since).unwrap_or_default() > NOTICE_STAYS
                });
                return None;
            }
        }
        self.refresh();
        None
    }

    /// The selected connection, if the lower list has the keys.
    pub(crate) fn selected_connection(&self) -> Option<&Entry> {
        if self.focus != Pane::Connections {
            return None;
        }
        let flow = self.lists.connections.get(self.connections.selected)?;
        self.known.connections.get(flow)
    }

    fn key(&mut self, key: Key) -> Option<Effect> {
        if key == Key::Interrupt {
            return Some(Effect::Quit);
        }
        match &mut self.mode {
            Mode::Browse => return self.browse(key),
            Mode::Filter => self.edit_filter(key),
            Mode::Details(scrolled) | Mode::Help(scrolled) => match key {
                Key::Move(to) => *scrolled = moved(*scrolled, to, 5, usize::from(u16::MAX)),
                _ => self.mode = Mode::Browse,
            },
            Mode::Rule(dialog) => {
                let (effect, is_done) = dialog.key(key);
                if is_done {
                    self.mode = Mode::Browse;
                }
                return effect;
            }
        }
        None
    }

    fn browse(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Character('q') => return Some(Effect::Quit),
            Key::Character('/') => self.mode = Mode::Filter,
            Key::Character('?') => self.mode = Mode::Help(0),
            Key::Character(' ') => self.paused = !self.paused,
            Key::Character('j') => self.go(Move::Down),
            Key::Character('k') => self.go(Move::Up),
            Key::Move(to) => self.go(to),
            Key::Enter => self.mode = Mode::Details(0),
            Key::Escape if !self.wish.filter.is_empty() => self.wish.filter.clear(),
            Key::Character('p') => {
                self.page = match self.page {
                    Page::Lists => Page::Prompts,
                    Page::Prompts => Page::Lists,
                }
            }
            _ if self.page == Page::Prompts => return self.in_prompts(key),
            _ => self.in_lists(key),
        }
        None
    }

    fn in_lists(&mut self, key: Key) {
        match key {
            Key::Character('s') => self.wish.sort = self.wish.sort.next(),
            Key::Character('b') => self.ask_for_rule(Permission::Deny),
            Key::Character('a') => self.ask_for_rule(Permission::Permit),
            Key::Tab => {
                self.focus = match self.focus {
                    Pane::Apps => Pane::Connections,
                    Pane::Connections => Pane::Apps,
                }
            }
            Key::Escape => self.focus = Pane::Apps,
            _ => {}
        }
    }

    fn in_prompts(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Escape | Key::Tab => self.page = Page::Lists,
            Key::Character(character) => match self.prompts.key(character, self.now) {
                Pressed::Change(change) => return Some(Effect::Change(change)),
                Pressed::Refused(why) => self.say(&why),
                Pressed::Nothing => {}
            },
            _ => {}
        }
        None
    }

    fn edit_filter(&mut self, key: Key) {
        match key {
            Key::Character(character) if !character.is_control() => {
                if self.wish.filter.chars().count() < LONGEST_FILTER {
                    self.wish.filter.extend(character.to_lowercase());
                }
            }
            Key::Backspace => {
                self.wish.filter.pop();
            }
            Key::Enter | Key::Tab => self.mode = Mode::Browse,
            Key::Escape => {
                self.wish.filter.clear();
                self.mode = Mode::Browse;
            }
            Key::Character(_) | Key::Move(_) | Key::Interrupt => {}
        }
    }

    fn go(&mut self, to: Move) {
        if self.page == Page::Prompts {
            let (from, last) = (self.prompts.position.selected, self.prompts.rows.len());
            let page = layout::of_prompt_page(self.size).0;
            return self.prompts.moved(moved(from, to, page, last.saturating_sub(1)));
        }
        let layout = Layout::of(self.size);
        let (position, count, page) = match self.focus {
            Pane::Apps => (&mut self.apps, self.lists.apps.len(), layout.apps),
            Pane::Connections => {
                (&mut self.connections, self.lists.connections.len(), layout.connections)
            }
        };
        position.selected = moved(position.selected, to, page, count.saturating_sub(1));
        match self.focus {
            Pane::Apps => {
                self.wish.app = self.lists.apps.get(position.selected).and_then(|row| row.id());
                self.connections = Position::default();
                self.selected_flow = None;
            }
            Pane::Connections => {
                self.selected_flow = self.lists.connections.get(position.selected).copied();
            }
        }
    }

    fn ask_for_rule(&mut self, permission: Permission) {
        let found = match self.focus {
            Pane::Connections => self.selected_connection().map(|entry| {
                let whom = entry.app().map_or("Unidentified".into(), |app| app.name.to_string());
                (whom, choice::of_connection(&entry.connection, permission))
            }),
            Pane::Apps => self.lists.apps.get(self.apps.selected).and_then(|row| {
                let app = row.app.as_ref()?;
                Some((app.name.to_string(), choice::of_app(app, &self.path_of(row), permission)))
            }),
        };
        let Some((whom, choices)) = found else {
            self.say("First choose an app or a connection");
            return;
        };
        if choices.is_empty() {
            self.say("Its path has a star, which in a rule would mean others, too");
            return;
        }
        let stage = Stage::Choosing;
        self.mode = Mode::Rule(Dialog { permission, whom, choices, chosen: 0, stage });
    }

    /// Path of an app that nobody counts bytes of: one of its connections has it.
    fn path_of(&self, row: &super::lists::AppRow) -> Arc<str> {
        if !row.path.is_empty() {
            return Arc::clone(&row.path);
        }
        let of = |entry: &&Entry| entry.app().is_some_and(|app| Some(&app.id) == row.id().as_ref());
        let entry = self.known.connections.values().find(of);
        entry.and_then(Entry::process).map(|process| Arc::clone(&process.path)).unwrap_or_default()
    }

    fn rule_done(&mut self, outcome: Result<Box<RuleAdded>, String>) {
        match outcome {
            Ok(done) => {
                if matches!(&self.mode, Mode::Rule(dialog) if dialog.stage == Stage::Writing) {
                    self.mode = Mode::Browse;
                }
                let added = &done.added;
                let how = if added.was_there { "was there already" } else { "is in force" };
                self.say(&format!("{} {how}, first in {}", added.rule, added.list));
            }
            Err(why) => match &mut self.mode {
                Mode::Rule(dialog) => dialog.stage = Stage::Failed(why),
                _ => self.say(&why),
            },
        }
    }

    fn say(&mut self, text: &str) {
        self.notice = Some((text.to_owned(), self.now));
    }

    /// Works the lists out anew, and stays on what was selected.
    fn refresh(&mut self) {
        let page = layout::of_prompt_page(self.size).0;
        self.prompts.refresh(&self.wish.filter, page, self.now);
        self.lists = lists(&self.known, &self.wish);
        let layout = Layout::of(self.size);
        let app = self.lists.apps.iter().position(|row| row.id() == self.wish.app);
        match app {
            Some(at) => self.apps.selected = at,
            // It is gone: those of all are shown.
            None => {
                self.apps.selected = 0;
                self.wish.app = None;
                self.lists = lists(&self.known, &self.wish);
            }
        }
        self.apps.show(layout.apps, self.lists.apps.len());
        let flows = &self.lists.connections;
        let flow = self.selected_flow.and_then(|flow| flows.iter().position(|it| *it == flow));
        if let Some(at) = flow {
            self.connections.selected = at;
        }
        self.connections.show(layout.connections, flows.len());
        if self.focus == Pane::Connections {
            self.selected_flow = flows.get(self.connections.selected).copied();
        }
    }
}

#[cfg(test)]
mod tests;
