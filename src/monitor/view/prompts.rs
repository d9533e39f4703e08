//! What waits for the user: the list, and below it all that is to be known of the selected line.

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use seawall_messages::Direction;
use seawall_messages::prompt::{Asker, Lasting, Prompt, PromptState, Target};

use super::popup::Facts;
use super::{Screen, cell, seen};
use crate::monitor::layout::{self, Column};
use crate::monitor::model::Model;
use crate::monitor::prompts::{Row, word, word_of};
use crate::monitor::text::{fit, moment};
use crate::output::span;
use crate::verbs::prompts::{key_extent, words};

impl Screen<'_> {
    /// The list, from that row on, and the details.
    pub(super) fn prompts(&self, row: u16, (lines, details): (usize, usize), buffer: &mut Buffer) {
        let (model, page) = (self.model, &self.model.prompts);
        let columns = layout::of_prompts(self.width - 2);
        let headings: Vec<String> =
            columns.iter().map(|(column, width)| cell(*column, column.heading(), *width)).collect();
        self.title(row, &format!("> {}", headings.join(" ")), buffer);
        if page.rows.is_empty() {
            let text = match model.wish.filter.as_str() {
                _ if !page.is_told() => "  asking what waits".to_owned(),
                "" => "  nothing waits for an answer, and no answer counts for a time".to_owned(),
                filter => format!("  nothing here has \"{filter}\" in it"),
            };
            self.put(row + 1, &text, Style::new(), buffer);
        }
        for (at, shown, row) in seen(&page.rows, page.position, lines, row + 1) {
            let is_chosen = at == page.position.selected;
            let text = |column| self.of_row(shown, column, is_chosen);
            let cells: Vec<String> = columns
                .iter()
                .map(|(column, width)| cell(*column, &text(*column), *width))
                .collect();
            let mark = if is_chosen { "> " } else { "  " };
            let mut style = self.of_state(shown);
            if is_chosen {
                style = style.add_modifier(Modifier::REVERSED);
            }
            self.put(row, &format!("{mark}{}", cells.join(" ")), style, buffer);
        }
        // Fits an u16, as the screen does.
        let row = row + 1 + lines as u16;
        self.title(row, "  DETAILS", buffer);
        for (line, row) in facts(model, self.width - 2).into_iter().take(details).zip(row + 1..) {
            self.put(row, &format!("  {}", fit(&line, self.width - 2)), Style::new(), buffer);
        }
    }

    fn title(&self, row: u16, text: &str, buffer: &mut Buffer) {
        let style = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        self.put(row, text, style, buffer);
    }

    fn of_state(&self, row: &Row) -> Style {
        let Row::Prompt(prompt) = row else { return Style::new() };
        match prompt.state {
            PromptState::Waits { .. } => {
                self.palette.colour(Color::Yellow).add_modifier(Modifier::BOLD)
            }
            PromptState::Missed { .. } => Style::new().add_modifier(Modifier::DIM),
        }
    }

    fn of_row(&self, row: &Row, column: Column, is_chosen: bool) -> String {
        let chosen = self.model.prompts.extent.filter(|_| is_chosen);
        match (column, row) {
            (Column::Id, row) => row.id().0.to_string(),
            (Column::State, row) => row.state(self.model.now),
            (Column::App, Row::Prompt(prompt)) => prompt.asker.app.name.to_string(),
            (Column::App, Row::Answer(given)) => given.asker.app.name.to_string(),
            (Column::What, row) => row.what(),
            (Column::Waiting, Row::Prompt(prompt)) => prompt.waiting.to_string(),
            (Column::About, Row::Prompt(_)) => word(chosen).to_owned(),
            (Column::About, Row::Answer(given)) => word_of(&given.covers).to_owned(),
            _ => String::new(),
        }
    }
}

/// How many there are of each kind.
pub(super) fn counts(model: &Model) -> String {
    let (waiting, missed, answers) = model.prompts.counts();
    format!("{waiting} wait, {missed} missed, {answers} answered")
}

/// All there is to know of the selected line.
pub(super) fn facts(model: &Model, width: usize) -> Vec<String> {
    let mut facts = Facts::new(width);
    match model.prompts.selected() {
        None => {}
        Some(Row::Prompt(prompt)) => of_prompt(&mut facts, prompt, model),
        Some(row @ Row::Answer(given)) => {
            of_asker(&mut facts, &given.asker);
            facts.say("answer", &words::covered(given));
            facts.say("since", &ago(given.given, model.now));
            let until = given.until.map(|until| format!(", at {}", moment(until)));
            facts.say("until", &format!("{}{}", row.state(model.now), until.unwrap_or_default()));
            facts.say("keys", "d takes the answer back");
        }
    }
    facts.lines
}

fn of_prompt(facts: &mut Facts, prompt: &Prompt, model: &Model) {
    of_asker(facts, &prompt.asker);
    let (heading, whole) = match prompt.direction {
        Direction::Inbound => ("from", "many; it is about whatever others open towards the app"),
        Direction::Outbound => ("to", "many; it is about whatever the app opens"),
        Direction::Forwarded => ("forwarded to", "many; it is about whatever the app opens"),
    };
    if prompt.whole_app {
        facts.say(heading, whole);
    }
    let targets: Vec<String> = prompt.targets.iter().map(Target::to_string).collect();
    let more = match prompt.more_targets {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let heading = if prompt.whole_app { "such as" } else { heading };
    facts.say(heading, &format!("{}{more}", targets.join(", ")));
    facts.say("since", &ago(prompt.opened, model.now));
    match prompt.state {
        PromptState::Waits { until } => {
            let left = until.duration_since(model.now).unwrap_or_default();
            facts.say("until", &format!("{} left, at {}", span(left.as_secs()), moment(until)));
        }
        PromptState::Missed { since } => facts.say("missed", &ago(since, model.now)),
    }
    facts.say("about", &about(prompt, model));
    facts.say("waiting", &prompt.waiting.to_string());
}

/// What an answer would be about.
fn about(prompt: &Prompt, model: &Model) -> String {
    let place = |extent| match prompt.covered(extent) {
        Ok(covers) => words::place(&covers, prompt.direction),
        Err(why) => why,
    };
    match model.prompts.extent {
        Some(extent) => format!("{}, whichever key; e changes that", place(extent)),
        None => {
            let once = place(key_extent(Lasting::Once, prompt));
            let longer = place(key_extent(Lasting::UntilAppEnds, prompt));
            match once == longer {
                true => once,
                false => format!("once: {once}; for longer: {longer}; e changes that"),
            }
        }
    }
}

fn of_asker(facts: &mut Facts, asker: &Asker) {
    let process = asker.process.map(|process| format!(", process {}", process.pid));
    let process = process.unwrap_or_default();
    facts.say("app", &format!("{} ({}){process}", asker.app.name, asker.app.id));
    facts.say("path", &asker.path);
}

fn ago(time: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(time).unwrap_or_default();
    format!("{} ago, at {}", span(age.as_secs()), moment(time))
}
