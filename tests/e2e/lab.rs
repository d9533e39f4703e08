//! The lab itself, without Seawall: a tool that can't fail proves nothing.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{
    Connect, Deed, Family, Findings, Neighbourhood, OneShots, Programs, Serve, Stream, Udp, Way,
    World,
};

const SHORT: Patience = Patience(Duration::from_millis(300));

/// Outbound, inbound and forwarded, seen from `desk`.
fn paths(world: &World, family: Family) -> [(&'static str, Path<'_>); 3] {
    let address = |pair| World::address(pair, family);
    [
        (
            "outbound",
            Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER)),
        ),
        (
            "inbound",
            Path::new(&world.peer, address(World::PEER), &world.desk, address(World::DESK)),
        ),
        (
            "forwarded",
            Path::new(&world.inner, address(World::INNER), &world.peer, address(World::PEER)),
        ),
    ]
}

#[test]
fn every_probe_arrives_where_nothing_forbids_it_and_not_where_a_rule_does() {
    let world = World::new();
    let mut findings = Findings::new();
    for forbidden in [false, true] {
        if forbidden {
            for program in ["iptables-nft", "ip6tables-nft"] {
                for chain in ["INPUT", "OUTPUT", "FORWARD"] {
                    world.desk.run(program, &["-w", "5", "-A", chain, "-j", "DROP"]);
                }
            }
        }
        for family in Family::BOTH {
            for (direction, path) in paths(&world, family) {
                for kind in Kind::ALL.into_iter().filter(|kind| kind.exists_in(family)) {
                    let mut ear = path.listen(kind, 7001);
                    let sent = path.send(kind, 7001, SHORT);
                    let within = Duration::from_millis(if forbidden { 100 } else { 5000 });
                    findings.check(
                        ear.hears(sent.token, within) != forbidden,
                        format!(
                            "{kind:?} {direction} {family:?}, forbidden: {forbidden}: {sent:?}"
                        ),
                    );
                }
            }
        }
    }
    findings.settle();
}

#[test]
fn a_neighbourhood_has_names_and_a_router_that_hides_its_lan() {
    let place = Neighbourhood::with_a_desktop()
        .behind_a_router()
        .beside_a_neighbour("noisy")
        .and_a_site("shop.example")
        .and_a_site("tracker.example")
        .built();
    let accepts_from = |listener: &TcpListener| listener.accept().map(|(_, from)| from.ip());
    for family in Family::BOTH {
        let site = place.site("tracker.example");
        let listener = site.host.listen(site.at(family, 7001));
        let connected = place.desktop().connect(site.at(family, 7001), SHORT.0 * 10);
        assert!(connected.is_ok(), "{family:?}: {connected:?}");
        let from = accepts_from(&listener).expect("a caller");
        let hidden = Neighbourhood::desktop_address(family);
        assert_ne!(from, hidden, "the router hides the LAN");

        let on_lan = SocketAddr::new(hidden, 7002);
        let listener = place.desktop().listen(on_lan);
        let noisy = place.neighbour("noisy");
        assert!(noisy.connect(on_lan, SHORT.0 * 10).is_ok(), "{family:?}");
        let from = accepts_from(&listener).expect("a caller");
        assert_eq!(from, place.neighbour_address("noisy", family), "neighbours see each other");
        let outside = site.host.connect(on_lan, SHORT.0);
        assert!(outside.is_err(), "{family:?}: nobody outside knows the way to the LAN");
    }
    for host in [place.desktop(), place.neighbour("noisy"), &place.site("shop.example").host] {
        let asked = lab::run_ok(place.command(host, "getent").args(["hosts", "tracker.example"]));
        assert!(asked.contains("2a77:7::"), "{}: {asked}", host.name());
    }
}

#[test]
fn a_refused_connection_looks_refused() {
    let world = World::new();
    let path = paths(&world, Family::V4)[0].1;
    assert_eq!(path.send(Kind::Tcp, 7999, SHORT).outcome, Outcome::Refused);
    assert_eq!(path.send(Kind::Udp, 7999, SHORT).outcome, Outcome::Refused);
}

#[test]
fn load_is_counted_alike_on_both_ends() {
    let world = World::new();
    let tcp: SocketAddr = SocketAddr::new(World::address(World::PEER, Family::V4), 7001);
    let udp: SocketAddr = SocketAddr::new(World::address(World::PEER, Family::V6), 7002);
    let mut serve = Serve::start(&world.peer, &[tcp], &[udp]);

    let connected = Connect::at_rate(tcp, 500, 1.0).run(&world.desk);
    assert_eq!(connected.failed.total(), 0, "{connected:?}");
    assert!((450..=550).contains(&connected.attempted), "{connected:?}");
    assert_eq!(serve.report().accepted(7001), connected.succeeded);

    let flat_out = Connect::flat_out(tcp, 2, 1.0).run(&world.desk);
    assert_eq!(flat_out.failed.total(), 0, "{flat_out:?}");
    assert!(flat_out.per_second > 500.0, "{flat_out:?}");

    let nobody = SocketAddr::new(tcp.ip(), 7999);
    let refused = Connect::at_rate(nobody, 100, 0.5).run(&world.desk);
    assert_eq!(refused.failed.refused, refused.attempted, "{refused:?}");

    for up in [false, true] {
        let streamed = Stream { up, ..Stream::down(tcp, 1.0) }.run(&world.inner);
        assert!(streamed.bytes > 10_000_000 && streamed.broken.is_empty(), "{streamed:?}");
        assert!(streamed.longest_gap_us > 0, "{streamed:?}");
    }
    let echo = Udp { echo: true, flows: 4, ..Udp::at_rate(udp, 2000, 1.0) }.run(&world.inner);
    let served = serve.finish();
    assert_eq!(served.datagrams(7002), echo.sent, "{served:?} {echo:?}");
    assert_eq!(echo.echoed, echo.sent, "{echo:?}");
    assert_eq!((served.udp[0].duplicated, served.udp[0].missing), (0, 0), "{served:?}");
    assert_eq!(served.tcp[0].streams.len(), 2, "{served:?}");
}

#[test]
fn a_world_leaves_nothing_behind() {
    let world = World::with_nat();
    let name = world.desk.namespace().to_owned();
    let path = format!("/run/netns/{name}");
    assert!(std::path::Path::new(&path).exists());
    let peer = World::address(World::PEER, Family::V4);
    let listener = world.peer.listen(SocketAddr::new(peer, 7001));
    let address = SocketAddr::new(peer, 7001);
    let client =
        world.inner.connect(address, Duration::from_secs(5)).expect("a connection through NAT");
    let (_, seen) = listener.accept().expect("an accepted connection");
    assert_eq!(seen.ip(), World::address(World::DESK, Family::V4), "NAT hides the inner host");
    drop((client, listener, world));
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn short_lived_programs_do_every_deed_in_every_way() {
    const COUNT: u32 = 800;
    let world = World::new();
    let programs = Programs::new();
    let to = Family::BOTH.map(|family| SocketAddr::new(World::address(World::PEER, family), 7001));
    let mut serve = Serve::start(&world.peer, &to, &to);
    let begun = std::time::Instant::now();
    let shots = OneShots::matrix(to.to_vec(), COUNT).run(&world.desk, &programs);
    println!("{COUNT} programs in {:?}", begun.elapsed());
    let mut findings = Findings::new();
    let served = serve.report();
    for deed in Deed::ALL {
        for way in Way::ALL {
            for to in to {
                let count =
                    shots.iter().filter(|s| (s.deed, s.way, s.to) == (deed, way, to)).count();
                findings.check(count >= 10, format!("{deed:?} {way:?} to {to}: {count} programs"));
            }
        }
    }
    for shot in &shots {
        findings.check(shot.outcome == "ok" && shot.from_port != 0, format!("{shot:?}"));
    }
    let count = |wanted: &[Deed]| shots.iter().filter(|s| wanted.contains(&s.deed)).count() as u64;
    findings.check(
        served.datagrams(7001) >= count(&[Deed::SendTo, Deed::ConnectAndSend])
            && served.accepted(7001) >= count(&[Deed::Connect]),
        format!("not all arrived: {:?} {:?}", served.udp, served.tcp),
    );
    findings.settle();
}
