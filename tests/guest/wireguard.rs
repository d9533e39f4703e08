//! A real WireGuard tunnel between two hosts: what is in it is judged, and the tunnel itself, which is
//! the kernel's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::seawall::process;
use lab::{Family, Findings, Host, Seawall, World};
use seawall_messages::flow::{Direction, Protocol};
use seawall_messages::process::AppKind;

const PORT: u16 = 51820;
const HERE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);
const PATIENCE: Patience = Patience(Duration::from_secs(8));
/// Somebody's section, so that owners matter.
const APPS: &str =
    "[[app]]\nmatch = { path = \"/usr/bin/nobody-runs-this\" }\noutgoing_rules = [\"- * TCP/1\"]\n";

fn key(host: &Host, command: &str) -> String {
    host.run("sh", &["-c", command]).trim().to_owned()
}

/// Lays a tunnel from `desk` to `peer`.
fn tunnel(world: &World) {
    let ends = [(&world.desk, HERE), (&world.peer, THERE)];
    let keys = ends.map(|(host, _)| key(host, "wg genkey"));
    let public =
        keys.each_ref().map(|private| key(&world.desk, &format!("echo {private} | wg pubkey")));
    let outside = [World::PEER, World::DESK].map(|pair| World::address(pair, Family::V4));
    for (number, (host, inside)) in ends.into_iter().enumerate() {
        let (private, other) = (&keys[number], &public[1 - number]);
        let endpoint = SocketAddr::new(outside[number], PORT);
        host.run("ip", &["link", "add", "wg0", "type", "wireguard"]);
        let configure = format!(
            "wg set wg0 listen-port {PORT} private-key <(echo {private}) peer {other} \
             allowed-ips 10.88.0.0/24 endpoint {endpoint}"
        );
        host.run("bash", &["-c", &configure]);
        host.run("ip", &["addr", "add", &format!("{inside}/24"), "dev", "wg0"]);
        host.run("ip", &["link", "set", "wg0", "up"]);
    }
}

#[test]
fn what_is_in_a_tunnel_is_judged_and_the_tunnel_is_the_kernels() {
    let world = World::new();
    let policy =
        "[filter]\noutgoing_rules = [\"- * TCP/7101\"]\nincoming_rules = [\"- * TCP/7102\"]\n";
    let seawall = Seawall::on(&world.desk).policy(&format!("{policy}{APPS}")).start();
    tunnel(&world);
    let mut findings = Findings::new();
    let (here, there) = (IpAddr::V4(HERE), IpAddr::V4(THERE));
    let out = Path::new(&world.desk, here, &world.peer, there);
    let back = Path::new(&world.peer, there, &world.desk, here);
    for (path, port, expected) in [
        (&out, 7001, Outcome::Connected),
        (&out, 7101, Outcome::Refused),
        (&back, 7002, Outcome::Connected),
        (&back, 7102, Outcome::Silence),
    ] {
        let _listener = path.listen(Kind::Tcp, port);
        let sent = path.send(Kind::Tcp, port, PATIENCE);
        findings.check(sent.outcome == expected, format!("port {port} in the tunnel: {sent:?}"));
    }
    let outer = seawall.owned("the tunnel", |connection| {
        connection.flow.protocol == Protocol::UDP
            && connection.flow.destination_port() == Some(PORT)
    });
    let owner = process(&outer).expect("it has an owner");
    findings.check(owner.app.kind == AppKind::Kernel, format!("the tunnel's owner: {outer:?}"));
    findings.settle();
}

#[test]
fn a_rule_denies_the_tunnel_itself_whoever_calls() {
    for (direction, rule) in [
        (Direction::Outbound, "outgoing_rules = [\"- * UDP/51820\"]"),
        (Direction::Inbound, "incoming_rules = [\"- * UDP/51820\"]"),
    ] {
        let world = World::new();
        let policy = format!("[filter]\n{rule}\n{APPS}");
        let seawall = Seawall::on(&world.desk).policy(&policy).start();
        tunnel(&world);
        let (here, there) = (IpAddr::V4(HERE), IpAddr::V4(THERE));
        let path = match direction {
            Direction::Inbound => Path::new(&world.peer, there, &world.desk, here),
            _ => Path::new(&world.desk, here, &world.peer, there),
        };
        let _listener = path.listen(Kind::Tcp, 7001);
        let sent = path.send(Kind::Tcp, 7001, Patience(Duration::from_secs(3)));
        assert_ne!(sent.outcome, Outcome::Connected, "{direction:?}");
        let handshakes = world.desk.run("wg", &["show", "wg0", "latest-handshakes"]);
        assert!(handshakes.trim().ends_with("\t0"), "{direction:?}: {handshakes}");
        let denied = seawall.owned("the tunnel", |connection| {
            connection.flow.protocol == Protocol::UDP
                && connection.flow.direction == direction
                && connection.flow.destination_port() == Some(PORT)
        });
        let owner = process(&denied).expect("it has an owner");
        assert_eq!(owner.app.kind, AppKind::Kernel, "{denied:?}");
    }
}
