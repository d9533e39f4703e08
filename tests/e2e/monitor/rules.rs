//! Rules by keys and by the verb: stored, in force, and what was open is cut.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use lab::world::needs;
use lab::{Family, Seawall, World, eventually};

use super::common::{Caller, SOON, monitor};

const POLICY: &str = "# mine\n[filter]\nblock_lan = false # not yet\n";

#[test]
fn a_connection_that_is_blocked_by_a_key_is_cut_and_the_file_stays_as_it_is() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut blocked = Caller::start(&world, 7001);
    let mut other = Caller::start(&world, 7002);
    let pane = monitor(&seawall, (100, 24));
    pane.shows_all(&[":7001", ":7002", "PROTECTED"]);
    pane.keys(&["/"]);
    pane.keys(&["7001"]);
    pane.keys(&["Enter", "Tab", "b"]);
    pane.shows_all(&["Block", "outgoing_rules = [\"- *\", …]"]);
    pane.keys(&["Escape"]);
    pane.shows("it is left", |text| !text.contains("outgoing_rules"));
    pane.keys(&["b", "Down", "Down"]);
    pane.shows_all(&["> 10.77.1.2, TCP port 7001", "[\"- 10.77.1.2 TCP/7001\", …]"]);
    pane.keys(&["Enter"]);
    assert!(blocked.is_cut(SOON), "it is cut");
    pane.shows_all(&["is in force, first in outgoing_rules of the profile", "reject"]);
    assert!(!other.is_cut(Duration::from_millis(200)), "and no other");
    let file = std::fs::read_to_string(seawall.policy_file()).expect("a file");
    assert!(file.starts_with(POLICY) && !file.contains("7001"), "{file}");
    let exported = seawall.verb(&["export"]).stdout;
    assert!(exported.contains("match = { path = \"/usr/bin/bash\" }"), "{exported}");
    // And allowed again.
    pane.keys(&["a", "Down", "Down", "Enter"]);
    pane.shows_all(&["+ 10.77.1.2 TCP/7001 is in force"]);
    drop(blocked);
    let mut again = Caller::start(&world, 7001);
    assert!(!again.is_cut(Duration::from_millis(200)));
}

#[test]
fn the_verb_adds_a_rule_in_force_or_says_what_is_wrong() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut caller = Caller::start(&world, 7001);
    let answer = seawall.verb(&["rule", "add", "--app", "/usr/bin/bash", "- 10.77.1.2 TCP/7001"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stdout.contains("outgoing_rules of the profile \"bash\", in force"),
        "{answer:?}"
    );
    assert!(caller.is_cut(SOON));
    let again =
        seawall.verb(&["rule", "add", "--json", "--app", "/usr/bin/bash", "- 10.77.1.2 TCP/7001"]);
    assert_eq!(again.json()["added"]["was_there"], true);
    let text = seawall.verb(&["export"]).stdout;
    for (arguments, why) in [
        (&["rule", "add", "- no where"][..], "where"),
        (&["rule", "add", "10.0.0.1"], "`+` to permit"),
        (&["rule", "add", "--app", "", "- *"], "no profile that is named"),
    ] {
        let answer = seawall.verb(arguments);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains(why), "{answer:?}");
    }
    assert_eq!(seawall.verb(&["rule", "add"]).code, Some(2));
    assert_eq!(seawall.verb(&["export"]).stdout, text);
    assert_eq!(seawall.status().policy.expect("a policy").refused, None);
}

#[test]
fn only_root_changes_anything_also_of_those_who_may_look() {
    needs("setpriv");
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    // Whoever may reach the socket at all: the group is root's where there is no group seawall.
    let socket = seawall.run_dir().join("api.sock");
    let group = std::fs::metadata(&socket).expect("a socket").gid();
    for folder in [seawall.path(), &seawall.run_dir()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let binary = lab::seawall::binary().to_string_lossy().into_owned();
    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    let run = |arguments: &[&str]| {
        let mut command = world.desk.command("setpriv");
        command.args(["--reuid=65534", &format!("--regid={group}"), "--clear-groups", "--"]);
        lab::run(command.arg(&binary).args(arguments).args(["--run-dir", &run_dir]))
    };
    let looks = run(&["status"]);
    assert_eq!(looks.code, Some(0), "{looks:?}");
    let refused = run(&["rule", "add", "- *"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("only root may do this"), "{refused:?}");
    for arguments in [
        &["pause", "1m"][..],
        &["resume"],
        &["rule", "remove", "- *"],
        &["setting", "set", "block_lan", "off"],
        &["profile", "make", "/usr/bin/curl"],
        &["import", "/dev/null"],
    ] {
        let refused = run(arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("only root may do this"), "{refused:?}");
    }
    assert_eq!(seawall.verb(&["export"]).stdout, "");
}

#[test]
fn a_rule_outlives_the_worker_that_wrote_it() {
    let world = World::new();
    let mut seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let rule = ["rule", "add", "- 10.77.1.2 TCP/7001"];
    assert_eq!(seawall.verb(&rule).code, Some(0));
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, SOON).expect("another worker");
    let to = std::net::SocketAddr::new(World::address(World::PEER, Family::V4), 7001);
    let _listener = world.peer.listen(to);
    eventually("it is refused", SOON, || world.desk.connect(to, Duration::from_secs(1)).is_err());
}
