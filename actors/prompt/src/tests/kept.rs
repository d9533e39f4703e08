//! What is stored comes back, and what was damaged is told.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use seawall_messages::prompt::{
    AnswerPrompt, Choice, Covers, Extent, Lasting, PromptId, PromptState,
};

use super::{TIMEOUT, at, flow, question};
use crate::book::{Book, Kept};
use crate::store::{Store, decode_all};

/// A book with a prompt that waits, one that was missed, and answers of each kind.
fn filled() -> Book {
    let mut book = Book::open(Kept::default());
    let ask = |book: &mut Book, name: &str, second: u64| {
        book.ask(&question(name, flow(1, 1, 443)), TIMEOUT, at(second), 1);
    };
    ask(&mut book, "missed", 0);
    book.pass(at(60), TIMEOUT, |_| true);
    let lasting = [Lasting::Seconds(900), Lasting::UntilAppEnds, Lasting::Once];
    for (id, lasting) in (2..).zip(lasting) {
        ask(&mut book, &format!("answered{id}"), 61);
        let (id, choice, extent) = (PromptId(id), Choice::Block, Extent::AddressPort);
        book.take(&AnswerPrompt { id, choice, extent, lasting }, at(62)).expect("taken");
    }
    ask(&mut book, "waits", 63);
    book
}

#[test]
fn prompts_and_answers_outlive_their_book() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("prompt");
    let mut book = filled();
    let mut store = Store::at(&path);
    assert_eq!(store.load().expect("empty"), Kept::default());
    assert!(!path.exists(), "nothing is made before there is something to keep");
    store.write(&book.changes()).expect("written");
    book.stored();
    assert!(book.changes().is_empty());
    drop(store);

    let again = Book::open(Store::at(&path).load().expect("readable"));
    let (mut expected, found) = (book.list(), again.list());
    for prompt in &mut expected.prompts {
        // Whoever waits asks again.
        prompt.waiting = 0;
    }
    assert_eq!(found, expected);

    // What goes is gone for good, and its id is not given again.
    let mut book = again;
    for id in [1, 2, 5] {
        book.dismiss(PromptId(id), at(64)).expect("there");
    }
    let mut store = Store::at(&path);
    store.write(&book.changes()).expect("written");
    let mut again = Book::open(store.load().expect("readable"));
    assert_eq!(again.list(), book.list());
    again.ask(&question("new", flow(1, 1, 443)), TIMEOUT, at(65), 1);
    assert_eq!(again.list().prompts[0].id, PromptId(6));
}

/// Records as format 1 has them: what an earlier Seawall wrote is read by every later one.
#[test]
fn records_of_format_one_are_read() {
    let prompt: &[u8] = b"\x0bpath:/bin/x\x00\x01x\x00\x06/bin/x\x01\x07d\x00\x00\x01\x06\x00\x09\x09\x09\x09\x01\xbb\x03\x00\x80\xd0\x95\xff\xbc1\x00\x80\xd0\x95\xff\xbc1";
    let answer: &[u8] = b"\x0bpath:/bin/x\x00\x01x\x00\x06/bin/x\x01\x07d\x00\x00\x03\x00\x09\x09\x09\x09\x01\xbb\x03\x00\x80\xd0\x95\xff\xbc1\x01\x80\xd0\x95\xff\xbc1";
    let records =
        [(&b"prompt/\0\0\0\0\0\0\0\x03"[..], prompt), (&b"answer/\0\0\0\0\0\0\0\x02"[..], answer)];
    let kept = decode_all(records).expect("readable");
    let (id, record) = &kept.prompts[0];
    assert_eq!((id.0, &*record.asker.path, record.targets[0].port), (3, "/bin/x", Some(443)));
    let since_1970 = Duration::from_millis(1_700_000_000_000);
    let until = SystemTime::UNIX_EPOCH + since_1970;
    assert_eq!(record.state, PromptState::Waits { until });
    let given = &kept.answers[0];
    assert_eq!((given.id.0, given.choice, given.until), (2, Choice::Allow, Some(until)));
    assert_eq!(given.covers, Covers::AddressPort([9, 9, 9, 9].into(), Some(443)));
    assert_eq!(record.targets[0].name, None);
    // With a name behind it, and with one that is none.
    let cases =
        [(&b"\x01\x01\x04a.b."[..], Some("a.b.")), (b"\x01\x01\x03A b", None), (b"\x01", None)];
    for (names, expected) in cases {
        let value = [prompt, names].concat();
        let found = decode_all([(&b"prompt/\0\0\0\0\0\0\0\x03"[..], &value[..])]);
        let name = found.ok().and_then(|kept| kept.prompts[0].1.targets[0].name.clone());
        assert_eq!(name.as_deref(), expected, "{names:?}");
    }
}

#[test]
fn what_is_damaged_or_newer_is_not_made_sense_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("prompt");
    std::fs::write(&path, "no folder").expect("written");
    assert!(Store::at(&path).write(&filled().changes()).is_err());
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("version"), "nonsense").expect("written");
    assert!(Store::at(&other).load().is_err());
    let cases: [(&[u8], &[u8]); 4] = [
        (b"prompt/1", b""),
        (b"prompt/12345678", b"\xff\xff"),
        (b"answer/12345678", b"\x01"),
        (b"next-id", b""),
    ];
    for (key, value) in cases {
        assert!(decode_all([(key, value)]).is_err(), "{key:?}");
    }
    assert!(decode_all([(&b"later"[..], &b"x"[..])]).is_ok(), "what nobody knows stays");
}

proptest! {
    #[test]
    fn whatever_is_stored_is_read_without_a_panic(
        records in prop::collection::vec(
            (prop_oneof![Just(b"prompt/12345678".to_vec()), Just(b"answer/12345678".to_vec()), prop::collection::vec(any::<u8>(), 0..20)],
             prop::collection::vec(any::<u8>(), 0..200)),
            0..4,
        )
    ) {
        let records = records.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        if let Ok(kept) = decode_all(records) {
            let mut book = Book::open(kept);
            book.pass(at(0), TIMEOUT, |_| true);
            let _ = book.next_look(at(0));
        }
    }
}
