//! What survives a restart, and what is made of damage.

use std::fs;
use std::path::PathBuf;

use seawall_messages::Protocol;
use seawall_messages::flow::{Direction, Flow, Transport};
use seawall_messages::network::NetworkMatch;
use seawall_messages::policy::{AdoptedEntry, Fingerprint, KeptNetwork, Pattern};
use seawall_messages::setting::Value;

use super::*;

fn entries() -> Vec<Adopted> {
    let listener = AdoptedEntry::Listener {
        protocol: Protocol::TCP,
        address: "::".parse().expect("an address"),
        port: 22,
    };
    let flow = Flow {
        direction: Direction::Inbound,
        protocol: Protocol::TCP,
        initiator: "192.168.1.9".parse().expect("an address"),
        responder: "192.168.1.5".parse().expect("an address"),
        transport: Transport::Ports { initiator: 40_000, responder: 22 },
    };
    let session = AdoptedEntry::Session { flow };
    // 256 sorts after 2 only with its first byte first.
    [(1, listener.clone()), (2, session), (256, listener)]
        .map(|(id, what)| Adopted { id, what })
        .to_vec()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").join(FOLDER_NAME);
    assert!(!Store::exists(&path));
    let mut store = Store::open(&path).unwrap();
    assert!(Store::exists(&path));
    assert_eq!(store.last_good().unwrap(), None);
    assert_eq!(store.adopted().unwrap(), None);
    store.set_last_good("[filter]\n").unwrap();
    store.finish_first_start(&entries()).unwrap();
    drop(store);

    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.last_good().unwrap().as_deref(), Some("[filter]\n"));
    assert_eq!(store.adopted().unwrap(), Some(entries()));
    store.remove_adopted(&[1, 77]).unwrap();
    store.set_last_good("").unwrap();
    drop(store);

    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.last_good().unwrap().as_deref(), Some(""));
    assert_eq!(store.adopted().unwrap(), Some(entries()[1..].to_vec()));
}

#[test]
fn a_first_start_that_found_nothing_is_done_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.finish_first_start(&[]).unwrap();
    assert_eq!(store.adopted().unwrap(), Some(Vec::new()));
}

#[test]
fn the_largest_file_can_be_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let text = "#".repeat(crate::file::MAX_FILE_BYTES as usize);
    let mut store = Store::open(folder.path()).unwrap();
    store.set_last_good(&text).unwrap();
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().last_good().unwrap(), Some(text));
}

#[test]
fn one_process_has_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let refused = Store::open(folder.path()).map(|_| ()).expect_err("it is in use");
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_later_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let later = FORMAT_VERSION + 1;
    store.0.write(|batch| batch.set_format(later)).unwrap();
    drop(store);
    let refused = Store::open(folder.path()).map(|_| ()).expect_err("a later format");
    assert!(matches!(refused, StoreError::Newer { found: 4, known: 3, .. }), "{refused}");
    assert!(refused.to_string().contains(&folder.path().display().to_string()), "{refused}");
}

fn profile(id: u32) -> Profile {
    let fingerprint = Fingerprint { path: Some(Pattern::new("/usr/bin/*")), ..Default::default() };
    let of_all_kinds = [
        ("default_action", Value::Word("block".to_owned())),
        ("block_lan", Value::Switch(true)),
        ("of_another_day", Value::Number(u64::MAX)),
        ("outgoing_rules", Value::Rules(vec!["- * # all".to_owned()])),
    ];
    Profile {
        id,
        name: format!("profile {id}").into(),
        matches: vec![fingerprint],
        settings: of_all_kinds.map(|(key, value)| (key.to_owned(), value)).into(),
        problems: Vec::new(),
        created_s: 1_800_000_000,
    }
}

#[test]
fn settings_and_profiles_are_there_after_a_restart_and_raise_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let format = |store: &mut Store| store.get::<u32>("format").unwrap();
    assert_eq!(format(&mut store), Some(1), "what an earlier Seawall reads");
    assert_eq!(store.settings().unwrap(), Values::new());
    let settings = profile(0).settings;
    let profiles = vec![profile(2), profile(256)];
    let seen = vec![(1, Some(7)), (2, Some(8))];
    let edit = Edit { settings: Some(settings.clone()), profiles, seen, ..Edit::default() };
    store.edit(&edit).unwrap();
    assert_eq!(format(&mut store), Some(2));
    drop(store);

    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(store.settings().unwrap(), settings);
    assert_eq!(store.profiles().unwrap(), [profile(2), profile(256)]);
    assert_eq!(store.profile(256).unwrap(), Some(profile(256)));
    store.edit(&Edit { removed: vec![2, 77], ..Edit::default() }).unwrap();
    assert_eq!(store.profile(2).unwrap(), None);
    assert_eq!(store.settings().unwrap(), settings, "what isn't named stays");
}

#[test]
fn networks_are_there_after_a_restart_and_raise_the_format_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let format = |store: &mut Store| store.get::<u32>("format").unwrap();
    store.edit(&Edit { settings: Some(Values::new()), ..Edit::default() }).unwrap();
    assert_eq!(format(&mut store), Some(2), "no network was ever named");
    let looks = NetworkMatch {
        gateway: "fe80::1".parse().ok(),
        gateway_mac: "00:1a:2b:3c:4d:5e".parse().ok(),
        subnet: "10.0.0.0/8".parse().ok(),
        interface: Some("wl*".into()),
        ssid: "caf\u{e9}\\xff".parse().ok(),
    };
    let settings = Values::from([("block_lan".to_owned(), Value::Switch(true))]);
    let least = NetworkMatch { interface: Some("wg0".into()), ..NetworkMatch::default() };
    let networks = vec![
        KeptNetwork { name: "home".into(), looks, settings },
        KeptNetwork { name: "tunnel".into(), looks: least, settings: Values::new() },
    ];
    store.edit(&Edit { networks: Some(networks.clone()), ..Edit::default() }).unwrap();
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(store.networks().unwrap(), networks);
    store.edit(&Edit { removed: vec![1], ..Edit::default() }).unwrap();
    assert_eq!((format(&mut store), store.networks().unwrap()), (Some(3), networks));
    store.edit(&Edit { networks: Some(Vec::new()), ..Edit::default() }).unwrap();
    assert_eq!((format(&mut store), store.networks().unwrap()), (Some(3), Vec::new()));
}

#[test]
fn values_that_make_no_sense_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.finish_first_start(&entries()).unwrap();
    store.0.write(|batch| batch.insert(Key::adopted(2), [9u8, 9])).unwrap();
    let refused = store.adopted().expect_err("no entry");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    store.0.write(|batch| batch.insert(LAST_GOOD, [255u8, 1])).unwrap();
    let refused = store.last_good().expect_err("no text");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

/// Whatever single file is emptied or overwritten: the store still has what was
/// written, or is as new (an empty journal), or says which folder can't be
/// read. It never makes something up, and never panics.
#[test]
fn damaged_files_are_found_out() {
    type Harm = fn(&Path);
    let harms: [Harm; 2] = [
        |file| fs::write(file, b"").unwrap(),
        |file| {
            let length = fs::metadata(file).unwrap().len().clamp(1, 4096);
            fs::write(file, vec![0xa5; length as usize]).unwrap();
        },
    ];
    let files = {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        files_below(folder.path())
            .iter()
            .map(|file| file.strip_prefix(folder.path()).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(files.len() > 3, "{files:?}");
    let mut found_out = 0;
    for file in &files {
        for harm in harms {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            let target = folder.path().join(file);
            if !target.exists() {
                continue;
            }
            harm(&target);
            let read = Store::open(folder.path()).and_then(|mut store| store.last_good());
            match read {
                Ok(text) => assert!(text.is_none() || text.as_deref() == Some("good"), "{text:?}"),
                Err(error) => {
                    found_out += 1;
                    let shown = error.to_string();
                    assert!(shown.contains(&folder.path().display().to_string()), "{shown}");
                }
            }
        }
    }
    assert!(found_out > 0);
}

fn fill(folder: &Path) {
    let mut store = Store::open(folder).unwrap();
    store.set_last_good("good").unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
