//! What lies over the lists: details, help, and which rule to write.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, Clear, Widget as _};
use seawall_messages::rule::Permission;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Palette, name, prompts, rate};
use crate::monitor::choice;
use crate::monitor::known::Entry;
use crate::monitor::lists::{AppRow, app_id};
use crate::monitor::model::{Dialog, Mode, Model, Page, Pane, Stage};
use crate::monitor::text::{self, fit};
use crate::output::one_line;
use crate::output::{bytes, span};

/// Widest box.
const WIDEST: u16 = 100;

/// Processes of an app that are named.
const MOST_PIDS: usize = 20;

const HELP: [&str; 18] = [
    "Tab            the other list: apps above, connections below",
    "Up Down j k    a line; PageUp, PageDown, Home, End further",
    "Enter          all there is to know of what is selected",
    "/              filter: app, address, port, verdict, reason",
    "Esc            clears the filter",
    "s              order: rate, bytes, name, newest",
    "b              block what is selected: shows the rule, asks",
    "a              allow it, likewise",
    "p              what waits for your answer, and back",
    "space          hold the picture, and go on",
    "q, Ctrl-C      quit",
    "",
    "A connection that ended stays for 10 seconds, a denial for",
    "10 minutes: reject is answered, drop is silence. Rates are",
    "bytes of IP packets a second.",
    "DIR: who opened it. out: a program here; in: somebody else;",
    "fwd: neither end is here. FAR END has the port that was",
    "called, or the caller's where DIR is in.",
];

const PROMPT_HELP: [&str; 18] = [
    "a b            allow, block once: what waits, or the next one",
    "w W            allow, block for ten minutes",
    "u U            allow, block until the app ends",
    "A B            allow, block for good: it becomes a rule",
    "e              what the answer is about: usual, address-port,",
    "               address, domain, zone, port, app",
    "d              dismiss: deny what waits; take an answer back",
    "Up Down j k    a line; PageUp, PageDown, Home, End further",
    "Enter          all there is to know of what is selected",
    "/              filter: app, path, address, name, waits, missed",
    "Esc            clears the filter; then back to the lists",
    "p              back to the lists",
    "space          hold the picture, and go on",
    "q, Ctrl-C      quit",
    "",
    "First what waits, then what was missed, then answers that",
    "count for a time. Usual: once is about the name, or else",
    "the address and port; for longer is about the whole app.",
];

/// A line and how it looks.
type Line = (String, Style);

/// Draws what lies over the lists, if anything does.
pub(super) fn draw(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let width = inner_width(area);
    let (title, lines, scrolled) = match &model.mode {
        Mode::Browse | Mode::Filter => return,
        Mode::Help(scrolled) => {
            let help = match model.page {
                Page::Lists => HELP,
                Page::Prompts => PROMPT_HELP,
            };
            (" Keys ", plain(help.iter().map(ToString::to_string).collect()), *scrolled)
        }
        Mode::Details(scrolled) => (" Details ", plain(details(model, width)), *scrolled),
        Mode::Rule(dialog) => {
            let title = match dialog.permission {
                Permission::Deny => " Block ",
                Permission::Permit => " Allow ",
                Permission::Ask => " Ask ",
            };
            (title, rule(dialog, palette, width), 0)
        }
    };
    in_box(title, &lines, scrolled, area, buffer);
}

fn plain(lines: Vec<String>) -> Vec<Line> {
    lines.into_iter().map(|line| (line, Style::new())).collect()
}

fn box_width(area: Rect) -> u16 {
    area.width.saturating_sub(4).min(WIDEST)
}

fn inner_width(area: Rect) -> usize {
    usize::from(box_width(area)).saturating_sub(4)
}

fn in_box(title: &str, lines: &[Line], scrolled: usize, area: Rect, buffer: &mut Buffer) {
    let width = box_width(area);
    let most = area.height.saturating_sub(4);
    // No longer than the area, which an u16 measures.
    let shown = lines.len().min(usize::from(most));
    let height = shown as u16 + 2;
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    let first = scrolled.min(lines.len() - shown);
    let mut block = Block::bordered().title(title);
    if lines.len() > shown {
        let last = first + shown;
        block = block.title_bottom(format!(" {} to {last} of {} ", first + 1, lines.len()));
    }
    block.render(place, buffer);
    let inner = usize::from(width).saturating_sub(4);
    for ((line, style), row) in lines.iter().skip(first).take(shown).zip(place.y + 1..) {
        buffer.set_stringn(place.x + 2, row, fit(line, inner), inner, *style);
    }
}

/// A text in lines of at most so many columns, broken at blanks where there are any:
/// what must be seen whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for character in one_line(text).chars() {
        let columns = character.width().unwrap_or(0);
        if used + columns > width {
            let rest = lines.last_mut().and_then(|line| {
                let at = line.rfind(' ').filter(|at| *at > 0 && character != ' ')?;
                let rest = line.split_off(at + 1);
                line.truncate(at);
                Some(rest)
            });
            let rest = rest.unwrap_or_default();
            used = rest.width();
            lines.push(rest);
        }
        used += columns;
        if let Some(line) = lines.last_mut() {
            line.push(character);
        }
    }
    lines
}

/// Headings with their texts, each of which may take several lines.
pub(super) struct Facts {
    /// The lines so far.
    pub(super) lines: Vec<String>,
    width: usize,
}

impl Facts {
    const HEADING: usize = 12;

    pub(super) fn new(width: usize) -> Self {
        Self { lines: Vec::new(), width }
    }

    pub(super) fn say(&mut self, what: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let width = self.width.saturating_sub(Self::HEADING);
        for (at, part) in wrapped(text, width).into_iter().enumerate() {
            let what = if at == 0 { what } else { "" };
            self.lines.push(format!("{what:0$}{part}", Self::HEADING));
        }
    }
}

fn details(model: &Model, width: usize) -> Vec<String> {
    if model.page == Page::Prompts {
        let facts = prompts::facts(model, width);
        return if facts.is_empty() { vec!["Nothing is selected.".to_owned()] } else { facts };
    }
    match model.focus {
        Pane::Connections => match model.selected_connection() {
            Some(entry) => of_connection(entry, model, width),
            None => vec!["The connection is gone.".to_owned()],
        },
        Pane::Apps => match model.lists.apps.get(model.apps.selected) {
            Some(row) => of_app(row, model, width),
            None => vec!["The app is gone.".to_owned()],
        },
    }
}

fn of_connection(entry: &Entry, model: &Model, width: usize) -> Vec<String> {
    let connection = &entry.connection;
    let mut facts = Facts::new(width);
    facts.say("connection", &connection.flow.to_string());
    let more = match (entry.ended, connection.permanent, connection.live) {
        (Some(_), ..) => ", and it is over",
        (None, true, true) => ", until it ends or the policy changes",
        (None, false, true) => ", and each packet is looked at",
        (None, _, false) => "",
    };
    facts.say("verdict", &format!("{}{more}", connection.action.as_str()));
    facts.say("reason", &connection.reason.to_string());
    facts.say("policy", &format!("generation {}", connection.generation.0));
    let decided = match connection.age(model.now) {
        Some(age) => {
            format!("{} ago, at {}", span(age.as_secs()), text::moment(connection.decided))
        }
        None => "before the worker last started".to_owned(),
    };
    facts.say("decided", &decided);
    let rates = entry.rates();
    let moved = |count: u64, packets: u64, per_s: f64| {
        format!("{} in {packets} packets, {}/s now", bytes(count as f64), bytes(per_s))
    };
    if let Some(it) = entry.traffic() {
        facts.say("sent", &moved(it.sent_bytes, it.sent_packets, rates.sent_bytes_per_s));
        let received = moved(it.received_bytes, it.received_packets, rates.received_bytes_per_s);
        facts.say("received", &received);
    }
    facts.say("app", &entry.app().map_or("Unidentified".to_owned(), |app| app.name.to_string()));
    facts.say("id", app_id(entry));
    if let Some(process) = entry.process() {
        facts.say("process", &process.key.pid.to_string());
        let deleted = if process.deleted { " (deleted or replaced since)" } else { "" };
        facts.say("path", &format!("{}{deleted}", process.path));
        facts.say("command", &process.command_line.join(" "));
        facts.say("user id", &process.uid.to_string());
        let parent = format!("{} {}", process.parent_pid, process.parent_path);
        facts.say("parent", parent.trim_end());
        facts.say("cgroup", &process.cgroup);
        facts.say("sha256", process.sha256.as_deref().unwrap_or_default());
    }
    if let Some(used_by) = &connection.used_by {
        facts.say("found by", &used_by.attribution.method.as_str().replace('_', " "));
    }
    facts.lines
}

fn of_app(row: &AppRow, model: &Model, width: usize) -> Vec<String> {
    let mut facts = Facts::new(width);
    facts.say("app", &name(row.app.as_ref()));
    facts.say("id", row.app.as_ref().map(|app| &*app.id).unwrap_or_default());
    facts.say("path", &row.path);
    facts.say("open", &row.open.to_string());
    facts.say("denied", &format!("{} in the last 10 minutes", row.denied));
    let amount = |count: u64, per_s: f64| format!("{}, {}/s now", bytes(count as f64), rate(per_s));
    facts.say("sent", &amount(row.traffic.sent_bytes, row.rates.sent_bytes_per_s));
    facts.say("received", &amount(row.traffic.received_bytes, row.rates.received_bytes_per_s));
    let graph = match row.id() {
        Some(id) => model.known.apps.get(&id).map(|app| &app.graph),
        None => Some(&model.known.graph),
    };
    if let Some(graph) = graph {
        let columns = width.saturating_sub(Facts::HEADING).min(60);
        facts.say("last minute", &text::graph(graph.iter(), columns));
    }
    if let Some(id) = row.id() {
        facts.say("processes", &pids(model, &id));
    }
    facts.lines
}

fn pids(model: &Model, app: &str) -> String {
    let own = model.known.connections.values().filter(|entry| app_id(entry) == app);
    let mut pids: Vec<u32> =
        own.filter_map(Entry::process).map(|process| process.key.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let shown: Vec<String> = pids.iter().take(MOST_PIDS).map(u32::to_string).collect();
    match pids.len().saturating_sub(MOST_PIDS) {
        0 => shown.join(" "),
        more => format!("{} and {more} more", shown.join(" ")),
    }
}

fn rule(dialog: &Dialog, palette: Palette, width: usize) -> Vec<Line> {
    let mut lines = vec![(dialog.whom.clone(), Style::new().add_modifier(Modifier::BOLD))];
    for (at, choice) in dialog.choices.iter().enumerate() {
        let is_chosen = at == dialog.chosen;
        let mark = if is_chosen { ">" } else { " " };
        let style = Style::new();
        let style = if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style };
        lines.push((format!("{mark} {}", choice.words), style));
    }
    match &dialog.stage {
        Stage::Choosing => {
            lines.extend(plain(wrapped("Enter puts into the store, first of its list:", width)));
            let chosen = dialog.choices.get(dialog.chosen);
            for line in chosen.iter().flat_map(|choice| choice::lines(&choice.rule)) {
                let wrapped = wrapped(&line, width.saturating_sub(2)).into_iter();
                lines.extend(plain(wrapped.map(|line| format!("  {line}")).collect()));
            }
        }
        Stage::Writing => lines.extend(plain(vec!["Writing...".to_owned()])),
        Stage::Failed(why) => {
            let style = palette.colour(Color::Red).add_modifier(Modifier::BOLD);
            lines.push(("Not done:".to_owned(), style));
            lines.extend(plain(why.lines().flat_map(|line| wrapped(line, width)).collect()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_seen_whole_is_broken_into_lines() {
        assert_eq!(wrapped("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("漢字漢", 4), ["漢字", "漢"]);
        assert_eq!(wrapped("a\u{1b}b", 8), ["a\\u{1b}b"]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("one two", 3), ["one", " tw", "o"]);
    }
}
