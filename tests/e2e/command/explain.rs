//! `seawall explain` says what then happens.

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Answer, Family, Running, Seawall, World, eventually};
use serde_json::Value;

const PATIENCE: Patience = Patience(Duration::from_millis(1500));

/// An app of its own for the running test, which opens the connections.
fn policy() -> String {
    let own = std::env::current_exe().expect("a running program has a file");
    format!(
        "[filter]\noutgoing_rules = [\"- * TCP/7102\"]\n\
         [[app]]\nname = \"the test\"\nmatch = {{ path = \"{}\" }}\n\
         outgoing_rules = [\"- * TCP/7101\"]\n",
        own.display()
    )
}

fn peer() -> String {
    World::address(World::PEER, Family::V4).to_string()
}

fn explain(seawall: &Seawall<'_>, whom: &str, target: &str, more: &[&str]) -> Answer {
    seawall.verb(&[&["explain", whom, target], more].concat())
}

#[track_caller]
fn judgement(seawall: &Seawall<'_>, whom: &str, target: &str, more: &[&str]) -> Value {
    let answer = explain(seawall, whom, target, &[more, &["--json"]].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    answer.json()
}

#[test]
fn what_is_explained_is_what_happens() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(&policy()).start();
    let address = |pair| World::address(pair, Family::V4);
    let path = Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER));
    let own = std::process::id().to_string();
    let _ears: Vec<_> = [7001, 7101, 7102].map(|port| path.listen(Kind::Tcp, port)).into();
    for (port, outcome) in
        [(7001, Outcome::Connected), (7101, Outcome::Refused), (7102, Outcome::Refused)]
    {
        let explained = judgement(&seawall, &own, &format!("{}:{port}", peer()), &[]);
        assert_eq!(path.send(Kind::Tcp, port, PATIENCE).outcome, outcome, "{port}");
        let mut seen = Value::Null;
        eventually("the connection is listed", Duration::from_secs(10), || {
            let json = seawall.verb(&["connections", "--json"]).json();
            let list = json["connections"].as_array().cloned().unwrap_or_default();
            // For a moment the kernel may tell of it before the datapath does.
            let is_it = |one: &Value| {
                one["flow"]["transport"]["ports"]["responder"] == port
                    && one["reason"]["layer"] != "inherited"
            };
            seen = list.into_iter().find(is_it).unwrap_or_default();
            !seen.is_null()
        });
        assert_eq!(explained["judgement"]["action"], seen["action"], "{port}: {explained}");
        assert_eq!(explained["judgement"]["reason"], seen["reason"], "{port}: {explained}");
        assert_eq!(explained["flow"]["initiator"], seen["flow"]["initiator"], "{port}");
        assert_eq!(explained["section"], "the test", "{port}: {explained}");
    }
}

#[test]
fn an_explanation_names_every_step_and_the_one_that_decided() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(&policy()).start();
    let own = std::process::id().to_string();
    let text = explain(&seawall, &own, &format!("{}:7101", peer()), &[]);
    assert!(text.stdout.starts_with("DENIED"), "{text:?}");
    let decides = "denies       a rule denies it: rule 1 in [[app]] \"the test\", `- * TCP/7101`";
    assert!(text.stdout.contains(decides), "{}", text.stdout);
    for step in ["always passes", "block_internet", "rules for all", "default_action"] {
        assert!(text.stdout.contains(step), "{step}: {}", text.stdout);
    }
    // Whoever is meant: by path, by the app's id, nobody, a program in PATH.
    let program = std::env::current_exe().expect("a running program").display().to_string();
    let section = |whom: &str| {
        let target = format!("{}:7101", peer());
        judgement(&seawall, whom, &target, &[])["section"].clone()
    };
    assert_eq!(section(&program), "the test");
    assert_eq!(section(&format!("path:{program}")), "the test");
    assert_eq!(section("-"), Value::Null);
    assert_eq!(section("snap:none"), Value::Null);
    assert_eq!(section("ip"), Value::Null);
    let inbound = judgement(&seawall, "-", &format!("{}:22", peer()), &["--inbound"]);
    assert_eq!(inbound["flow"]["direction"], "inbound", "{inbound}");
    assert_eq!(inbound["flow"]["initiator"], peer(), "{inbound}");
    let echo = judgement(&seawall, "-", &peer(), &["--protocol", "icmp"]);
    assert_eq!(echo["flow"]["transport"]["icmp"]["kind"], 8, "{echo}");
}

#[test]
fn a_bad_question_ends_with_two_and_a_vain_one_with_one() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(&policy()).start();
    let cases = [
        ("-", "example.org", 2, "names aren't decided yet"),
        ("-", "example.org:443", 2, "names aren't decided yet"),
        ("-", "10.0.0.0/8", 2, "expected an address"),
        ("-", "10.0.0.1:99999", 2, "no port"),
        ("no-such-program", "10.0.0.1", 2, "PATH"),
        ("4194303", "10.0.0.1", 1, "no process"),
        ("path:", "10.0.0.1", 1, "seawall ps --json"),
    ];
    for (whom, target, code, words) in cases {
        let answer = explain(&seawall, whom, target, &[]);
        assert_eq!(answer.code, Some(code), "{whom} {target}: {answer:?}");
        assert!(answer.stderr.contains(words), "{whom} {target}: {answer:?}");
    }
    let answer = explain(&seawall, "-", &peer(), &["--protocol", "sctp"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
}

#[test]
fn connections_do_not_wait_while_process_can_not_say_whom_is_meant() {
    let world = World::new();
    // No [[app]]: no connection needs `process`.
    let seawall = Seawall::on(&world.desk).start();
    let address = |pair| World::address(pair, Family::V4);
    let path = Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER));
    let _ear = path.listen(Kind::Tcp, 7001);
    seawall.fault(&["process", "hang-pending"]);
    let mut command = world.desk.command(&lab::seawall::binary().to_string_lossy());
    command.args(["explain", "snap:none", &peer(), "--run-dir"]).arg(seawall.run_dir());
    let mut asked = Running::start(&mut command);
    for _ in 0..5 {
        assert_eq!(path.send(Kind::Tcp, 7001, PATIENCE).outcome, Outcome::Connected);
    }
    let ended = asked.wait(Duration::from_secs(20)).and_then(|status| status.code());
    assert!(matches!(ended, Some(0 | 1)), "{ended:?}: {}", asked.stderr());
    eventually("it is explained", Duration::from_secs(20), || {
        explain(&seawall, "snap:none", &peer(), &[]).code == Some(0)
    });
}
