//! A state folder that takes no more: changes are refused, and nothing else notices.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use lab::probe::{Kind, Outcome};
use lab::seawall::Answer;
use lab::{Family, Seawall, Talk, World, eventually};
use seawall_messages::api::Protection;

use super::{EASY, PATIENCE, path};

/// Room for the state of a small machine, and soon filled.
const STATE_BYTES: u64 = 4 * 1024 * 1024;

/// More changes than find room in what the state has reserved.
const MOST_CHANGES: u16 = 100;

const SUCCESSOR: Duration = Duration::from_secs(5);

/// What takes up all that was left of a file system.
struct Filling(PathBuf);

impl Filling {
    fn of(seawall: &Seawall<'_>) -> Self {
        let filling = Self(seawall.state_folder().join("filling"));
        filling.top_up();
        filling
    }

    /// Takes what room there may be again: a store that is opened anew tidies up.
    fn top_up(&self) {
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        let mut file = file.expect("a file");
        let block = [0x5a_u8; 4096];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{}: {error}", self.0.display()),
            }
        }
    }

    fn goes(self) {
        std::fs::remove_file(self.0).expect("it is removed");
    }
}

/// A rule that takes its room.
fn rule(port: u16) -> String {
    format!("- * TCP/{port} # {}", "a long story ".repeat(40))
}

#[test]
fn a_full_state_folder_refuses_changes_and_nothing_else_notices() {
    let world = World::new();
    let file = "[filter]\noutgoing_rules = [\"- * TCP/7409\"]\n";
    let mut seawall = Seawall::on(&world.desk).policy(file).state_bytes(STATE_BYTES).start();
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402, 7409].map(|port| path.listen(Kind::Tcp, port));
    let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
    let add = |seawall: &Seawall<'_>, rule: &str| seawall.verb(&["rule", "add", rule]);
    let app = "/usr/bin/curl";
    assert_eq!(add(&seawall, "- * TCP/7401").code, Some(0));
    assert_eq!(seawall.verb(&["rule", "add", "--app", app, "- LAN"]).code, Some(0));
    let mut talk = Talk::open(&path, 7403);

    let filling = Filling::of(&seawall);
    let folder = seawall.path().join("state/policy").display().to_string();
    let says_why = |answer: &Answer| {
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains(&folder), "{answer:?}");
        assert!(answer.stderr.contains("No space left on device"), "{answer:?}");
    };
    let mut acknowledged = Vec::new();
    let mut refusals = 0;
    let mut ports = 8000..8000 + MOST_CHANGES;
    // A store that is opened anew after a refusal may have tidied up: little finds room once more.
    while refusals < 5 {
        let port = ports.next().expect("room runs out");
        filling.top_up();
        let answer = add(&seawall, &rule(port));
        match answer.code {
            Some(0) => acknowledged.push(port),
            _ => {
                says_why(&answer);
                refusals += 1;
            }
        }
    }
    let many = (8900..8930).map(rule).collect::<Vec<_>>().join("\n");
    let set = |seawall: &Seawall<'_>, more: &[&str]| {
        filling.top_up();
        seawall.verb(&[&["setting", "set", "incoming_rules", &many], more].concat())
    };
    says_why(&set(&seawall, &[]));
    says_why(&set(&seawall, &["--app", app]));
    let all_as_it_was = |seawall: &Seawall<'_>, talk: &mut Talk| {
        let seen = [7401, 7402, 7409].map(send);
        assert_eq!(seen, [Outcome::Refused, Outcome::Connected, Outcome::Refused]);
        talk.round_trip(EASY).expect("a stream goes on");
        for words in
            [&["setting", "list"][..], &["profile", "list"], &["export"], &["rule", "list"]]
        {
            let answer = seawall.verb(words);
            assert_eq!(answer.code, Some(0), "{answer:?}");
        }
        let exported = seawall.verb(&["export"]).stdout;
        for port in &acknowledged {
            assert!(exported.contains(&format!("TCP/{port} ")), "{port} in {exported}");
        }
        assert!(exported.contains("TCP/7401") && exported.contains("- LAN"), "{exported}");
        assert!(!exported.contains("TCP/8900"), "{exported}");
    };
    all_as_it_was(&seawall, &mut talk);
    let status = seawall.status();
    assert_eq!(status.protection, Protection::Degraded, "{:?}", status.reasons);
    assert!(status.reasons.iter().any(|it| it.contains(&folder)), "{:?}", status.reasons);
    let restarts = seawall.components().components.iter().map(|it| it.restarts).sum::<u64>();
    assert_eq!(restarts, 0, "no component fails for it");

    // What dies meanwhile comes back with all of it.
    seawall.fault(&["policy", "panic"]);
    all_as_it_was(&seawall, &mut talk);
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, SUCCESSOR).expect("another worker");
    all_as_it_was(&seawall, &mut talk);
    assert_eq!(seawall.status().protection, Protection::Degraded, "it is seen from the start");
    says_why(&set(&seawall, &[]));

    filling.goes();
    eventually("there is room", EASY, || seawall.status().protection == Protection::Protected);
    let added = add(&seawall, &rule(9000));
    assert_eq!(added.code, Some(0), "{added:?}");
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, SUCCESSOR).expect("another worker");
    all_as_it_was(&seawall, &mut talk);
    assert!(seawall.verb(&["export"]).stdout.contains("TCP/9000 "), "the next change is there");
}
