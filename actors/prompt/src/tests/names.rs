//! Connections whose name is known: what shares a prompt, and what answers about names cover.

use seawall_messages::policy::NewRule;
use seawall_messages::prompt::{
    AnswerPrompt, Choice, Covers, Extent, Lasting, Outcome, PromptId, Refusal,
};

use super::{TIMEOUT, at, flow, named, question};
use crate::book::{Book, FEW, Kept, MOST_TARGETS};
use crate::rule::rule;
use crate::store::Store;

const WEB: &str = "www.example.com.";
const ALLOWED: Outcome = Outcome::Answered(Choice::Allow);

fn empty() -> Book {
    Book::open(Kept::default())
}

fn ask(book: &mut Book, domain: &str, host: u8, own_port: u16, port: u16) -> Outcome {
    let question = match domain {
        "" => question("curl", flow(host, own_port, port)),
        domain => named("curl", domain, flow(host, own_port, port)),
    };
    book.ask(&question, TIMEOUT, at(0), 1)
}

fn allow(id: u64, extent: Extent, lasting: Lasting) -> AnswerPrompt {
    AnswerPrompt { id: PromptId(id), choice: Choice::Allow, extent, lasting }
}

fn ids(book: &Book) -> Vec<u64> {
    book.list().prompts.iter().map(|prompt| prompt.id.0).collect()
}

#[test]
fn connections_share_a_prompt_by_name_and_port() {
    let mut book = empty();
    // Name, address, port; the prompt that it is about.
    let cases = [
        (WEB, 1, 443, 1),
        (WEB, 2, 443, 1),
        (WEB, 1, 80, 2),
        ("cdn.example.com.", 1, 443, 3),
        ("", 1, 443, 4),
        (WEB, 3, 443, 1),
    ];
    for (domain, host, port, expected) in cases {
        ask(&mut book, domain, host, 1, port);
        let list = book.list();
        let prompt = list.prompts.iter().find(|prompt| prompt.id.0 == expected);
        let prompt = prompt.unwrap_or_else(|| panic!("no prompt {expected}: {list:?}"));
        let about = |target: &seawall_messages::prompt::Target| {
            (target.name.as_deref().unwrap_or_default(), target.address)
                == (domain, [9, 9, 9, host].into())
        };
        assert!(prompt.targets.iter().any(about), "{domain} {host}: {prompt:?}");
    }
    assert_eq!(ids(&book), [1, 2, 3, 4]);
    assert_eq!(book.list().prompts[0].waiting, 3);
    // One more, and they are about the whole app.
    assert_eq!(book.list().prompts.len(), FEW);
    ask(&mut book, "other.example.com.", 9, 1, 443);
    let list = book.list();
    assert_eq!((list.prompts.len(), list.prompts[0].whole_app), (1, true));
    assert_eq!(list.prompts[0].targets.len(), 7, "each by its name and address");
    assert_eq!(list.prompts[0].extents(), [Extent::App]);
}

#[test]
fn a_name_with_many_addresses_is_one_prompt_and_bounded() {
    let mut book = empty();
    for host in 0..=255 {
        ask(&mut book, WEB, host, 1, 443);
    }
    let prompt = &book.list().prompts[0];
    assert!(!prompt.whole_app);
    assert!(usize::try_from(prompt.more_targets).expect("few") >= 256 - MOST_TARGETS);
    assert_eq!(prompt.usual_extent(), Extent::Domain);
    assert_eq!(prompt.extents(), [Extent::Domain, Extent::Zone, Extent::Port, Extent::App]);
}

#[test]
fn an_answer_about_a_name_counts_for_what_it_says() {
    // The extent; whether it covers another address, another name of the zone, another port,
    // and a connection to the same address without a name.
    let cases = [
        (Extent::AddressPort, [false, false, false, true]),
        (Extent::Address, [false, true, true, true]),
        (Extent::Domain, [true, false, true, false]),
        (Extent::Zone, [true, true, true, false]),
        (Extent::Port, [true, true, false, true]),
        (Extent::App, [true, true, true, true]),
    ];
    for (extent, expected) in cases {
        let mut book = empty();
        ask(&mut book, WEB, 1, 1, 443);
        let taken = book.take(&allow(1, extent, Lasting::Seconds(600)), at(0)).expect("taken");
        assert_eq!(taken.waited, 1, "{extent:?}");
        assert_eq!(ask(&mut book, WEB, 1, 2, 443), ALLOWED, "{extent:?}");
        let others = [(WEB, 2, 443), ("cdn.example.com.", 1, 444), (WEB, 1, 80), ("", 1, 443)];
        let found = others.map(|(domain, host, port)| {
            let port =
                if domain == "cdn.example.com." && extent == Extent::Port { 443 } else { port };
            ask(&mut book, domain, host, 3, port) == ALLOWED
        });
        assert_eq!(found, expected, "{extent:?}");
    }
}

#[test]
fn said_once_it_is_for_what_waited_of_that_name() {
    let mut book = empty();
    ask(&mut book, WEB, 1, 1, 443);
    ask(&mut book, WEB, 2, 1, 443);
    let refused = book.take(&allow(1, Extent::AddressPort, Lasting::Once), at(1));
    assert!(matches!(refused, Err(Refusal::Invalid(why)) if why.contains("several addresses")));
    let taken = book.take(&allow(1, Extent::Domain, Lasting::Once), at(1)).expect("taken");
    assert_eq!(taken.waited, 2);
    assert_eq!(ask(&mut book, WEB, 1, 1, 443), ALLOWED);
    assert_eq!(ask(&mut book, WEB, 2, 1, 443), ALLOWED);
    assert_ne!(ask(&mut book, WEB, 2, 2, 443), ALLOWED, "the next one asks");
}

#[test]
fn an_answer_ends_the_prompts_of_its_names() {
    let seconds = Lasting::Seconds(60);
    let cases = [(Extent::Domain, vec![3, 4]), (Extent::Zone, vec![4]), (Extent::Port, vec![2])];
    for (extent, left) in cases {
        let mut book = empty();
        ask(&mut book, WEB, 1, 1, 443);
        ask(&mut book, WEB, 1, 1, 80);
        ask(&mut book, "cdn.example.com.", 1, 1, 443);
        ask(&mut book, "", 1, 1, 443);
        book.take(&allow(1, extent, seconds), at(1)).expect("taken");
        assert_eq!(ids(&book), left, "{extent:?}");
    }
}

#[test]
fn an_answer_for_good_is_a_rule_about_the_name() {
    let mut book = empty();
    ask(&mut book, "www.example.co.uk.", 1, 1, 443);
    let cases = [
        (Extent::Domain, Choice::Allow, "+ www.example.co.uk"),
        (Extent::Zone, Choice::Block, "- .example.co.uk"),
    ];
    for (extent, choice, expected) in cases {
        let answer = AnswerPrompt { choice, ..allow(1, extent, Lasting::Always) };
        let (record, covers) = book.asked(&answer).expect("it can be");
        let NewRule { rule, .. } = rule(record, covers, choice).expect("it means the app alone");
        assert_eq!(rule, expected);
    }
}

#[test]
fn names_outlive_their_book() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("prompt");
    let mut book = empty();
    ask(&mut book, WEB, 1, 1, 443);
    ask(&mut book, "", 2, 1, 443);
    ask(&mut book, "cdn.example.com.", 3, 1, 443);
    book.take(&allow(3, Extent::Zone, Lasting::Seconds(900)), at(0)).expect("taken");
    ask(&mut book, "www.example.org.", 3, 1, 443);
    book.take(&allow(4, Extent::Domain, Lasting::Seconds(900)), at(0)).expect("taken");
    Store::at(&path).write(&book.changes()).expect("written");
    let again = Book::open(Store::at(&path).load().expect("readable"));
    let (mut expected, found) = (book.list(), again.list());
    for prompt in &mut expected.prompts {
        // Whoever waits asks again.
        prompt.waiting = 0;
    }
    assert_eq!(found, expected);
    let covers: Vec<_> = found.answers.into_iter().map(|given| given.covers).collect();
    let (zone, domain) = ("example.com.".into(), "www.example.org.".into());
    assert_eq!(covers, [Covers::Zone(zone), Covers::Domain(domain)]);
}
