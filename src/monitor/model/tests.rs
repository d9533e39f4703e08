//! What keys and answers do to the state.

use seawall_messages::api::{Changes, Protection, RuleAdded};
use seawall_messages::datapath::Connection;
use seawall_messages::policy::{
    AddedRule, NewRule, PolicyGeneration, PolicySource, PolicyStatus, RuleList,
};
use seawall_messages::prompt::{AnswerPrompt, Choice, Extent, Lasting, PromptId};
use seawall_messages::rule::Permission;

use super::{Dialog, Link, Mode, Model, Page, Stage};
use crate::monitor::input::{Change, Effect, Health, Input, Key, Move};
use crate::monitor::lists::Sort;
use crate::monitor::position::{Position, moved};
use crate::monitor::sample::{answer, at, changes, connection, prompts};

fn model() -> Model {
    let mut model = Model::new((100, 30), at(60));
    model.update(Input::Changes(Box::new(answer())), at(60));
    model
}

fn press(model: &mut Model, keys: &str) -> Option<Effect> {
    let key = |character| match character {
        '\n' => Key::Enter,
        '\t' => Key::Tab,
        '\u{1b}' => Key::Escape,
        '\u{8}' => Key::Backspace,
        'v' => Key::Move(Move::Down),
        '^' => Key::Move(Move::Up),
        other => Key::Character(other),
    };
    keys.chars().map(key).fold(None, |_, key| model.update(Input::Key(key), at(61)))
}

fn ports(model: &Model) -> Vec<u16> {
    model.lists.connections.iter().filter_map(|flow| flow.destination_port()).collect()
}

fn selected_port(model: &Model) -> Option<u16> {
    model.selected_connection()?.connection.flow.destination_port()
}

fn dialog(model: &Model) -> &Dialog {
    match &model.mode {
        Mode::Rule(dialog) => dialog,
        other => panic!("no dialog but {other:?}"),
    }
}

fn done() -> RuleAdded {
    RuleAdded {
        added: AddedRule {
            rule: "- *".to_owned(),
            list: "app[1].outgoing_rules".to_owned(),
            was_there: false,
            behind: None,
        },
        policy: PolicyStatus {
            generation: PolicyGeneration(2),
            file: "seawall.toml".into(),
            source: PolicySource::File,
            refused: None,
            restart_needed: Vec::new(),
            idle_rules: Vec::new(),
            unused_settings: Vec::new(),
            paused_s: None,
            store_problem: None,
        },
    }
}

#[test]
fn moving_among_apps_chooses_whose_connections_are_shown() {
    let mut model = model();
    assert_eq!(ports(&model).len(), 5);
    press(&mut model, "v");
    assert_eq!(ports(&model), [443, 80], "curl is the fastest");
    press(&mut model, "v");
    assert_eq!(ports(&model), [22]);
    press(&mut model, "^^");
    assert_eq!(ports(&model).len(), 5);
    assert_eq!(selected_port(&model), None, "the keys are with the apps");
    press(&mut model, "\tv");
    assert_eq!(selected_port(&model), Some(22));
}

#[test]
fn the_selection_stays_on_its_connection_while_others_come_and_go() {
    let mut model = model();
    press(&mut model, "sss\t");
    assert_eq!(model.wish.sort, Sort::Newest);
    press(&mut model, "vv");
    assert_eq!(selected_port(&model), Some(80));
    let newer = |port: u16| Connection {
        decided: at(61),
        ..connection("wget", port, &format!("10.0.0.7:{port}"))
    };
    let more = (1_000..1_100).map(newer).collect();
    model.update(Input::Changes(Box::new(changes(1, 9, more))), at(62));
    assert_eq!(selected_port(&model), Some(80));
    let Position { selected, first } = model.connections;
    assert_eq!(selected, 102);
    assert!(first <= selected && selected < first + 17, "it is to be seen: {first}");
    // When it goes, its place stays.
    let gone =
        Connection { live: false, decided: at(40), ..connection("curl", 40_002, "10.0.0.5:80") };
    model.update(Input::Changes(Box::new(changes(1, 10, vec![gone]))), at(62));
    model.update(Input::Changes(Box::new(changes(1, 11, vec![]))), at(90));
    assert_eq!(model.connections.selected, 102);
    assert_eq!(selected_port(&model), Some(443));
}

#[test]
fn an_app_that_is_gone_gives_way_to_all() {
    let mut model = model();
    press(&mut model, "vv");
    assert_eq!(ports(&model), [22]);
    let ssh = answer().list.connections[0].clone();
    let gone = Connection { live: false, ..ssh };
    model.update(Input::Changes(Box::new(changes(1, 9, vec![gone]))), at(61));
    (62..90).for_each(|second| {
        model.update(Input::Tick, at(second));
    });
    model.update(Input::Changes(Box::new(changes(1, 10, vec![]))), at(90));
    assert_eq!((model.apps.selected, model.wish.app.clone()), (0, None));
    assert_eq!(ports(&model).len(), 4);
}

#[test]
fn the_filter_is_typed_kept_and_cleared() {
    let mut model = model();
    press(&mut model, "/SSHd");
    assert_eq!((model.wish.filter.as_str(), ports(&model)), ("sshd", vec![22]));
    press(&mut model, "x\u{8}\n");
    assert_eq!((model.mode.clone(), ports(&model)), (Mode::Browse, vec![22]));
    press(&mut model, "q");
    assert_eq!(press(&mut model, "/q"), None, "a letter like others");
    press(&mut model, "\u{1b}");
    assert_eq!((model.wish.filter.as_str(), ports(&model).len()), ("", 5));
    press(&mut model, "/22\n");
    press(&mut model, "\u{1b}");
    assert_eq!(ports(&model).len(), 5, "from outside, too");
    press(&mut model, "/");
    press(&mut model, &"x".repeat(500));
    assert_eq!(model.wish.filter.len(), 64);
    assert_eq!(model.update(Input::Key(Key::Interrupt), at(62)), Some(Effect::Quit));
}

#[test]
fn a_rule_is_shown_asked_about_and_written_once() {
    let mut model = model();
    press(&mut model, "\tb");
    let shown = dialog(&model).clone();
    assert_eq!((shown.permission, shown.whom.as_str()), (Permission::Deny, "curl"));
    assert_eq!(shown.choices.len(), 3);
    let effect = press(&mut model, "vvv\n");
    let Some(Effect::Change(Change::AddRule(rule))) = effect else {
        panic!("nothing is written: {effect:?}")
    };
    let NewRule { app, list, rule, .. } = *rule;
    assert_eq!(app.map(|app| app.to_string()).as_deref(), Some("path=/usr/bin/curl"));
    assert_eq!((list, rule.as_str()), (RuleList::Outgoing, "- 10.0.0.5 TCP/443"));
    assert_eq!(press(&mut model, "\n"), None, "once");
    assert_eq!(dialog(&model).stage, Stage::Writing);
    model.update(Input::Rule(Ok(Box::new(done()))), at(62));
    assert_eq!(model.mode, Mode::Browse);
    let notice = model.notice.clone().map(|(text, _)| text);
    assert_eq!(notice.as_deref(), Some("- * is in force, first in app[1].outgoing_rules"));
    (62..75).for_each(|second| {
        model.update(Input::Tick, at(second));
    });
    assert_eq!(model.notice, None);
}

#[test]
fn escape_leaves_without_a_rule_and_a_refusal_is_shown() {
    let mut model = model();
    press(&mut model, "va");
    assert_eq!(dialog(&model).permission, Permission::Permit);
    assert_eq!(dialog(&model).choices.len(), 2);
    assert_eq!(press(&mut model, "\u{1b}"), None);
    assert_eq!(model.mode, Mode::Browse);
    assert!(press(&mut model, "a\n").is_some());
    model.update(Input::Rule(Err("only root may do this".to_owned())), at(62));
    assert_eq!(dialog(&model).stage, Stage::Failed("only root may do this".to_owned()));
    assert_eq!(press(&mut model, "\n"), None, "seen");
    assert_eq!(model.mode, Mode::Browse);
    // One that was left before the answer came.
    press(&mut model, "a\n");
    press(&mut model, "\u{1b}");
    model.update(Input::Rule(Err("too late".to_owned())), at(62));
    assert_eq!(model.notice.clone().map(|(text, _)| text).as_deref(), Some("too late"));
}

#[test]
fn nothing_selected_is_nothing_blocked() {
    let mut model = model();
    press(&mut model, "b");
    assert_eq!(model.mode, Mode::Browse);
    assert!(model.notice.is_some());
    let mut empty = Model::new((100, 30), at(60));
    for keys in ["b", "\tb", "\n", "\u{1b}", "v^", "/x\n", "s", "?", "q"] {
        press(&mut empty, keys);
    }
    assert_eq!(press(&mut empty, "q"), Some(Effect::Quit));
}

#[test]
fn prompts_are_answered_on_a_page_of_their_own() {
    let mut model = model();
    model.update(Input::Prompts(Box::new(prompts())), at(60));
    assert_eq!(
        press(&mut model, "pu"),
        Some(Effect::Change(Change::Answer(AnswerPrompt {
            id: PromptId(2),
            choice: Choice::Allow,
            extent: Extent::App,
            lasting: Lasting::UntilAppEnds,
        })))
    );
    assert_eq!((model.page, model.mode.clone()), (Page::Prompts, Mode::Browse));
    model.update(Input::Answered(Ok("allowed; 1 connection waited for it".to_owned())), at(62));
    let notice = |model: &Model| model.notice.clone().map(|(text, _)| text).unwrap_or_default();
    assert_eq!(notice(&model), "allowed; 1 connection waited for it");
    assert!(press(&mut model, "A").is_some(), "the next answer may be given");
    model.update(Input::Answered(Err("there is no prompt 2".to_owned())), at(62));
    assert_eq!(notice(&model), "Not taken: there is no prompt 2");
    // Keys of the lists mean nothing here, those of both do.
    assert_eq!(press(&mut model, "s"), None);
    assert_eq!(model.wish.sort, Sort::default());
    press(&mut model, "/wget\n");
    assert_eq!(model.prompts.rows.len(), 1);
    press(&mut model, "\u{1b}v\n");
    assert_eq!(model.mode, Mode::Details(0));
    press(&mut model, "\n\u{1b}");
    assert_eq!(model.page, Page::Lists);
    press(&mut model, "pvp");
    assert_eq!((model.page, model.apps.selected), (Page::Lists, 0), "the lists didn't move");
    assert_eq!(press(&mut model, "pq"), Some(Effect::Quit));
}

#[test]
fn what_lies_over_the_lists_scrolls_and_closes() {
    let mut model = model();
    for (key, open) in [("?", Mode::Help(0)), ("\n", Mode::Details(0))] {
        press(&mut model, key);
        assert_eq!(model.mode, open);
        press(&mut model, "vv^");
        assert!(matches!(model.mode, Mode::Help(1) | Mode::Details(1)));
        press(&mut model, "q");
        assert_eq!(model.mode, Mode::Browse);
    }
}

#[test]
fn a_seawall_that_goes_away_is_missed_and_what_was_known_stays() {
    let mut model = model();
    model.update(Input::Lost("nobody answers".to_owned()), at(61));
    assert_eq!(model.link, Link::Lost("nobody answers".to_owned()));
    assert_eq!(ports(&model).len(), 5);
    let health = Health {
        protection: Protection::Protected,
        reasons: Vec::new(),
        running: 9,
        components: 9,
        asked: 0,
    };
    model.update(Input::Health(health), at(62));
    assert_eq!(model.link, Link::Up);
}

#[test]
fn a_held_picture_keeps_its_graphs() {
    let mut model = model();
    press(&mut model, " ");
    assert!(model.paused);
    model.update(Input::Tick, at(62));
    assert!(model.known.graph.is_empty());
    press(&mut model, " ");
    model.update(Input::Tick, at(63));
    assert_eq!(model.known.graph.len(), 1);
}

#[test]
fn moves_stay_within_the_list() {
    let cases = [
        (0, Move::Up, 0),
        (0, Move::Down, 1),
        (9, Move::Down, 9),
        (5, Move::PageUp, 2),
        (5, Move::PageDown, 8),
        (8, Move::PageDown, 9),
        (5, Move::Home, 0),
        (5, Move::End, 9),
    ];
    for (from, to, expected) in cases {
        assert_eq!(moved(from, to, 4, 9), expected, "{from} {to:?}");
    }
    assert_eq!(moved(0, Move::PageDown, 0, 0), 0);
}

#[test]
fn the_selection_is_always_to_be_seen() {
    for count in 0..40 {
        for page in 0..20 {
            let mut position = Position::default();
            for selected in [0, 5, 39, 3, 20, 19, 21, 0] {
                position.selected = selected;
                position.show(page, count);
                let Position { selected, first } = position;
                assert!(selected <= count.saturating_sub(1));
                assert!(page == 0 || (first..first + page).contains(&selected), "{position:?}");
                assert!(first <= count.saturating_sub(page), "{position:?} of {count} in {page}");
            }
        }
    }
}

#[test]
fn any_keys_at_any_time_are_taken() {
    use proptest::prelude::*;
    let keys = proptest::collection::vec(
        prop_oneof![
            proptest::char::any().prop_map(Key::Character),
            Just(Key::Enter),
            Just(Key::Escape),
            Just(Key::Tab),
            Just(Key::Backspace),
            Just(Key::Move(Move::PageDown)),
            Just(Key::Move(Move::End)),
            Just(Key::Move(Move::Up)),
            "[ab/?s jkpedwUA]".prop_map(|text| Key::Character(text.chars().next().unwrap_or(' '))),
        ],
        0..60,
    );
    proptest!(|(keys in keys, columns in 0..200_u16, lines in 0..60_u16)| {
        let mut model = model();
        model.update(Input::Prompts(Box::new(prompts())), at(60));
        model.update(Input::Resize(columns, lines), at(61));
        for key in keys {
            model.update(Input::Key(key), at(61));
        }
        model.update(Input::Changes(Box::new(Changes { moves: None, ..changes(2, 1, vec![]) })), at(99));
    });
}
