//! What keys do to the list of prompts, and what it shows.

use std::time::{Duration, SystemTime};

use seawall_messages::prompt::{
    AnswerPrompt, Choice, Covers, Extent, Given, Lasting, Prompt, PromptId, PromptState, Prompts,
    Uses,
};

use super::{LOOKED_AT, Pressed, PromptPage, Row};
use crate::monitor::input::Change;
use crate::monitor::sample::{self, at};
use crate::verbs::prompts::answer_key;

/// A second after the list was seen.
const LATER: u64 = 62;

fn page(told: Prompts) -> PromptPage {
    let mut page = PromptPage::default();
    page.take(told);
    page.refresh("", 10, at(60));
    page
}

fn ids(page: &PromptPage) -> Vec<u64> {
    page.rows.iter().map(|row| row.id().0).collect()
}

fn selected(page: &PromptPage) -> Option<u64> {
    page.selected().map(|row| row.id().0)
}

fn answered(pressed: Pressed) -> AnswerPrompt {
    match pressed {
        Pressed::Change(Change::Answer(answer)) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

#[test]
fn what_waits_is_first_then_what_was_missed_then_answers() {
    let page = page(sample::prompts());
    assert_eq!(ids(&page), [2, 3, 4, 1, 5]);
    assert_eq!(page.counts(), (3, 1, 1));
    let states: Vec<_> = page.rows.iter().map(|row| row.state(at(60))).collect();
    assert!(states[0].starts_with("waits") && states[3].starts_with("missed"), "{states:?}");
    assert!(page.rows[4].what().starts_with("allow to port 53"), "{:?}", page.rows[4]);
    assert_eq!(PromptPage::default().counts(), (0, 0, 0));
}

#[test]
fn each_key_gives_the_answer_that_prompts_watch_gives() {
    for character in ['a', 'b', 'w', 'W', 'u', 'U', 'A', 'B'] {
        let answer = answered(page(sample::prompts()).key(character, at(LATER)));
        let (choice, lasting) = answer_key(character).expect("an answer");
        let extent = if lasting == Lasting::Once { Extent::AddressPort } else { Extent::App };
        assert_eq!(answer, AnswerPrompt { id: PromptId(2), choice, extent, lasting });
    }
    for character in ['x', 's', 'D', 'é', '1'] {
        assert_eq!(page(sample::prompts()).key(character, at(LATER)), Pressed::Nothing);
    }
}

#[test]
fn the_extent_is_chosen_for_the_selected_prompt_alone() {
    use Extent::{Address, AddressPort, App, Domain, Port, Zone};
    // Which line, and what e goes through.
    let cases = [
        (0, vec![AddressPort, Address, Port, App]),
        (1, vec![Domain, Zone, Port, App]),
        (2, vec![App]),
    ];
    for (line, expected) in cases {
        let mut page = page(sample::prompts());
        page.moved(line);
        for extent in &expected {
            assert_eq!(page.key('e', at(LATER)), Pressed::Nothing);
            assert_eq!(page.extent, Some(*extent), "{line}");
        }
        page.key('e', at(LATER));
        assert_eq!(page.extent, None, "after the last, what the keys say");
        page.key('e', at(LATER));
        let answer = answered(page.key('W', at(LATER)));
        assert_eq!((answer.choice, answer.extent), (Choice::Block, expected[0]));
    }
    let mut page = page(sample::prompts());
    page.key('e', at(LATER));
    page.moved(1);
    assert_eq!(page.extent, None, "it was for the other");
    // One about a name is answered once for the name.
    assert_eq!(answered(page.key('a', at(LATER))).extent, Domain);
}

#[test]
fn an_answer_is_taken_back_and_given_no_other() {
    let mut page = page(sample::prompts());
    page.moved(4);
    for character in ['a', 'U', 'e'] {
        assert!(matches!(page.key(character, at(LATER)), Pressed::Refused(_)), "{character}");
    }
    let dismissed = page.key('d', at(LATER));
    assert_eq!(dismissed, Pressed::Change(Change::Dismiss(PromptId(5))));
}

#[test]
fn one_answer_at_a_time_goes_to_a_prompt() {
    let mut page = page(sample::prompts());
    answered(page.key('a', at(LATER)));
    assert!(matches!(page.key('b', at(LATER)), Pressed::Refused(_)), "it is under way");
    page.answered();
    answered(page.key('b', at(LATER)));
    // Others may be answered meanwhile.
    page.moved(1);
    answered(page.key('a', at(LATER)));
}

#[test]
fn the_selection_stays_while_others_come_and_what_comes_up_is_looked_at_first() {
    let mut page = page(sample::prompts());
    page.moved(1);
    let mut told = sample::prompts();
    let first = told.prompts.remove(0);
    page.take(told.clone());
    page.refresh("", 10, at(62));
    assert_eq!(selected(&page), Some(3), "it moved up");
    answered(page.key('a', at(62)));
    page.answered();
    // It is gone: the next one has its place.
    told.prompts.remove(0);
    page.take(told);
    page.refresh("", 10, at(63));
    assert_eq!(selected(&page), Some(4));
    assert!(matches!(page.key('a', at(63)), Pressed::Refused(_)), "nobody can have read it");
    assert_eq!(page.key('e', at(63)), Pressed::Nothing, "that does no harm");
    answered(page.key('a', at(63) + LOOKED_AT));
    // What comes up where there was nothing, too.
    page.answered();
    page.take(Prompts::default());
    page.refresh("", 10, at(64));
    assert!(matches!(page.key('a', at(70)), Pressed::Refused(_)), "nothing is there");
    page.take(Prompts { prompts: vec![first], answers: Vec::new() });
    page.refresh("", 10, at(71));
    assert!(matches!(page.key('a', at(71)), Pressed::Refused(_)));
    // Unless the user went there.
    page.moved(0);
    answered(page.key('a', at(71)));
}

#[test]
fn the_filter_looks_into_app_place_and_state() {
    let cases = [
        ("", vec![2, 3, 4, 1, 5]),
        ("curl", vec![2]),
        ("/usr/bin/wget", vec![3]),
        ("example.com", vec![3]),
        ("9.9.9.9:443", vec![2, 4]),
        ("missed", vec![1]),
        ("answer", vec![5]),
        ("nothing of that", vec![]),
    ];
    for (filter, expected) in cases {
        let mut page = page(sample::prompts());
        page.refresh(filter, 10, at(61));
        assert_eq!(ids(&page), expected, "{filter}");
    }
}

#[test]
fn an_answer_until_the_app_ends_says_so() {
    let told = sample::prompts();
    let Prompt { asker, .. } = told.prompts[0].clone();
    let given = Given {
        id: PromptId(9),
        choice: Choice::Block,
        asker,
        direction: seawall_messages::Direction::Outbound,
        covers: Covers::App,
        uses: Uses::Every,
        given: at(0),
        until: None,
    };
    let row = Row::Answer(given);
    assert!(row.state(at(60)).starts_with("process"), "{}", row.state(at(60)));
    assert_eq!(row.what(), "block whatever it opens");
    let missed = PromptState::Missed { since: SystemTime::UNIX_EPOCH };
    let early = Row::Prompt(Prompt { state: missed, ..told.prompts[0].clone() });
    // A clock that was set back.
    assert!(early.state(SystemTime::UNIX_EPOCH - Duration::from_secs(5)).starts_with("missed"));
}
