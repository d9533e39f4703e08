//! What an app moved, added up over sockets that are long gone: each byte
//! once, and none of those sockets kept.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lab::seawall::sample;
use lab::{Connect, Family, Host, Seawall, Serve, World, eventually, until};
use seawall_runtime::ComponentState;

use super::common::at;

const PORT: u16 = 7001;
/// Denied, so that its sockets close without having moved anything.
const DENIED: u16 = 7101;
const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7101\"]\n";
const PAYLOAD: [u8; 100] = [0x5a; 100];
const SOCKETS: u64 = 300;
const FIRST_SOURCE: u16 = 20_000;
/// Headers of IPv4 and UDP.
const HEADERS: u64 = 28;
/// Short connections of each kind that have to be forgotten.
const CALLS: u64 = 200;
/// How long counts may take to be told of, and an app to be described.
const COUNTED: Duration = Duration::from_secs(20);
/// Closed sockets are followed for twenty seconds, and looked at every five.
const FORGOTTEN: Duration = Duration::from_secs(60);
const FOLLOWED: &str = "seawall_process_followed_sockets";

/// Sends one datagram from a socket of its own, on a port of the kernel's choice for port 0.
fn send(host: &Host, port: u16, to: SocketAddr) -> UdpSocket {
    let socket = host.datagrams((Ipv4Addr::UNSPECIFIED, port).into());
    socket.connect(to).expect("connected");
    socket.send(&PAYLOAD).expect("sent");
    socket
}

/// What this very program sent: as `seawall ps` says it, and as metrics do.
fn sent(seawall: &Seawall<'_>) -> (u64, u64) {
    let own = std::env::current_exe().expect("a running program has a file");
    let id = format!("path:{}", own.display());
    let apps = seawall.apps().apps;
    let shown = apps.iter().find(|of| *of.app.id == *id).map(|of| of.traffic.sent_bytes);
    let page = seawall.metrics();
    let of_app = |line: &&str| line.contains(&id) && line.contains("direction=\"sent\"");
    let mut lines = page.lines().filter(|line| line.contains("_traffic_bytes_total"));
    let measured = lines.find(of_app).and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    (shown.unwrap_or_default(), measured.unwrap_or_default())
}

#[track_caller]
fn assert_sent(seawall: &Seawall<'_>, serve: &mut Serve, datagrams: u64, when: &str) {
    let expected = datagrams * (PAYLOAD.len() as u64 + HEADERS);
    let mut seen = (0, 0);
    until(COUNTED, || {
        seen = sent(seawall);
        (seen == (expected, expected)).then_some(())
    });
    let arrived = serve.report().datagrams(PORT);
    assert_eq!(seen, (expected, expected), "{when}: as shown, and as measured; {arrived} arrived");
}

/// Waits until so many sockets are followed, no more and no fewer.
fn follows(seawall: &Seawall<'_>, sockets: usize) {
    let mut seen = None;
    until(FORGOTTEN, || {
        seen = sample(&seawall.metrics(), FOLLOWED);
        (seen == Some(sockets as f64)).then_some(())
    });
    assert_eq!(seen, Some(sockets as f64), "sockets that are followed");
}

#[test]
fn what_short_lived_sockets_moved_counts_once_also_when_process_fails() {
    let world = World::new();
    let to = at(Family::V4, PORT);
    let mut serve = Serve::start(&world.peer, &[], &[to]);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    // Each from ends of its own: of two sockets with the same ends, only one is told of.
    for port in FIRST_SOURCE..FIRST_SOURCE + SOCKETS as u16 {
        drop(send(&world.desk, port, to));
    }
    assert_sent(&seawall, &mut serve, SOCKETS, "by a program that nobody had described");
    for _ in 0..SOCKETS {
        drop(send(&world.desk, 0, to));
    }
    // Of a socket with the ends of one that closed a moment ago nobody is told before its next packet.
    let open = send(&world.desk, FIRST_SOURCE - 1, to);
    assert_sent(&seawall, &mut serve, 2 * SOCKETS + 1, "by one that was");
    seawall.fault(&["process", "panic"]);
    eventually("it was started again", COUNTED, || {
        seawall.try_components().is_some_and(|tree| {
            tree.components.iter().any(|component| {
                component.name == "process"
                    && component.state == ComponentState::Running
                    && component.restarts > 0
            })
        })
    });
    seawall.fault(&["process", "clear"]);
    open.send(&PAYLOAD).expect("sent");
    assert_sent(&seawall, &mut serve, 2 * SOCKETS + 2, "with the next incarnation");
    // The one that is open.
    follows(&seawall, 1);
    assert_sent(&seawall, &mut serve, 2 * SOCKETS + 2, "when they are forgotten");
}

#[test]
fn sockets_that_closed_are_forgotten_whoever_s_they_were() {
    let world = World::new();
    let (to, denied) = (at(Family::V4, PORT), at(Family::V4, DENIED));
    let (to_v6, denied_v6) = (at(Family::V6, PORT), at(Family::V6, DENIED));
    let desk = SocketAddr::new(World::address(World::DESK, Family::V4), PORT);
    let _serve = Serve::start(&world.peer, &[to, to_v6, denied, denied_v6], &[]);
    let _desk_serve = Serve::start(&world.desk, &[desk], &[]);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let held = [(&world.desk, to), (&world.peer, desk), (&world.inner, to)]
        .map(|(host, to)| host.connect(to, COUNTED).expect("it connects"));
    let calls = [
        (&world.desk, to),
        (&world.desk, to_v6),
        (&world.desk, denied),
        (&world.desk, denied_v6),
        (&world.peer, desk),
        (&world.inner, to),
        (&world.inner, denied),
    ];
    let calls = calls
        .map(|(host, to)| Connect { count: CALLS, ..Connect::flat_out(to, 4, 30.0) }.start(host));
    for call in calls {
        call.finish();
    }
    follows(&seawall, held.len());
    drop(held);
    follows(&seawall, 0);
}
