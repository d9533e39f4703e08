//! Whole screens, as plain text in `screens/`, compared to the letter.
//!
//! After a wanted change, `RENEW_SCREENS=1 cargo test -p seawall monitor::view` writes them
//! anew; look at what `git diff` says then.

use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use seawall_messages::api::{Changes, Protection};

use super::{Palette, draw};
use crate::monitor::input::{Health, Input, Key, Move};
use crate::monitor::layout::SMALLEST;
use crate::monitor::model::Model;
use crate::monitor::sample::{answer, at, changes, connection, prompts};

fn health(protection: Protection, reasons: &[&str]) -> Input {
    Input::Health(Health {
        protection,
        reasons: reasons.iter().map(ToString::to_string).collect(),
        running: if reasons.is_empty() { 9 } else { 8 },
        components: 9,
        asked: 0,
    })
}

fn model(size: (u16, u16)) -> Model {
    let mut model = Model::new(size, at(60));
    model.update(Input::Changes(Box::new(answer())), at(60));
    model.update(health(Protection::Protected, &[]), at(60));
    // Curl's rate goes up and down.
    for second in 61..=80 {
        let mut moves = answer().moves.expect("there are moves");
        moves.apps[0].rates.received_bytes_per_s = 60_000.0 * f64::from(second % 7_u32);
        let told = Changes { moves: Some(moves), ..changes(1, 6, vec![]) };
        model.update(Input::Changes(Box::new(told)), at(u64::from(second)));
        model.update(Input::Tick, at(u64::from(second)));
    }
    model
}

fn press(model: &mut Model, keys: &[Key]) {
    for key in keys {
        model.update(Input::Key(*key), at(81));
    }
}

fn drawn(model: &Model, palette: Palette) -> Terminal<TestBackend> {
    let (columns, lines) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a screen");
    terminal.draw(|frame| draw(model, palette, frame)).expect("drawn");
    terminal
}

/// The characters of a screen, without blanks at the ends of lines.
fn text(model: &Model) -> String {
    let terminal = drawn(model, Palette::Colours);
    let buffer = terminal.backend().buffer();
    let line = |row| {
        let cells: String =
            (0..buffer.area.width).map(|column| buffer[(column, row)].symbol()).collect();
        cells.trim_end().to_owned() + "\n"
    };
    (0..buffer.area.height).map(line).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/monitor/screens").join(format!("{name}.txt"))
}

#[track_caller]
fn shows(name: &str, model: &Model) {
    let (path, text) = (path(name), text(model));
    if std::env::var_os("RENEW_SCREENS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{}:\n{expected}--- drawn:\n{text}", path.display());
}

const DOWN: Key = Key::Move(Move::Down);

#[test]
fn lists_in_every_size() {
    shows("lists-80x24", &model((80, 24)));
    shows("lists-60x15", &model(SMALLEST));
    shows("lists-160x40", &model((160, 40)));
    let mut one = model((100, 24));
    press(&mut one, &[DOWN, Key::Tab]);
    shows("one-app-100x24", &one);
    shows("too-small-59x15", &model((59, 15)));
    shows("too-small-60x14", &model((60, 14)));
    shows("nothing-yet-80x24", &Model::new((80, 24), at(60)));
}

#[test]
fn details_help_and_rules() {
    let mut of_connection = model((80, 30));
    press(&mut of_connection, &[Key::Tab, DOWN, DOWN, Key::Enter]);
    shows("details-connection-80x30", &of_connection);
    let mut of_app = model((80, 24));
    press(&mut of_app, &[DOWN, Key::Enter]);
    shows("details-app-80x24", &of_app);
    let mut long = model(SMALLEST);
    press(&mut long, &[Key::Tab, Key::Enter, DOWN, DOWN]);
    shows("details-scrolled-60x15", &long);
    let mut help = model((80, 24));
    press(&mut help, &[Key::Character('?')]);
    shows("help-80x24", &help);
    help.update(Input::Resize(60, 15), at(81));
    shows("help-60x15", &help);
    let mut block = model((80, 24));
    press(&mut block, &[Key::Tab, Key::Character('b'), DOWN, DOWN]);
    shows("block-80x24", &block);
    block.update(Input::Resize(60, 15), at(81));
    shows("block-60x15", &block);
    press(&mut block, &[Key::Enter]);
    shows("writing-60x15", &block);
    let why = "/etc/seawall/seawall.toml:3:18: filter.default_action: found the string \"blok\"; expected \"permit\" or \"block\"";
    block.update(Input::Rule(Err(why.to_owned())), at(82));
    shows("not-written-60x15", &block);
}

#[test]
fn prompts_in_every_size() {
    let of = |size| {
        let mut model = model(size);
        press(&mut model, &[Key::Character('p')]);
        model.update(Input::Prompts(Box::new(prompts())), at(81));
        model
    };
    let mut prompts = of((80, 24));
    shows("prompts-80x24", &prompts);
    press(&mut prompts, &[DOWN, Key::Character('e'), Key::Character('e')]);
    shows("prompts-extent-80x24", &prompts);
    press(&mut prompts, &[Key::Move(Move::End)]);
    shows("prompts-answer-80x24", &prompts);
    press(&mut prompts, &[Key::Character('a')]);
    shows("prompts-refused-80x24", &prompts);
    press(&mut prompts, &[Key::Character('?')]);
    shows("prompts-help-80x24", &prompts);
    shows("prompts-60x15", &of(SMALLEST));
    let mut wide = of((160, 40));
    press(&mut wide, &[DOWN, DOWN]);
    shows("prompts-160x40", &wide);
    let mut details = of(SMALLEST);
    press(&mut details, &[DOWN, Key::Enter]);
    shows("prompts-details-60x15", &details);
    let mut filtered = of((80, 24));
    press(
        &mut filtered,
        &[Key::Character('/'), Key::Character('x'), Key::Character('y'), Key::Enter],
    );
    shows("prompts-filter-80x24", &filtered);
    let mut nothing = model((80, 24));
    press(&mut nothing, &[Key::Character('p')]);
    shows("prompts-asking-80x24", &nothing);
}

#[test]
fn what_is_not_as_it_should_be() {
    let mut model = model((80, 24));
    model.update(health(Protection::Degraded, &["verdict crashed 3 times"]), at(81));
    press(&mut model, &[Key::Character('/'), Key::Character('2')]);
    shows("degraded-filter-80x24", &model);
    press(&mut model, &[Key::Character('x'), Key::Enter, Key::Character(' ')]);
    shows("paused-empty-80x24", &model);
    press(&mut model, &[Key::Escape]);
    let why = "Seawall is not running: nobody answers at /run/seawall/api.sock";
    model.update(Input::Lost(why.to_owned()), at(82));
    shows("lost-80x24", &model);
}

#[test]
fn what_waits_for_an_answer_is_told() {
    let mut model = model((100, 30));
    let Input::Health(health) = health(Protection::Protected, &[]) else { return };
    let screen = |model: &Model| {
        let buffer = drawn(model, Palette::Plain).backend().buffer().clone();
        buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect::<String>()
    };
    assert!(!screen(&model).contains("wait for an answer"));
    model.update(Input::Health(Health { asked: 3, ..health }), at(82));
    assert!(screen(&model).contains("3 wait for an answer"), "{}", screen(&model));
}

#[test]
fn without_colours_there_are_none_and_the_words_are_the_same() {
    let mut model = model((100, 30));
    press(&mut model, &[Key::Tab, Key::Character('a')]);
    model.update(Input::Rule(Err("no".to_owned())), at(82));
    model.update(health(Protection::NotProtected, &["crash loop"]), at(82));
    let mut asked = self::model((100, 30));
    press(&mut asked, &[Key::Character('p')]);
    asked.update(Input::Prompts(Box::new(prompts())), at(82));
    for model in [model, asked] {
        colours_only_add(&model);
    }
}

#[track_caller]
fn colours_only_add(model: &Model) {
    let of = |palette| drawn(model, palette).backend().buffer().clone();
    let (plain, colours) = (of(Palette::Plain), of(Palette::Colours));
    let symbols = |buffer: &ratatui::buffer::Buffer| {
        buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect::<String>()
    };
    assert_eq!(symbols(&plain), symbols(&colours));
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(colours.content().iter().any(|cell| cell.fg != Color::Reset));
}

#[test]
fn no_screen_is_too_large_and_none_too_small_to_draw() {
    let keys: [&[Key]; 6] = [
        &[],
        &[Key::Enter],
        &[Key::Tab, Key::Character('b')],
        &[Key::Character('?')],
        &[Key::Character('p'), DOWN],
        &[Key::Character('p'), Key::Enter],
    ];
    for keys in keys {
        let mut model = model((80, 24));
        model.update(Input::Prompts(Box::new(prompts())), at(81));
        press(&mut model, keys);
        for size in [(0, 0), (1, 1), (3, 60), (60, 15), (61, 16), (200, 15), (60, 200), (500, 120)]
        {
            model.update(Input::Resize(size.0, size.1), at(81));
            drawn(&model, Palette::Colours);
        }
    }
}

#[test]
fn ten_thousand_connections_are_drawn_as_few_are() {
    let mut model = model((80, 24));
    let many = (0..10_000_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        connection("wget", number, &format!("10.1.{high}.{low}:80"))
    });
    model.update(Input::Changes(Box::new(changes(1, 9, many.collect()))), at(81));
    press(&mut model, &[Key::Tab, Key::Move(Move::End)]);
    shows("many-80x24", &model);
}

#[test]
fn nothing_drawn_is_a_control_character() {
    let mut model = model((160, 40));
    model.update(Input::Prompts(Box::new(prompts())), at(81));
    let keys = [
        &[Key::Tab][..],
        &[DOWN, DOWN, Key::Enter],
        &[Key::Escape, Key::Character('b')],
        &[Key::Escape, Key::Character('p'), DOWN, DOWN],
    ];
    for keys in keys {
        press(&mut model, keys);
        let text = text(&model);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }
}
