//! What is said by command: kept in the store, in force at once, behind what the file says.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use lab::probe::{Kind, Outcome};
use lab::seawall::Answer;
use lab::{Family, Seawall, Talk, World, eventually};
use serde_json::json;

use super::{CUT, EASY, PATIENCE, path};

const FILE: &str =
    "# mine\n[filter]\nblock_lan = false # locked\noutgoing_rules = [\"- * TCP/7409\"]\n";

fn own_path() -> String {
    let own = std::env::current_exe().expect("a running program has a file");
    own.to_str().expect("plain").to_owned()
}

#[track_caller]
fn done(answer: &Answer) -> &str {
    assert_eq!(answer.code, Some(0), "{answer:?}");
    &answer.stdout
}

#[track_caller]
fn refused(answer: &Answer, why: &str) {
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains(why), "{answer:?}");
}

#[test]
fn rules_are_added_switched_and_taken_out_and_cut_what_they_forbid() {
    let world = World::new();
    let mut seawall = Seawall::on(&world.desk).policy(FILE).start();
    let written = std::fs::read_to_string(seawall.policy_file()).expect("a file");
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402, 7409].map(|port| path.listen(Kind::Tcp, port));
    let mut kept = Talk::open(&path, 7403);
    let mut cut = Talk::open(&path, 7404);
    let rule =
        |seawall: &Seawall<'_>, arguments: &[&str]| seawall.verb(&[&["rule"], arguments].concat());
    let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
    let added = rule(&seawall, &["add", "- * TCP/7401 # not today"]);
    assert!(done(&added).contains("added to outgoing_rules for all, in force"), "{added:?}");
    assert!(
        added.stderr.contains("a rule of") && added.stderr.contains("comes before"),
        "{added:?}"
    );
    assert_eq!(
        (send(7401), send(7402), send(7409)),
        (Outcome::Refused, Outcome::Connected, Outcome::Refused)
    );
    done(&rule(&seawall, &["add", "- * TCP/7404"]));
    assert!(cut.caller_sees_the_end(CUT), "what is forbidden now is cut");
    kept.round_trip(EASY).expect("what is not goes on");

    let disabled = rule(&seawall, &["disable", "- * tcp/7401"]);
    assert!(done(&disabled).contains("switched off in outgoing_rules for all"), "{disabled:?}");
    assert_eq!(send(7401), Outcome::Connected);
    let enabled = rule(&seawall, &["enable", "--json", "- * TCP/7401"]);
    assert_eq!(enabled.json()["changed"]["rule"], "- * TCP/7401 # not today");
    assert_eq!(send(7401), Outcome::Refused);
    let listed = rule(&seawall, &["list", "--json"]).json();
    let told: Vec<_> = listed["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| json!([rule["rule"], rule["origin"]]))
        .collect();
    let expected = [
        json!(["- * TCP/7409", "file"]),
        json!(["- * TCP/7404", "store"]),
        json!(["- * TCP/7401", "store"]),
    ];
    assert_eq!(told, expected);

    // A worker that comes after, and a Seawall.
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, Duration::from_secs(5)).expect("another worker");
    assert_eq!((send(7401), send(7402)), (Outcome::Refused, Outcome::Connected));
    let (_, folder) = seawall.stop();
    let seawall = Seawall::on(&world.desk).policy(FILE).folder(folder.expect("its folder")).start();
    assert_eq!((send(7401), send(7402)), (Outcome::Refused, Outcome::Connected));

    done(&rule(&seawall, &["remove", "- * TCP/7401"]));
    assert_eq!(send(7401), Outcome::Connected);
    for (arguments, why) in [
        (&["remove", "- * TCP/7401"][..], "there is no `- * TCP/7401`"),
        (&["remove", "- * TCP/7409"], "which locks it"),
        (&["remove", "--incoming", "- * TCP/7404"], "incoming_rules for all"),
        (&["disable", "--app", "nobody", "- *"], "no profile that is named"),
        (&["enable", "nonsense here"], "to permit"),
        (&["add", "- no where"], "where"),
    ] {
        refused(&rule(&seawall, arguments), why);
    }
    let text = std::fs::read_to_string(seawall.policy_file()).expect("a file");
    assert_eq!(text, written, "the file is its owner's");
}

#[test]
fn settings_are_for_all_or_for_one_app_and_the_file_locks_them() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(FILE).start();
    let path = path(&world, Family::V6);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let setting = |arguments: &[&str]| seawall.verb(&[&["setting"], arguments].concat());
    let own = own_path();
    assert_eq!(send(), Outcome::Connected);
    let mut talk = Talk::open(&path, 7402);
    let set = setting(&["set", "default_action", "block"]);
    assert!(done(&set).starts_with("default_action = block (generation"), "{set:?}");
    assert_eq!(send(), Outcome::Refused);
    assert!(talk.caller_sees_the_end(CUT), "a live connection follows");
    // Two programs, two answers: the app's own counts before what is said for all.
    done(&setting(&["set", "default_action", "permit", "--app", &own]));
    assert_eq!(send(), Outcome::Connected);
    let explained = seawall.verb(&["explain", "/usr/bin/wget", "9.9.9.9:443"]);
    assert!(done(&explained).contains("DENIED"), "{explained:?}");
    let name = own.rsplit('/').next().expect("a name");
    let explained = seawall.verb(&["explain", &own, "9.9.9.9:443"]);
    assert!(done(&explained).contains(&format!("in the profile \"{name}\"")), "{explained:?}");

    assert_eq!(done(&setting(&["get", "default_action"])), "block\n");
    assert_eq!(done(&setting(&["get", "default_action", "--app", name])), "permit\n");
    let listed = setting(&["list", "--json"]).json();
    let origin = |name: &str| {
        let all = listed["settings"].as_array().expect("settings");
        all.iter().find(|it| it["name"] == name).map(|it| it["origin"].clone())
    };
    assert_eq!(origin("filter.block_lan"), Some(json!("file")));
    assert_eq!(origin("filter.default_action"), Some(json!("store")));
    assert_eq!(origin("filter.block_local"), Some(json!("default")));
    assert!(done(&setting(&["list"])).contains("what becomes of a connection that nothing else"));
    refused(&setting(&["set", "block_lan", "true"]), "which locks it");
    refused(&setting(&["set", "block_internet", "perhaps"]), "expected true or false");
    done(&setting(&["set", "incoming_rules", "- * TCP/7001\n+ LAN # near"]));
    let rules = setting(&["get", "incoming_rules"]);
    assert_eq!(done(&rules), "- * TCP/7001\n+ LAN # near\n");
    refused(&setting(&["set", "incoming_rules", "- *\nnonsense"]), "incoming_rules[2]");
    refused(&setting(&["set", "permanent_verdicts", "false", "--app", name]), "for all apps");
    refused(&setting(&["list", "--app", "nobody"]), "there is no profile");
    assert_eq!(setting(&["set", "blok_lan", "true"]).code, Some(2));
    done(&setting(&["reset", "default_action", "--app", name]));
    assert_eq!(send(), Outcome::Refused);
    done(&setting(&["reset", "default_action"]));
    assert_eq!(send(), Outcome::Connected);
}

#[test]
fn profiles_are_made_shown_renamed_and_removed() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy("").start();
    let path = path(&world, Family::V4);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let profile = |arguments: &[&str]| seawall.verb(&[&["profile"], arguments].concat());
    let own = own_path();
    let listed = profile(&["list"]);
    assert!(listed.stderr.contains("there are no others"), "{listed:?}");
    assert!(done(&listed).contains("built-in"), "{listed:?}");
    let made = profile(&["make", &own, "/opt/other", "--name", "Tests", "--preset", "blocked"]);
    assert!(done(&made).starts_with("profile \"Tests\" (path="), "{made:?}");
    assert_eq!(send(), Outcome::Refused);
    let shown = profile(&["show", "/opt/other"]);
    assert!(done(&shown).contains("block_lan = true"), "{shown:?}");
    done(&profile(&["rename", &own, "Try"]));
    let listed = profile(&["list", "--json"]).json();
    assert_eq!(listed["profiles"][0]["name"], "Try");
    refused(&profile(&["make", &own, "--name", "Try"]), "already");
    refused(&profile(&["make", "relative/path?"]), "expected");
    refused(&profile(&["remove", "Tests"]), "there is no profile");
    assert!(done(&profile(&["presets"])).contains("lan-only"));
    assert_eq!(profile(&["make", &own, "--preset", "nonsense"]).code, Some(2));
    done(&profile(&["remove", "Try"]));
    assert_eq!(send(), Outcome::Connected);
}

#[test]
fn a_text_is_exported_shown_imported_and_nothing_else_is_touched() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy("").start();
    let path = path(&world, Family::V4);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let own = own_path();
    done(&seawall.verb(&["rule", "add", "--app", &own, "- * TCP/7401 # kept in git"]));
    done(&seawall.verb(&["setting", "set", "block_internet", "on"]));
    let exported = seawall.verb(&["export"]);
    let text = done(&exported).to_owned();
    let name = own.rsplit('/').next().expect("a name");
    assert!(text.contains("[filter]\nblock_internet = true\n"), "{text}");
    assert!(text.contains("  \"- * TCP/7401 # kept in git\",\n"), "{text}");
    let of_app = seawall.verb(&["export", "--app", name]);
    assert!(!done(&of_app).contains("[filter]"), "{of_app:?}");
    done(&seawall.verb(&["profile", "remove", name]));
    assert_eq!(send(), Outcome::Connected);

    let import = |text: &str, more: &[&str]| {
        let mut command = world.desk.command(&lab::seawall::binary().to_string_lossy());
        command.args(["import", "-"]).args(more).arg("--run-dir").arg(seawall.run_dir());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    let (code, said) = import(&of_app.stdout, &["--dry-run"]);
    assert!(code == Some(0) && said.contains(&format!("+ profile \"{name}\"")), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(send(), Outcome::Connected);
    let (code, said) = import(&of_app.stdout, &[]);
    assert!(code == Some(0) && said.contains("in force"), "{said}");
    assert_eq!(send(), Outcome::Refused);
    assert_eq!(done(&seawall.verb(&["export"])), text, "as it was");
    let (code, said) = import(&text, &["--replace"]);
    assert!(code == Some(0) && said.contains("nothing changes"), "{said}");
    let (code, said) = import("[filter]\nblok_lan = true\n", &[]);
    assert!(code == Some(1) && said.contains("import:2:1: filter.blok_lan"), "{said}");
    let (code, said) = import("", &["--replace"]);
    assert!(code == Some(0) && said.contains("- filter.block_internet = true"), "{said}");
    eventually("nothing is said any more", EASY, || done(&seawall.verb(&["export"])).is_empty());
    assert_eq!(send(), Outcome::Connected);
}
