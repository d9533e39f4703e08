//! Two users, one target.

use std::process::Command;
use std::time::Duration;

use lab::probe::{Kind, Outcome};
use lab::{Family, Host, Running, Seawall, Talk, World, run, uninterrupted};

use super::{CUT, EASY, PATIENCE, path};

/// `nobody`, whom every machine has.
const NOBODY: u32 = 65_534;

/// A program that will run on a host as that user.
fn as_user(host: &Host, uid: u32, script: &str) -> Command {
    let mut command = host.command("setpriv");
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    command.args([&uid, &gid, "--clear-groups", "--", "bash", "-c", script]);
    command
}

/// Whether a user gets through to a port of `peer` that listens.
fn connects(world: &World, uid: u32, family: Family, port: u16) -> bool {
    let address = World::address(World::PEER, family);
    let script = format!("exec 3<>/dev/tcp/{address}/{port}");
    run(&mut as_user(&world.desk, uid, &script)).ok()
}

#[test]
fn two_users_have_different_rules_for_one_target() {
    let world = World::new();
    let policy = "[filter]\ndefault_action = \"block\"\noutgoing_rules = [\n\
        \"- * TCP/7401 user=nobody\", \"+ * TCP/7401-7402\", \"+ * */7403 user=nobody\", \"+ * ICMP6\"]\n";
    let _seawall = Seawall::on(&world.desk).policy(policy).start();
    for family in Family::BOTH {
        let out = path(&world, family);
        let _listeners = [7401, 7402, 7403].map(|port| out.listen(Kind::Tcp, port));
        // A user, what it may reach.
        let cases =
            [(NOBODY, [false, true, true]), (0, [true, true, false]), (1234, [true, true, false])];
        // In turn, so that no answer for one is taken for another's.
        for _ in 0..3 {
            for (uid, expected) in cases {
                let reached = [7401, 7402, 7403].map(|port| connects(&world, uid, family, port));
                assert_eq!(reached, expected, "{family:?} {uid}");
            }
        }
        let socket = world.peer.datagrams(std::net::SocketAddr::new(out.destination, 7403));
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time limit");
        let address = out.destination;
        let says = |uid| {
            let script = format!("echo {uid} > /dev/udp/{address}/7403");
            run(&mut as_user(&world.desk, uid, &script));
        };
        says(0);
        says(NOBODY);
        let mut buffer = [0; 64];
        let (length, _) = uninterrupted(|| socket.recv_from(&mut buffer)).expect("a datagram");
        let heard = String::from_utf8_lossy(&buffer[..length]);
        assert_eq!(heard.trim(), NOBODY.to_string(), "{family:?}: that of one user alone");
    }
}

#[test]
fn a_new_rule_cuts_the_streams_of_its_user_alone() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for family in Family::BOTH {
        seawall.set_policy("");
        let out = path(&world, family);
        let mut talk = Talk::open(&out, 7402);
        talk.round_trip(EASY).expect("a round trip before the rule");
        let listener = world.peer.listen(std::net::SocketAddr::new(out.destination, 7401));
        let address = out.destination;
        let script = format!("exec 3<>/dev/tcp/{address}/7401 && echo connected && read -r -u 3 _");
        let mut stream = Running::start(&mut as_user(&world.desk, NOBODY, &script));
        assert_eq!(stream.line(EASY).as_deref().map(str::trim), Some("connected"));
        let (_called, _) = listener.accept().expect("it is accepted");
        seawall.set_policy("[filter]\noutgoing_rules = [\"- * TCP user=65534\"]\n");
        assert!(stream.wait(CUT).is_some(), "{family:?}: the user's stream is cut");
        talk.round_trip(EASY).expect("another's goes on");
        assert!(!connects(&world, NOBODY, family, 7402));
    }
    // Whoever asks about a process is told by which rule.
    let explained = seawall.verb(&["explain", &std::process::id().to_string(), "10.77.1.2:7401"]);
    assert!(explained.stdout.starts_with("PERMITTED"), "{explained:?}");
    let explained = seawall.verb(&["explain", "-", "10.77.1.2:7401"]);
    assert!(explained.stdout.contains("rules by user deny in doubt"), "{explained:?}");
}

#[test]
fn the_user_of_what_others_open_is_the_one_who_listens() {
    let world = World::new();
    let policy = "[filter]\nincoming_rules = [\"- * TCP user=nobody\"]\n";
    let _seawall = Seawall::on(&world.desk).policy(policy).start();
    let inbound = super::back(&world, Family::V4);
    let _own = inbound.listen(Kind::Tcp, 7404);
    assert_eq!(inbound.send(Kind::Tcp, 7404, PATIENCE).outcome, Outcome::Connected);
    let server = "import socket,signal; s=socket.create_server((\"10.77.1.1\",7405)); print(\"ready\",flush=True); signal.pause()";
    let script = format!("exec python3 -c '{server}'");
    let theirs = Running::start(&mut as_user(&world.desk, NOBODY, &script));
    assert_eq!(theirs.line(Duration::from_secs(20)).as_deref().map(str::trim), Some("ready"));
    assert_eq!(inbound.send(Kind::Tcp, 7405, PATIENCE).outcome, Outcome::Silence);
    // The kernel itself answers: no rule by user means that.
    world.peer.run("ping", &["-c1", "-W2", World::DESK[0]]);
}
