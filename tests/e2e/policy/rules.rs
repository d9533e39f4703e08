//! Rules that count at some times, that decide nothing, and what all of them did.

use std::time::{Duration, SystemTime};

use lab::probe::{Kind, Outcome};
use lab::{Family, Seawall, Talk, World, eventually};
use serde_json::{Value, json};

use super::{EASY, PATIENCE, path};

/// So many seconds from now, as rules write it.
fn in_seconds(seconds: u64) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let at = format!("@{}", since.as_secs() + seconds);
    let date = std::process::Command::new("date").args(["-u", "+%FT%TZ", "-d", &at]).output();
    String::from_utf8(date.expect("date runs").stdout).expect("text").trim().to_owned()
}

#[test]
fn a_rule_that_expires_takes_its_connections_along() {
    let world = World::new();
    let until = in_seconds(6);
    let policy = format!(
        "[filter]\ndefault_action = \"block\"\n\
         outgoing_rules = [\"+ * TCP/7401 until={until}\", \"+ * TCP/7402\", \"- * TCP/7403 off\"]\n"
    );
    let seawall = Seawall::on(&world.desk).policy(&policy).start();
    let path = path(&world, Family::V4);
    let mut kept = Talk::open(&path, 7402);
    let mut expiring = Talk::open(&path, 7401);
    expiring.round_trip(EASY).expect("a round trip while the rule counts");
    assert!(expiring.caller_sees_the_end(Duration::from_secs(15)), "a stream is cut at {until}");
    kept.round_trip(EASY).expect("what another rule allows goes on");
    let _listener = path.listen(Kind::Tcp, 7401);
    assert_eq!(path.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused);
    let listed = seawall.verb(&["rule", "list"]);
    assert!(listed.stdout.contains("(its time is over)"), "{listed:?}");
    assert!(listed.stdout.contains("(it is switched off)"), "{listed:?}");
    let explained = seawall.verb(&["explain", "-", "9.9.9.9:7401"]);
    assert!(explained.stdout.contains("doesn't count: its time is over"), "{explained:?}");
}

#[test]
fn a_denial_that_expires_lets_go() {
    let world = World::new();
    let policy = format!("[filter]\noutgoing_rules = [\"- * TCP/7401 until={}\"]\n", in_seconds(5));
    let _seawall = Seawall::on(&world.desk).policy(&policy).start();
    let path = path(&world, Family::V6);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    assert_eq!(send(), Outcome::Refused);
    eventually("the rule is over", Duration::from_secs(15), || send() == Outcome::Connected);
}

#[test]
fn a_rule_until_the_restart_of_the_machine_outlives_those_of_seawall() {
    const RULE: &str = "- * TCP/7401 until=restart";
    let world = World::new();
    let mut seawall = Seawall::on(&world.desk).start();
    let path = path(&world, Family::V4);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let added = seawall.verb(&["rule", "add", RULE]);
    assert_eq!(added.code, Some(0), "{added:?}");
    assert_eq!(send(), Outcome::Refused);
    let exported = seawall.verb(&["export"]);
    assert!(exported.stdout.contains(RULE), "{exported:?}");
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, Duration::from_secs(5)).expect("another worker");
    assert_eq!(send(), Outcome::Refused);
    let (_, folder) = seawall.stop();
    let seawall = Seawall::on(&world.desk).folder(folder.expect("its folder")).start();
    assert_eq!(send(), Outcome::Refused);

    let (_, folder) = seawall.stop();
    let folder = folder.expect("its folder");
    let seawall = Seawall::on(&world.desk).folder(folder).after_mock_reboot().start();
    assert_eq!(send(), Outcome::Connected);
    let listed = seawall.verb(&["rule", "list"]);
    assert!(listed.stdout.contains("(the machine was restarted since)"), "{listed:?}");
    let kept = seawall.verb(&["setting", "get", "outgoing_rules"]);
    let of_before = format!("{RULE}@");
    assert!(kept.stdout.starts_with(&of_before), "said again it would count again: {kept:?}");
    let exported = seawall.verb(&["export"]);
    assert!(!exported.stdout.contains("restart"), "{exported:?}");
    assert_eq!(seawall.verb(&["rule", "add", RULE]).code, Some(0));
    assert_eq!(send(), Outcome::Refused);
    let kept = seawall.verb(&["setting", "get", "outgoing_rules"]);
    assert_eq!(kept.stdout.trim(), RULE, "in the place of the one that is over");

    let file = "[filter]\noutgoing_rules = [\"- * TCP/7402 until=restart\"]\n";
    seawall.write_policy(file);
    let refused = seawall.verb(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("isn't of one run of the machine"), "{refused:?}");
}

#[test]
fn rules_are_listed_with_what_they_decided() {
    let world = World::new();
    let own = std::env::current_exe().expect("a running program has a file");
    let policy = format!(
        "[filter]\noutgoing_rules = [\"- * TCP/7401\", \"+ * TCP/7402\"]\n\
         [[app]]\nname = \"the test\"\nmatch = {{ path = \"{}\" }}\n\
         outgoing_rules = [\"- * TCP/7403\"]\n",
        own.display()
    );
    let seawall = Seawall::on(&world.desk).policy(&policy).start();
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402, 7403].map(|port| path.listen(Kind::Tcp, port));
    // Of one that is tried again a moment later nobody is asked.
    for port in [7401, 7402, 7402, 7403] {
        path.send(Kind::Tcp, port, PATIENCE);
    }
    let listed = |more: &[&str]| {
        let answer = seawall.verb(&[&["rule", "list", "--json"], more].concat());
        answer.json()["rules"].as_array().cloned().unwrap_or_default()
    };
    let hits =
        |rules: &[Value]| rules.iter().map(|rule| rule["connections"].clone()).collect::<Vec<_>>();
    eventually("all are counted", Duration::from_secs(10), || {
        hits(&listed(&[])) == [1, 1, 2].map(Value::from)
    });
    // Not the component's own: another incarnation goes on counting.
    seawall.fault(&["datapath", "panic"]);
    assert_eq!(hits(&listed(&[])), [1, 1, 2].map(Value::from));
    let restarted = seawall
        .components()
        .components
        .into_iter()
        .any(|component| component.name == "datapath" && component.restarts > 0);
    assert!(restarted, "datapath was not broken at all");
    let rules = listed(&[]);
    let places: Vec<_> =
        rules.iter().map(|rule| json!([rule["app"], rule["position"], rule["rule"]])).collect();
    let expected = [
        json!(["the test", 1, "- * TCP/7403"]),
        json!([null, 1, "- * TCP/7401"]),
        json!([null, 2, "+ * TCP/7402"]),
    ];
    assert_eq!(places, expected);
    assert!(rules.iter().all(|rule| rule["last"].is_object()), "{rules:?}");
    assert_eq!(listed(&["--app", "the test"]), rules[..1]);
    let table = seawall.verb(&["rules", "list"]);
    assert!(table.stdout.starts_with("FOR"), "{table:?}");
    let nobody = seawall.verb(&["rule", "list", "--app", "nobody"]);
    assert_eq!((nobody.code, nobody.stdout.trim()), (Some(0), "no rule is for nobody alone"));
}

#[test]
fn rules_that_decide_nothing_are_told() {
    let world = World::new();
    let policy = "[filter]\noutgoing_rules = [\"- C:EU\", \"- .example.com\", \"- * TCP/7401\"]\n";
    let seawall = Seawall::on(&world.desk).policy(policy).start();
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402].map(|port| path.listen(Kind::Tcp, port));
    assert_eq!(path.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused);
    assert_eq!(path.send(Kind::Tcp, 7402, PATIENCE).outcome, Outcome::Connected);
    let status = seawall.verb(&["status"]);
    assert!(status.stdout.contains("`- C:EU` decides nothing: it needs"), "{status:?}");
    assert!(status.stdout.contains("so does one more"), "{status:?}");
    let idle = seawall.status().policy.expect("a policy").idle_rules;
    assert_eq!(
        idle.iter().map(|rule| &*rule.rule).collect::<Vec<_>>(),
        ["- C:EU", "- .example.com"]
    );
    let explained = seawall.verb(&["explain", "-", "9.9.9.9:7403"]);
    assert!(explained.stdout.contains("`- C:EU` decides nothing"), "{explained:?}");
    assert!(seawall.log().contains("A rule decides nothing"), "{}", seawall.log());
    let metrics = seawall.metrics();
    assert!(metrics.contains("seawall_policy_idle_rules 2"), "{metrics}");
}
