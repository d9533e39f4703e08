//! Which settings hold, by what the file looks like.

use seawall_messages::policy::{AppFilter, DefaultAction, PolicySource};

use super::Machine;
use crate::choice::{Choice, Found};
use crate::file::PolicyFile;
use crate::{Error, Store, startup};

fn block() -> PolicyFile {
    let filter = AppFilter { default_action: Some(DefaultAction::Block), ..AppFilter::default() };
    PolicyFile { filter, ..PolicyFile::default() }
}

fn good() -> Found {
    Found::Good { text: "text".to_owned(), file: Box::new(block()) }
}

fn missing() -> Found {
    Found::Missing("missing".to_owned())
}

fn bad() -> Found {
    Found::Bad("bad".to_owned())
}

#[test]
fn a_start_uses_the_file_then_its_copy_and_defaults_only_where_there_never_was_one() {
    use PolicySource::{Defaults, File, LastGood};
    let cases = [
        (good(), None, false, Ok((block(), File, None))),
        (good(), Some(PolicyFile::default()), true, Ok((block(), File, None))),
        (missing(), None, false, Ok((PolicyFile::default(), Defaults, None))),
        (missing(), Some(block()), false, Ok((block(), LastGood, Some("missing")))),
        (bad(), Some(block()), false, Ok((block(), LastGood, Some("bad")))),
        (bad(), None, false, Err("bad")),
        // The component restarts while the defaults are in force.
        (bad(), None, true, Ok((PolicyFile::default(), Defaults, Some("bad")))),
    ];
    for (found, last_good, was_running, expected) in cases {
        let shown = format!("{found:?} {} {was_running}", last_good.is_some());
        let choice = Choice::at_start(found, last_good, was_running);
        let expected = expected.map(|(settings, source, refused)| Choice {
            settings,
            source,
            refused: refused.map(str::to_owned),
        });
        assert_eq!(choice, expected.map_err(str::to_owned), "{shown}");
    }
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_old_policy_in_force() {
    use PolicySource::{Defaults, File, LastGood};
    let cases = [
        (File, good(), File, None),
        (LastGood, good(), File, None),
        (Defaults, good(), File, None),
        (File, bad(), File, Some("bad")),
        (File, missing(), File, Some("missing")),
        (LastGood, missing(), LastGood, Some("missing")),
        (Defaults, bad(), Defaults, Some("bad")),
        (Defaults, missing(), Defaults, None),
    ];
    for (source, found, expected_source, refused) in cases {
        let before = Choice { settings: block(), source, refused: Some("earlier".to_owned()) };
        let shown = format!("{source:?} {found:?}");
        let after = before.after(found);
        assert_eq!(after.settings, block(), "{shown}");
        assert_eq!((after.source, after.refused.as_deref()), (expected_source, refused), "{shown}");
    }
}

#[test]
fn the_processes_learn_how_to_run_before_anything_else() {
    let machine = Machine::new();
    let run = || startup(&machine.file(), &machine.state());
    let defaults = run().expect("defaults");
    assert_eq!((defaults.source, defaults.service), (PolicySource::Defaults, Default::default()));
    assert!(!machine.state().exists(), "nothing is made");

    machine.write("[service]\nqueue_base = 100\n");
    let from_file = run().expect("a good file");
    assert_eq!((from_file.source, from_file.service.queue_base), (PolicySource::File, 100));

    machine.write("[service]\nqueue_bass = 100\n");
    let refused = run().expect_err("a bad file and no copy");
    assert!(matches!(refused, Error::NoPolicy(_)));
    assert!(refused.to_string().contains("seawall.toml:2:1: service.queue_bass"), "{refused}");

    let mut store = Store::open(&machine.state()).expect("a store");
    store.set_last_good("[service]\nqueue_base = 200\n").expect("a copy");
    drop(store);
    let from_copy = run().expect("a copy");
    assert_eq!((from_copy.source, from_copy.service.queue_base), (PolicySource::LastGood, 200));
    assert!(from_copy.refused.expect("a reason").contains("queue_bass"));
}
