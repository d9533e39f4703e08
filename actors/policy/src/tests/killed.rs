//! `kill -9` in the middle of changes: whatever was acknowledged is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use seawall_messages::policy::{Fingerprint, Pattern, Profile};
use seawall_messages::setting::{Value, Values};

use crate::Store;
use crate::store::Edit;

/// Tells a process of this test binary to be the writer of the test: the folder of the store.
const WRITER: &str = "SEAWALL_TEST_STORE_WRITER";

/// How often the writer is killed.
const KILLS: u32 = 200;

/// Longest life of a writer after its first change.
const LONGEST_LIFE: Duration = Duration::from_millis(20);

/// Spreads lives: it has no divisor in common with [`KILLS`].
const PRIME: u32 = 67;

/// Profiles that the changes go to, one after the other.
const PROFILES: u32 = 8;

/// The change of that number: a rule of a profile, and the number itself for all.
fn change(number: u32, settings: &Values) -> Edit {
    let rules = |value: String| Value::Rules(vec![value, "+ LAN # stays".to_owned()]);
    let id = number % PROFILES + 1;
    let fingerprint =
        Fingerprint { path: Some(Pattern::new(&format!("/usr/bin/{id}"))), ..Default::default() };
    let profile = Profile {
        id,
        name: format!("profile {id}").into(),
        matches: vec![fingerprint],
        settings: Values::from([("outgoing_rules".to_owned(), rules(format!("- * TCP/{number}")))]),
        problems: Vec::new(),
        created_s: u64::from(number),
    };
    let mut settings = settings.clone();
    settings.insert("number".to_owned(), Value::Number(u64::from(number)));
    Edit { settings: Some(settings), profiles: vec![profile], ..Edit::default() }
}

/// The last change that the store has, with all that the changes up to it say.
fn last_change(store: &mut Store) -> u32 {
    let settings = store.settings().expect("it can be read");
    let Some(Value::Number(last)) = settings.get("number") else { return 0 };
    let last = u32::try_from(*last).expect("a number of ours");
    let profiles = store.profiles().expect("they can be read");
    for profile in profiles {
        // The last change up to `last` that went to this profile.
        let since = (last + PROFILES + 1 - profile.id) % PROFILES;
        let expected = change(last - since, &settings).profiles.remove(0);
        assert_eq!(profile, expected, "after change {last}");
    }
    last
}

/// Writes until it is killed, and says each number once it is on disk.
fn write_for_ever(folder: &Path) {
    let mut store = Store::open(folder).expect("a store");
    let mut number = last_change(&mut store);
    let mut out = std::io::stdout();
    loop {
        number += 1;
        let settings = store.settings().expect("it can be read");
        store.edit(&change(number, &settings)).expect("written");
        writeln!(out, "written {number}").expect("somebody listens");
    }
}

fn start_writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args([
            "tests::killed::what_was_acknowledged_outlives_two_hundred_kills",
            "--exact",
            "--nocapture",
        ])
        .env(WRITER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary can be started")
}

#[test]
fn what_was_acknowledged_outlives_two_hundred_kills() {
    if let Some(folder) = std::env::var_os(WRITER) {
        return write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut writer = start_writer(folder.path());
        let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
        let number_of = |line: std::io::Result<String>| {
            line.ok()?.rsplit_once("written ")?.1.parse::<u32>().ok()
        };
        let first = lines.by_ref().find_map(number_of).expect("a change");
        // Not a wait for anything: kills shall fall everywhere in a change.
        std::thread::sleep(LONGEST_LIFE * (kill * PRIME % KILLS) / KILLS);
        writer.kill().expect("it can be killed");
        let last = lines.filter_map(number_of).last().unwrap_or(first);
        writer.wait().expect("it was started here");
        assert!(first > acknowledged, "change {first} after {acknowledged} were acknowledged");
        acknowledged = last;
        let mut store = Store::open(folder.path()).expect("a store that was cut off");
        let found = last_change(&mut store);
        // One more may be on disk that nobody was told of.
        assert!((acknowledged..=acknowledged + 1).contains(&found), "{found} of {acknowledged}");
        acknowledged = found;
    }
    assert!(acknowledged > KILLS, "only {acknowledged} changes in {KILLS} lives");
}
