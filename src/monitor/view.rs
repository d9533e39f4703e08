//! Draws the model: state in, cells out. Nothing is told by colour alone, and no text
//! of others gets to the terminal but through [`fit`].

mod popup;
mod prompts;

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use seawall_messages::api::Protection;
use seawall_messages::process::App;

use super::known::Entry;
use super::layout::{self, Column, Layout, SMALLEST};
use super::lists::{AppRow, verdict};
use super::model::{Link, Mode, Model, Page, Pane};
use super::position::Position;
use super::text::{self, fit, fit_right};
use crate::output::{bytes, span};

/// Columns of the graph at the top.
const TOP_GRAPH: usize = 20;

/// What keys do in the lists, in so many words as there is room for.
const LIST_KEYS: [&str; 2] = [
    "Tab list  Enter details  / filter  s sort  b block  a allow  p prompts  space pause  ? help  q quit",
    "Tab list  / filter  b block  a allow  p prompts  ? help",
];

/// What they do to prompts.
const PROMPT_KEYS: [&str; 3] = [
    "a/b allow/block once  w/W for 10m  u/U until it ends  A/B always  e about  d dismiss  p back  ? help",
    "a/b once  w/W 10m  u/U until it ends  A/B always  e about  d dismiss  ? help",
    "a/b once  w/W 10m  A/B always  e about  d dismiss  ? help",
];

/// Whether colours are wanted, beside the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    /// They are.
    Colours,
    /// `NO_COLOR` is set (no-color.org).
    Plain,
}

impl Palette {
    fn colour(self, colour: Color) -> Style {
        match self {
            Self::Colours => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }

    fn of_verdict(self, verdict: &str) -> Style {
        match verdict {
            "allow" => self.colour(Color::Green),
            "ended" => Style::new().add_modifier(Modifier::DIM),
            _ => self.colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn of_protection(self, protection: Protection) -> Style {
        let colour = match protection {
            Protection::Protected => Color::Green,
            Protection::Degraded => Color::Yellow,
            Protection::NotProtected => Color::Red,
        };
        self.colour(colour).add_modifier(Modifier::BOLD)
    }
}

/// Draws everything.
pub(crate) fn draw(model: &Model, palette: Palette, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(area, buffer);
    }
    let screen = Screen { model, palette, width: usize::from(area.width) };
    let size = (area.width, area.height);
    screen.top(buffer);
    screen.state(1, buffer);
    match model.page {
        Page::Lists => {
            let layout = Layout::of(size);
            screen.apps(2, layout.apps, buffer);
            // Fits an u16, as the area does.
            screen.connections(3 + layout.apps as u16, layout.connections, buffer);
        }
        Page::Prompts => screen.prompts(2, layout::of_prompt_page(size), buffer),
    }
    screen.keys(area.height - 1, buffer);
    popup::draw(model, palette, area, buffer);
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let lines = [
        "This terminal is too small.".to_owned(),
        format!(
            "It has {}x{}, at least {}x{} are needed.",
            area.width, area.height, SMALLEST.0, SMALLEST.1
        ),
        "q ends.".to_owned(),
    ];
    for (row, line) in (0..area.height).zip(lines) {
        buffer.set_stringn(0, row, fit(&line, width), width, Style::new());
    }
}

struct Screen<'m> {
    model: &'m Model,
    palette: Palette,
    width: usize,
}

impl Screen<'_> {
    fn put(&self, row: u16, text: &str, style: Style, buffer: &mut Buffer) {
        buffer.set_stringn(0, row, fit(text, self.width), self.width, style);
    }

    /// What there is in all, and in the corner how Seawall stands.
    fn top(&self, buffer: &mut Buffer) {
        let model = self.model;
        let all = model.lists.apps.first();
        let (open, denied) = all.map_or((0, 0), |all| (all.open, all.denied));
        let rates = model.known.rates();
        let mut left = format!(
            "Seawall  {open} open, {denied} denied  sent {}/s  recv {}/s",
            bytes(rates.sent_bytes_per_s),
            bytes(rates.received_bytes_per_s)
        );
        let (word, style) = match (&model.link, &model.health) {
            (Link::Connecting, _) | (Link::Up, None) => ("connecting".to_owned(), Style::new()),
            (Link::Lost(_), _) => (
                crate::verbs::word(Protection::NotProtected).to_owned(),
                self.palette.of_protection(Protection::NotProtected),
            ),
            (Link::Up, Some(health)) => {
                let word = crate::verbs::word(health.protection);
                (word.to_owned(), self.palette.of_protection(health.protection))
            }
        };
        let right = word.chars().count();
        let room = self.width.saturating_sub(right + 2);
        if left.chars().count() + 2 + TOP_GRAPH <= room {
            left.push_str("  ");
            left.push_str(&text::graph(model.known.graph.iter(), TOP_GRAPH));
        }
        self.put(0, &fit(&left, room), Style::new().add_modifier(Modifier::BOLD), buffer);
        // Fits an u16, as the width does.
        let at = self.width.saturating_sub(right) as u16;
        buffer.set_stringn(at, 0, &word, right, style);
    }

    /// What is not as it should be, or how the lists are cut.
    fn state(&self, row: u16, buffer: &mut Buffer) {
        let model = self.model;
        let health = model.health.as_ref();
        let parts = health.map_or_else(String::new, |health| {
            format!("{} of {} components run", health.running, health.components)
        });
        let right = parts.chars().count();
        let mut said = Vec::new();
        let asked = health.map(|health| health.asked).filter(|asked| *asked > 0);
        if let (Some(asked), Page::Lists) = (asked, model.page) {
            said.push(format!("{asked} wait for an answer: p shows them"));
        }
        if model.paused {
            said.push("PAUSED, space goes on".to_owned());
        }
        said.push(match model.page {
            Page::Lists => format!("by {}", model.wish.sort.as_str()),
            Page::Prompts => prompts::counts(model),
        });
        if model.mode == Mode::Filter {
            said.push(format!("filter: {}_", model.wish.filter));
        } else if !model.wish.filter.is_empty() {
            said.push(format!("filter: {} (Esc clears)", model.wish.filter));
        }
        let mut style = Style::new();
        let text = match (&model.link, health.and_then(|health| health.reasons.first())) {
            _ if model.notice.is_some() => {
                style = style.add_modifier(Modifier::BOLD);
                model.notice.as_ref().map(|(text, _)| text.clone()).unwrap_or_default()
            }
            (Link::Lost(why), _) => {
                style = self.palette.of_protection(Protection::NotProtected);
                format!("Trying again: {why}")
            }
            (_, Some(reason)) => {
                style = self.palette.of_protection(Protection::Degraded);
                format!("{}  {reason}", said.join("  "))
            }
            _ => said.join("  "),
        };
        let room = self.width.saturating_sub(right + 2);
        self.put(row, &fit(&text, room), style, buffer);
        // Fits an u16, as the width does.
        let at = self.width.saturating_sub(right) as u16;
        buffer.set_stringn(at, row, &parts, right, Style::new());
    }

    fn heading(&self, row: u16, pane: Pane, columns: &[(Column, usize)], buffer: &mut Buffer) {
        let has_keys = self.model.focus == pane;
        let cells: Vec<String> =
            columns.iter().map(|(column, width)| cell(*column, column.heading(), *width)).collect();
        let mark = if has_keys { "> " } else { "  " };
        let style = Style::new().add_modifier(Modifier::REVERSED);
        let style = if has_keys { style.add_modifier(Modifier::BOLD) } else { style };
        self.put(row, &format!("{mark}{}", cells.join(" ")), style, buffer);
    }

    fn apps(&self, row: u16, lines: usize, buffer: &mut Buffer) {
        let columns = layout::of_apps(self.width - 2);
        self.heading(row, Pane::Apps, &columns, buffer);
        let model = self.model;
        for (at, app, row) in seen(&model.lists.apps, model.apps, lines, row + 1) {
            let cells: Vec<String> = columns
                .iter()
                .map(|(column, width)| cell(*column, &self.of_app(app, *column, *width), *width))
                .collect();
            let is_chosen = at == model.apps.selected;
            self.line(row, &cells, is_chosen, Pane::Apps, buffer);
        }
    }

    fn of_app(&self, row: &AppRow, column: Column, width: usize) -> String {
        match column {
            Column::App => name(row.app.as_ref()),
            Column::Open => row.open.to_string(),
            Column::Denied => row.denied.to_string(),
            Column::SentRate => rate(row.rates.sent_bytes_per_s),
            Column::ReceivedRate => rate(row.rates.received_bytes_per_s),
            Column::Sent => bytes(row.traffic.sent_bytes as f64),
            Column::Received => bytes(row.traffic.received_bytes as f64),
            Column::Graph => {
                let known = row.id().and_then(|id| self.model.known.apps.get(&id));
                match (known, &row.app) {
                    (Some(app), _) => text::graph(app.graph.iter(), width),
                    (None, None) => text::graph(self.model.known.graph.iter(), width),
                    (None, Some(_)) => String::new(),
                }
            }
            _ => String::new(),
        }
    }

    fn connections(&self, row: u16, lines: usize, buffer: &mut Buffer) {
        let model = self.model;
        let columns = layout::of_connections(self.width - 2, model.wish.app.is_none());
        self.heading(row, Pane::Connections, &columns, buffer);
        if model.lists.connections.is_empty() {
            let text = match model.wish.filter.as_str() {
                "" => "  no connections yet".to_owned(),
                filter => format!("  no connection has \"{filter}\" in it"),
            };
            self.put(row + 1, &text, Style::new(), buffer);
        }
        for (at, flow, row) in seen(&model.lists.connections, model.connections, lines, row + 1) {
            let Some(entry) = model.known.connections.get(flow) else { continue };
            let cells: Vec<String> = columns
                .iter()
                .map(|(column, width)| {
                    cell(*column, &of_connection(entry, *column, model.now), *width)
                })
                .collect();
            let is_chosen = at == model.connections.selected && model.focus == Pane::Connections;
            self.line(row, &cells, is_chosen, Pane::Connections, buffer);
            if !is_chosen {
                let verdict = verdict(entry);
                let style = self.palette.of_verdict(verdict);
                buffer.set_stringn(2, row, verdict, 7, style);
            }
        }
    }

    fn line(&self, row: u16, cells: &[String], is_chosen: bool, pane: Pane, buffer: &mut Buffer) {
        let mark = if is_chosen { "> " } else { "  " };
        let style = match (is_chosen, self.model.focus == pane) {
            (true, true) => Style::new().add_modifier(Modifier::REVERSED),
            (true, false) => Style::new().add_modifier(Modifier::BOLD),
            (false, _) => Style::new(),
        };
        self.put(row, &format!("{mark}{}", cells.join(" ")), style, buffer);
    }

    fn keys(&self, row: u16, buffer: &mut Buffer) {
        let text = match &self.model.mode {
            Mode::Browse => return self.browsing_keys(row, buffer),
            Mode::Filter => "type what to look for; Enter keeps it, Esc clears it",
            Mode::Details(_) | Mode::Help(_) => "up and down scroll, any other key closes",
            Mode::Rule(_) => "up and down choose, Enter writes the rule, Esc leaves",
        };
        self.put(row, text, Style::new().add_modifier(Modifier::DIM), buffer);
    }

    /// In few columns, the keys that nobody finds by trying.
    fn browsing_keys(&self, row: u16, buffer: &mut Buffer) {
        let texts = match self.model.page {
            Page::Lists => LIST_KEYS.as_slice(),
            Page::Prompts => &PROMPT_KEYS,
        };
        let fits = |text: &&&str| text.chars().count() <= self.width;
        let text = texts.iter().find(fits).or(texts.last()).copied().unwrap_or_default();
        self.put(row, text, Style::new().add_modifier(Modifier::DIM), buffer);
    }
}

/// The lines of a list that are seen: which, what, and in which row.
fn seen<T>(
    list: &[T],
    position: Position,
    lines: usize,
    row: u16,
) -> impl Iterator<Item = (usize, &T, u16)> {
    let lines = list.iter().enumerate().skip(position.first).take(lines);
    lines.zip(row..).map(|((at, item), row)| (at, item, row))
}

fn cell(column: Column, text: &str, width: usize) -> String {
    if column.is_number() { fit_right(text, width) } else { fit(text, width) }
}

fn name(app: Option<&App>) -> String {
    app.map_or_else(|| "all apps".to_owned(), |app| app.name.to_string())
}

/// Bytes a second; nothing where nothing moves, so that what moves stands out.
fn rate(bytes_per_s: f64) -> String {
    if bytes_per_s < 0.5 { "-".to_owned() } else { bytes(bytes_per_s) }
}

fn of_connection(entry: &Entry, column: Column, now: SystemTime) -> String {
    let connection = &entry.connection;
    let moved = |count: Option<u64>| count.map_or("-".to_owned(), |count| bytes(count as f64));
    match column {
        Column::Verdict => verdict(entry).to_owned(),
        Column::App => entry.app().map_or("Unidentified".to_owned(), |app| app.name.to_string()),
        Column::FarEnd => text::far_end(&connection.flow),
        Column::Protocol => connection.flow.protocol.to_string(),
        Column::Direction => text::direction(connection.flow.direction).to_owned(),
        Column::SentRate => rate(entry.rates().sent_bytes_per_s),
        Column::ReceivedRate => rate(entry.rates().received_bytes_per_s),
        Column::Sent => moved(entry.traffic().map(|traffic| traffic.sent_bytes)),
        Column::Received => moved(entry.traffic().map(|traffic| traffic.received_bytes)),
        Column::Age => connection.age(now).map_or("-".to_owned(), |age| span(age.as_secs())),
        Column::Pid => entry.process().map_or("-".to_owned(), |it| it.key.pid.to_string()),
        Column::Reason => connection.reason.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
