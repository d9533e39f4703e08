//! Which connections share a prompt, when it is missed, what an answer covers.

use std::time::{Duration, SystemTime};

use seawall_messages::flow::{Direction, Flow, Protocol, Transport};
use seawall_messages::policy::{AppMatch, RuleList};
use seawall_messages::prompt::{
    AnswerPrompt, Asker, Choice, Covers, Extent, Lasting, Outcome, PromptId, PromptState, Prompts,
    Question, Refusal, Uses,
};

use super::{TIMEOUT, asker, at, flow, question};
use crate::book::{Book, FEW, Kept, MOST_ANSWERS, MOST_PROMPTS, MOST_TARGETS, MOST_WAITING, ONCE};
use crate::rule::rule;

fn empty() -> Book {
    Book::open(Kept::default())
}

fn ask(book: &mut Book, name: &str, flow: Flow, now: SystemTime) -> Outcome {
    book.ask(&question(name, flow), TIMEOUT, now, 5)
}

fn ids(list: &Prompts) -> Vec<u64> {
    list.prompts.iter().map(|prompt| prompt.id.0).collect()
}

fn answer(id: u64, choice: Choice, extent: Extent, lasting: Lasting) -> AnswerPrompt {
    AnswerPrompt { id: PromptId(id), choice, extent, lasting }
}

fn allow(id: u64, extent: Extent, lasting: Lasting) -> AnswerPrompt {
    answer(id, Choice::Allow, extent, lasting)
}

const WAITS: Outcome = Outcome::Waits { answers: 5, at_most: TIMEOUT };

#[test]
fn connections_share_a_prompt_by_app_direction_address_and_port() {
    let mut book = empty();
    let first = flow(1, 40_000, 443);
    let inbound = Flow { direction: Direction::Inbound, ..first };
    let udp = Flow { protocol: Protocol::UDP, ..first };
    // App, connection, the prompt that it is about.
    let cases = [
        ("curl", first, 1),
        ("curl", flow(1, 40_001, 443), 1),
        ("curl", first, 1),
        ("curl", udp, 1),
        ("wget", first, 2),
        ("curl", flow(2, 40_000, 443), 3),
        ("curl", flow(1, 40_000, 80), 4),
        ("curl", inbound, 5),
    ];
    for (name, flow, expected) in cases {
        assert_eq!(ask(&mut book, name, flow, at(0)), WAITS, "{name} {flow}");
        let list = book.list();
        let theirs = list.prompts.iter().find(|prompt| prompt.id.0 == expected);
        assert_eq!(theirs.expect("a prompt").direction, flow.direction, "{name} {flow}");
        assert_eq!(
            list.prompts.last().map(|prompt| prompt.id.0),
            Some(expected.max(list.prompts.len() as u64))
        );
    }
    let waiting: Vec<_> = book.list().prompts.iter().map(|prompt| prompt.waiting).collect();
    assert_eq!(waiting, [3, 1, 1, 1, 1], "a connection that asks again is one");
}

#[test]
fn many_prompts_of_an_app_become_one_about_all_of_it() {
    let mut book = empty();
    ask(&mut book, "other", flow(1, 1, 443), at(0));
    for host in 0..u8::try_from(FEW).expect("few") {
        ask(&mut book, "curl", flow(host, 1, 443), at(0));
    }
    assert_eq!(ids(&book.list()), [1, 2, 3, 4, 5]);
    assert_eq!(ask(&mut book, "curl", flow(200, 1, 443), at(1)), WAITS);
    let list = book.list();
    assert_eq!(ids(&list), [1, 2], "in the place of the oldest");
    let whole = &list.prompts[1];
    assert!(whole.whole_app && !list.prompts[0].whole_app);
    assert_eq!((whole.targets.len(), whole.more_targets, whole.waiting), (5, 0, 5));
    for host in 0..=255 {
        ask(&mut book, "curl", flow(host, 1, 443), at(2));
    }
    let whole = &book.list().prompts[1];
    assert_eq!(ids(&book.list()), [1, 2]);
    assert!(whole.targets.len() < MOST_TARGETS, "some are told");
    assert!(whole.more_targets > 200, "the rest is counted: {}", whole.more_targets);
    assert_eq!(whole.waiting, MOST_WAITING);
    // Its answer is about the app, too.
    let refused = book.take(&allow(2, Extent::Address, Lasting::Once), at(3));
    assert!(matches!(refused, Err(Refusal::Invalid(why)) if why.contains("whole app")));
    assert_eq!(
        book.take(&allow(2, Extent::App, Lasting::Once), at(3)).expect("taken").waited,
        MOST_WAITING
    );
}

#[test]
fn a_prompt_is_missed_and_a_retry_opens_it_again() {
    let mut book = empty();
    ask(&mut book, "curl", flow(1, 1, 443), at(0));
    let state = |book: &Book| book.list().prompts[0].state;
    assert_eq!(book.next_look(at(0)), Some(TIMEOUT));
    assert_eq!(book.pass(at(59), TIMEOUT, |_| true), 0);
    assert_eq!(state(&book), PromptState::Waits { until: at(60) });
    // A second connection waits longer, the prompt with it.
    ask(&mut book, "curl", flow(1, 2, 443), at(30));
    ask(&mut book, "curl", flow(1, 1, 443), at(40));
    assert_eq!(state(&book), PromptState::Waits { until: at(90) }, "asked again is not longer");
    assert_eq!(book.pass(at(90), TIMEOUT, |_| true), 1);
    assert_eq!(state(&book), PromptState::Missed { since: at(90) });
    assert_eq!((book.list().prompts[0].waiting, book.counts()), (0, (0, 1)));
    assert_eq!(book.next_look(at(90)), None);
    assert_eq!(ask(&mut book, "curl", flow(1, 3, 443), at(100)), WAITS);
    assert_eq!(state(&book), PromptState::Waits { until: at(160) });
    assert_eq!(ids(&book.list()), [1]);
    // The clock was set back.
    assert_eq!(book.pass(at(10), TIMEOUT, |_| true), 0);
    assert_eq!(state(&book), PromptState::Waits { until: at(70) });
}

#[test]
fn an_answer_counts_for_what_it_says() {
    let address = [9, 9, 9, 1].into();
    let every = Uses::Every;
    let cases = [
        (Extent::App, Lasting::Seconds(600), Covers::App, every.clone(), Some(at(601))),
        (Extent::App, Lasting::UntilAppEnds, Covers::App, every.clone(), None),
        (
            Extent::Address,
            Lasting::Seconds(1),
            Covers::Address(address),
            every.clone(),
            Some(at(2)),
        ),
        (Extent::Port, Lasting::Seconds(1), Covers::Port(443), every, Some(at(2))),
        (
            Extent::AddressPort,
            Lasting::Once,
            Covers::AddressPort(address, Some(443)),
            Uses::These(vec![flow(1, 1, 443)]),
            Some(at(1) + ONCE),
        ),
    ];
    for (extent, lasting, covers, uses, until) in cases {
        let mut book = empty();
        ask(&mut book, "curl", flow(1, 1, 443), at(0));
        let taken = book.take(&allow(1, extent, lasting), at(1)).expect("taken");
        assert_eq!((taken.waited, taken.rule), (1, None));
        let list = book.list();
        assert!(list.prompts.is_empty(), "{extent:?}");
        let given = &list.answers[0];
        assert_eq!((&given.covers, &given.uses, given.until), (&covers, &uses, until));
        assert!(book.answers_changed());
        // What waits, and asks again, is answered.
        let outcome = ask(&mut book, "curl", flow(1, 1, 443), at(1));
        assert_eq!(outcome, Outcome::Answered(Choice::Allow), "{extent:?} {lasting:?}");
        assert_eq!(ask(&mut book, "wget", flow(1, 1, 443), at(1)), WAITS);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut book = empty();
    let echo = Flow {
        protocol: Protocol::ICMP,
        transport: Transport::Icmp { kind: 8, code: 0, identifier: 1 },
        ..flow(1, 1, 1)
    };
    book.ask(&question("ping", echo), TIMEOUT, at(0), 1);
    let nobody = Asker { process: None, ..asker("ping") };
    let theirs = Question { asker: nobody, ..question("ping", flow(2, 1, 443)) };
    book.ask(&theirs, TIMEOUT, at(0), 1);
    let before = book.list();
    let cases = [
        allow(3, Extent::App, Lasting::Once),
        allow(1, Extent::Port, Lasting::Once),
        allow(2, Extent::Domain, Lasting::Once),
        allow(2, Extent::Zone, Lasting::Always),
        allow(1, Extent::App, Lasting::Seconds(0)),
        allow(1, Extent::App, Lasting::Seconds(u64::MAX)),
        allow(1, Extent::App, Lasting::Always),
        allow(2, Extent::App, Lasting::UntilAppEnds),
    ];
    for answer in cases {
        assert!(book.take(&answer, at(1)).is_err(), "{answer:?}");
        assert_eq!(book.list(), before, "{answer:?}");
    }
    assert_eq!(book.dismiss(PromptId(9), at(1)), Err(Refusal::Unknown(PromptId(9))));
    assert!(book.take(&allow(1, Extent::AddressPort, Lasting::Once), at(1)).is_ok());
}

#[test]
fn said_once_and_late_it_is_for_the_next_connection_alone() {
    let mut book = empty();
    ask(&mut book, "curl", flow(1, 1, 443), at(0));
    book.pass(at(60), TIMEOUT, |_| true);
    let late = allow(1, Extent::AddressPort, Lasting::Once);
    assert_eq!(book.take(&late, at(100)).expect("taken").waited, 0);
    assert_eq!(book.list().answers[0].uses, Uses::Next);
    assert_eq!(ask(&mut book, "curl", flow(2, 1, 443), at(101)), WAITS, "another address");
    let allowed = Outcome::Answered(Choice::Allow);
    assert_eq!(ask(&mut book, "curl", flow(1, 2, 443), at(102)), allowed);
    assert_eq!(ask(&mut book, "curl", flow(1, 2, 443), at(103)), allowed, "it asks again");
    assert_eq!(ask(&mut book, "curl", flow(1, 3, 443), at(103)), WAITS, "the one after");
    // A minute later it is over.
    let mut book = empty();
    ask(&mut book, "curl", flow(1, 1, 443), at(0));
    book.pass(at(60), TIMEOUT, |_| true);
    book.take(&late, at(100)).expect("taken");
    assert_eq!(ask(&mut book, "curl", flow(1, 2, 443), at(160)), WAITS);
}

#[test]
fn an_answer_ends_the_prompts_that_it_covers() {
    // What is said of prompt 1 (9.9.9.1:443), and the prompts that are left.
    let seconds = Lasting::Seconds(60);
    let cases = [
        (Extent::AddressPort, seconds, vec![2, 3, 4, 5]),
        (Extent::Address, seconds, vec![3, 4, 5]),
        (Extent::Port, seconds, vec![2, 4, 5]),
        (Extent::App, seconds, vec![4, 5]),
        (Extent::App, Lasting::Once, vec![2, 3, 4, 5]),
        (Extent::App, Lasting::UntilAppEnds, vec![4, 5]),
    ];
    for (extent, lasting, left) in cases {
        let mut book = empty();
        ask(&mut book, "curl", flow(1, 1, 443), at(0));
        ask(&mut book, "curl", flow(1, 1, 80), at(0));
        ask(&mut book, "curl", flow(2, 1, 443), at(0));
        ask(&mut book, "wget", flow(1, 1, 443), at(0));
        ask(&mut book, "curl", Flow { direction: Direction::Inbound, ..flow(1, 1, 443) }, at(0));
        book.take(&allow(1, extent, lasting), at(1)).expect("taken");
        assert_eq!(ids(&book.list()), left, "{extent:?} {lasting:?}");
    }
}

#[test]
fn a_later_answer_takes_the_place_of_one_about_the_same() {
    let mut book = empty();
    for (second, choice) in [(0, Choice::Allow), (700, Choice::Block)] {
        // The first is over by then, so it is asked about again.
        let id = book.list().prompts.len() as u64 + second / 700 + 1;
        ask(&mut book, "curl", flow(1, 1, 443), at(second));
        book.take(&answer(id, choice, Extent::App, Lasting::Seconds(600)), at(second))
            .expect("taken");
    }
    let list = book.list();
    assert_eq!(list.answers.len(), 1);
    assert_eq!(list.answers[0].choice, Choice::Block);
}

#[test]
fn an_answer_ends_with_its_time_or_its_process() {
    let mut book = empty();
    for (id, lasting) in [(1, Lasting::Seconds(10)), (2, Lasting::UntilAppEnds)] {
        ask(&mut book, "curl", flow(u8::try_from(id).expect("small"), 1, 443), at(0));
        book.take(&allow(id, Extent::AddressPort, lasting), at(0)).expect("taken");
    }
    book.stored();
    let answers = |book: &Book| ids_of_answers(&book.list());
    book.pass(at(9), TIMEOUT, |_| true);
    assert_eq!(answers(&book), [1, 2]);
    book.pass(at(10), TIMEOUT, |_| true);
    assert_eq!(answers(&book), [2]);
    assert!(book.next_look(at(10)).is_some_and(|wait| wait <= Duration::from_secs(60)));
    book.pass(at(11), TIMEOUT, |_| false);
    assert!(answers(&book).is_empty());
    let gone = book.changes().answers;
    assert_eq!(gone, [(PromptId(1), None), (PromptId(2), None)]);
}

fn ids_of_answers(list: &Prompts) -> Vec<u64> {
    list.answers.iter().map(|given| given.id.0).collect()
}

#[test]
fn what_is_dismissed_is_denied_once() {
    let mut book = empty();
    ask(&mut book, "curl", flow(1, 1, 443), at(0));
    book.dismiss(PromptId(1), at(1)).expect("there");
    assert!(book.list().prompts.is_empty());
    let denied = Outcome::Answered(Choice::Block);
    assert_eq!(ask(&mut book, "curl", flow(1, 1, 443), at(1)), denied);
    assert_eq!(ask(&mut book, "curl", flow(1, 2, 443), at(1)), WAITS, "the next one asks");
    // An answer can be taken back.
    book.dismiss(PromptId(1), at(2)).expect("there");
    assert!(book.list().answers.is_empty());
}

#[test]
fn all_is_bounded_and_what_was_missed_longest_ago_goes_first() {
    let mut book = empty();
    let name = |number: usize| format!("app{number}");
    for number in 0..MOST_PROMPTS {
        assert_eq!(ask(&mut book, &name(number), flow(1, 1, 443), at(0)), WAITS);
    }
    assert_eq!(ask(&mut book, "late", flow(1, 1, 443), at(0)), Outcome::Full, "all wait");
    assert_eq!(ask(&mut book, &name(3), flow(1, 2, 443), at(30)), WAITS, "that one is there");
    book.pass(at(60), TIMEOUT, |_| true);
    assert_eq!(ask(&mut book, "late", flow(1, 1, 443), at(61)), WAITS);
    assert_eq!(book.list().prompts.len(), MOST_PROMPTS);
    let waiting = book.counts().0;
    assert_eq!(waiting, 2, "those that wait stay");
    let mut one = empty();
    for port in 0..u16::try_from(MOST_WAITING).expect("few") {
        assert_eq!(ask(&mut one, "curl", flow(1, port, 443), at(0)), WAITS);
    }
    assert_eq!(ask(&mut one, "curl", flow(1, 60_000, 443), at(0)), Outcome::Full);
    assert_eq!(ask(&mut one, "curl", flow(1, 60_000, 443), at(60)), WAITS, "they wait no more");
    let mut many = empty();
    for number in 0..MOST_ANSWERS + 3 {
        ask(&mut many, &name(number), flow(1, 1, 443), at(0));
        let id = u64::try_from(number).expect("few") + 1;
        many.take(&allow(id, Extent::App, Lasting::Seconds(600)), at(0)).expect("taken");
    }
    let left = ids_of_answers(&many.list());
    assert_eq!((left.len(), left[0]), (MOST_ANSWERS, 4));
}

#[test]
fn a_hundred_apps_that_call_everywhere_are_a_hundred_prompts() {
    let mut book = empty();
    for host in 0..50 {
        for app in 0..100 {
            ask(&mut book, &format!("app{app}"), flow(host, 1, 443), at(0));
        }
    }
    let list = book.list();
    assert_eq!(list.prompts.len(), 100);
    assert!(list.prompts.iter().all(|prompt| prompt.whole_app && prompt.waiting == MOST_WAITING));
}

#[test]
fn an_answer_for_good_is_a_rule_of_the_app() {
    let mut book = empty();
    ask(&mut book, "curl", flow(1, 1, 443), at(0));
    let tagged = Asker {
        app: seawall_messages::process::App {
            id: "snap:firefox".into(),
            kind: seawall_messages::process::AppKind::Snap,
            ..asker("firefox").app
        },
        ..asker("firefox")
    };
    let inbound = Flow { direction: Direction::Inbound, ..flow(2, 1, 22) };
    let theirs = Question { asker: tagged, ..question("firefox", inbound) };
    book.ask(&theirs, TIMEOUT, at(0), 1);
    let curl = AppMatch::Path("/bin/curl".to_owned());
    let firefox = AppMatch::Tag("snap:firefox".to_owned());
    let (out, into) = (RuleList::Outgoing, RuleList::Incoming);
    let cases = [
        (1, Choice::Allow, Extent::App, &curl, out, "+ *"),
        (1, Choice::Block, Extent::App, &curl, out, "- *"),
        (1, Choice::Allow, Extent::Address, &curl, out, "+ 9.9.9.1"),
        (1, Choice::Allow, Extent::Port, &curl, out, "+ * */443"),
        (1, Choice::Block, Extent::AddressPort, &curl, out, "- 9.9.9.1 */443"),
        (2, Choice::Allow, Extent::App, &firefox, into, "+ *"),
    ];
    for (id, choice, extent, app, list, text) in cases {
        let answer = answer(id, choice, extent, Lasting::Always);
        let (record, covers) = book.asked(&answer).expect("there");
        let rule = rule(record, covers, choice).expect("it means the app alone");
        assert_eq!((rule.app.as_ref(), rule.list, &*rule.rule), (Some(app), list, text));
    }
    let (record, covers) = book.asked(&allow(1, Extent::App, Lasting::Always)).expect("there");
    let mut starry = record.clone();
    starry.asker.path = "/home/u/*".into();
    assert_eq!(rule(&starry, covers, Choice::Allow), None, "it would mean others, too");
    assert_eq!(book.became_rule(&allow(1, Extent::App, Lasting::Always), at(1)), 1);
    assert_eq!(ids(&book.list()), [2]);
    assert!(book.list().answers.is_empty());
}
