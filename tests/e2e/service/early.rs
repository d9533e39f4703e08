//! Before Seawall is there, at boot: `seawall early-rules`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Family, Finished, Host, Seawall, World};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::load::{self, OPEN};

const PATIENCE: Patience = Patience(Duration::from_millis(1500));

/// Runs the verb on `desk` with a policy of that mode.
fn early_rules(world: &World, folder: &TempDir, policy: &str) -> Finished {
    let file = folder.path().join("seawall.toml");
    std::fs::write(&file, policy).expect("written");
    let state = folder.path().join("state");
    let arguments = [
        "early-rules",
        "--config",
        &file.to_string_lossy(),
        "--state-dir",
        &state.to_string_lossy(),
    ]
    .map(str::to_owned);
    lab::seawall::command(&world.desk, &arguments.each_ref().map(String::as_str))
}

fn outbound(world: &World, family: Family) -> Outcome {
    let address = |pair| World::address(pair, family);
    let path = Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER));
    path.send(Kind::Tcp, OPEN, PATIENCE).outcome
}

#[test]
fn in_lockdown_new_connections_drop_from_before_the_network_until_seawall_judges() {
    let world = World::new();
    let _serve = load::serve(&world);
    let folder = TempDir::with_prefix("seawall-early-").expect("a folder");
    assert_eq!(outbound(&world, Family::V4), Outcome::Connected, "before");
    let answer = early_rules(&world, &folder, "[service]\nmode = \"lockdown\"\n");
    assert!(answer.ok() && answer.stdout.contains("lockdown"), "{answer:?}");
    assert_eq!(outbound(&world, Family::V4), Outcome::Silence);
    // The servers listen for IPv4: an answer, be it a refusal, would be one too many.
    assert_eq!(outbound(&world, Family::V6), Outcome::Silence);
    let loopback =
        Path::new(&world.desk, Ipv4Addr::LOCALHOST.into(), &world.desk, Ipv4Addr::LOCALHOST.into());
    assert_eq!(loopback.send(Kind::Tcp, OPEN, PATIENCE).outcome, Outcome::Refused, "it passes");

    let seawall = Seawall::on(&world.desk).policy(load::POLICY).lockdown().start();
    assert_eq!(outbound(&world, Family::V4), Outcome::Connected, "judged");
    let again = early_rules(&world, &folder, "[service]\nmode = \"lockdown\"\n");
    assert!(again.ok() && again.stdout.contains("already"), "{again:?}");
    assert_eq!(outbound(&world, Family::V4), Outcome::Connected, "still judged");
    drop(seawall);
}

/// An address is asked for and given, and neighbours find each other, while nothing else passes.
#[test]
fn in_lockdown_an_interface_gets_what_it_needs() {
    let world = World::new();
    let folder = TempDir::with_prefix("seawall-early-").expect("a folder");
    let answer = early_rules(&world, &folder, "[service]\nmode = \"lockdown\"\n");
    assert!(answer.ok(), "{answer:?}");
    let socket = |host: &Host, interface: &str, port: u16| {
        host.inside(|| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.set_broadcast(true)?;
            socket.set_read_timeout(Some(PATIENCE.0))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            Ok::<_, std::io::Error>(UdpSocket::from(socket))
        })
        .expect("a socket")
    };
    let (client, server) = (socket(&world.desk, "peer", 68), socket(&world.peer, "desk", 67));
    let hears = |socket: &UdpSocket| socket.recv_from(&mut [0; 16]).is_ok();
    client.send_to(b"discover", (Ipv4Addr::BROADCAST, 67)).expect("it can be asked");
    assert!(hears(&server), "a question for an address");
    server.send_to(b"offer", (Ipv4Addr::BROADCAST, 68)).expect("it can be answered");
    assert!(hears(&client), "its answer");
    // From the same port to another; to the same as the first, so that it comes after it.
    let other = socket(&world.peer, "desk", 69);
    let _dropped = client.send_to(b"other", (Ipv4Addr::BROADCAST, 69));
    client.send_to(b"discover", (Ipv4Addr::BROADCAST, 67)).expect("it can be asked again");
    assert!(hears(&server), "a second question");
    assert!(!hears(&other), "anything else is dropped");

    // The peer asks who has that address: the question comes in, and the answer leaves.
    world.peer.run("ip", &["neigh", "flush", "all"]);
    let path = |family| {
        let address = |pair| World::address(pair, family);
        Path::new(&world.peer, address(World::PEER), &world.desk, address(World::DESK))
    };
    for family in Family::BOTH {
        let path = path(family);
        assert_eq!(path.send(Kind::Tcp, OPEN, PATIENCE).outcome, Outcome::Silence, "{family:?}");
        let known = world.peer.run("ip", &["neigh", "show", &path.destination.to_string()]);
        assert!(known.contains("lladdr"), "{family:?}: {known}");
    }
}

#[test]
fn a_seawall_that_starts_in_open_mode_takes_early_rules_away_when_it_stops() {
    let world = World::new();
    let _serve = load::serve(&world);
    let folder = TempDir::with_prefix("seawall-early-").expect("a folder");
    let answer = early_rules(&world, &folder, "[service]\nmode = \"lockdown\"\n");
    assert!(answer.ok(), "{answer:?}");
    drop(Seawall::on(&world.desk).policy(load::POLICY).start());
    let left = world.desk.filters();
    assert!(!left.contains("SEAWALL") && !left.contains("table inet seawall"), "{left}");
    assert_eq!(outbound(&world, Family::V4), Outcome::Connected);
}

#[test]
fn in_open_mode_and_with_a_bad_policy_nothing_is_touched() {
    let world = World::new();
    let folder = TempDir::with_prefix("seawall-early-").expect("a folder");
    let before = world.desk.filters();
    let answer = early_rules(&world, &folder, "");
    assert!(answer.ok() && answer.stdout.contains("open"), "{answer:?}");
    let answer = early_rules(&world, &folder, "mode = lockdown");
    assert!(answer.code == Some(1) && answer.stderr.contains("refused"), "{answer:?}");
    assert_eq!(world.desk.filters(), before);
}
