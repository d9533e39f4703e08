//! The clock is set while Seawall runs. A time namespace has no wall clock of
//! its own and the machine's must not be touched, so Seawall's processes, and
//! they alone, are told another time by libfaketime. The monotonic clock stays true, as it does
//! when a machine's clock is set.

use std::path::Path as FilePath;
use std::time::{Duration, SystemTime};

use lab::probe::{Kind, Outcome, Patience};
use lab::{Family, Seawall, eventually, mounts::packages, until};
use seawall_messages::api::Connections;
use seawall_messages::datapath::Connection;

use super::scene::{MENDED, POLICY, Scene, Strictness, directions, with_each_backend};

/// How far the clock is set, as libfaketime writes it, and in seconds.
const STEPS: [(&str, i64); 5] =
    [("+400d", 400 * DAY), ("-4000d", -4000 * DAY), ("-1h", -3600), ("+1h", 3600), ("+0", 0)];
const DAY: i64 = 86_400;
const PATIENCE: Patience = Patience(Duration::from_millis(2500));

/// The library that tells a program another time.
fn library() -> String {
    let folder = packages().join("usr/lib");
    let triplets = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let found = triplets
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file());
    let found = found.unwrap_or_else(|| panic!("no libfaketime in {}", folder.display()));
    found.to_string_lossy().into_owned()
}

fn set(file: &FilePath, offset: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, format!("{offset}\n"))
        .and_then(|()| std::fs::rename(&beside, file))
        .expect("the file of the clock can be written");
}

/// How far Seawall's clock is from the machine's, by its own account of a connection made just now.
fn offset_s(connection: &Connection) -> i64 {
    let now = SystemTime::now();
    match connection.decided.duration_since(now) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    }
}

#[test]
fn the_clock_is_set_back_and_forth() {
    with_each_backend(|world, backend| {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let clock = folder.path().join("clock");
        set(&clock, "+0");
        let mut seawall = Seawall::on(&world.desk)
            .backend(backend)
            .policy(POLICY)
            .environment("LD_PRELOAD", &library())
            .environment("FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .start();
        let mut scene = Scene::open(world, &seawall, backend, Strictness::Always);
        for (offset, _) in STEPS {
            set(&clock, offset);
            scene.goes_on(&format!("with the clock set {offset}"));
        }
        scene.settle();

        let out = directions(world, Family::V4)[0].1;
        for (number, (offset, seconds)) in STEPS.into_iter().enumerate() {
            set(&clock, offset);
            let port = 7500 + number as u16;
            let what = format!("{backend}, clock {offset}");
            let _listener = out.listen(Kind::Tcp, port);
            let send = || out.send(Kind::Tcp, port, PATIENCE).outcome;
            assert_eq!(send(), Outcome::Connected, "{what}");
            the_newest_is_listed_first(&seawall, port, seconds, &what, &send);

            // The file's own time is far from Seawall's now: its change is seen all the same.
            seawall.write_policy(&format!("[filter]\noutgoing_rules = [\"- * TCP/{port}\"]\n"));
            eventually("an edited policy is in force", MENDED, || send() == Outcome::Refused);
            seawall.set_policy(POLICY);
            assert_eq!(send(), Outcome::Connected, "{what}");

            let old = seawall.kill_worker();
            seawall.wait_for_successor(old, MENDED).expect("a successor in time");
            assert_eq!(send(), Outcome::Connected, "{what}");
        }
    });
}

/// And its time is the one that Seawall was told.
fn the_newest_is_listed_first(
    seawall: &Seawall<'_>,
    port: u16,
    seconds: i64,
    what: &str,
    send: &impl Fn() -> Outcome,
) {
    let mut seen = None;
    let first = until(MENDED, || {
        // What was decided within the same quarter of a second may be told in either order.
        send();
        let answer = seawall.verb(&["connections", "--json", "--limit", "1"]);
        let list: Option<Connections> = serde_json::from_str(&answer.stdout).ok();
        seen = list.and_then(|list| list.connections.into_iter().next());
        // Until the decision is told, the list knows of a connection only that it is tracked.
        let is_it = |first: &Connection| {
            first.flow.destination_port() == Some(port) && first.decided != SystemTime::UNIX_EPOCH
        };
        seen.clone().filter(is_it)
    });
    let first = first.unwrap_or_else(|| panic!("{what}: the newest isn't first, but {seen:?}"));
    let offset = offset_s(&first);
    assert!((offset - seconds).abs() < 120, "{what}: Seawall's clock is {offset} s off");
}
