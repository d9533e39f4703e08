//! Marks that other programs set, seen where other programs look.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::probe::{Outcome, Path};
use lab::{Datagrams, Family, Findings, Host, Seawall, World};
use socket2::{Domain, Socket, Type};

const BACKENDS: [&str; 2] = ["iptables-nft", "iptables-legacy"];
const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7100-7199\", \"- * UDP/7100-7199\"]\nincoming_rules = [\"- * UDP/7100-7199\"]\n";
/// wg-quick, Mullvad (packets, connections), Tailscale (subnet routes, bypass), Docker swarm, and one with every bit.
const MARKS: [u32; 7] = [0xca6c, 0x6d6f_6c65, 0xf41, 0x4_0000, 0x8_0000, 0xd0c4, 0x7fff_ffff];
/// Where a verdict travels in the packet mark, by default.
const OUR_BITS: u32 = 0xff00_0000;
const EASY: Duration = Duration::from_secs(2);

fn paths(world: &World, family: Family) -> (Path<'_>, Path<'_>) {
    let address = |pair| World::address(pair, family);
    let (desk, peer) = (address(World::DESK), address(World::PEER));
    (
        Path::new(&world.desk, desk, &world.peer, peer),
        Path::new(&world.peer, peer, &world.desk, desk),
    )
}

fn program(backend: &str, family: Family) -> String {
    match family {
        Family::V4 => backend.to_owned(),
        Family::V6 => backend.replacen("iptables", "ip6tables", 1),
    }
}

/// Packets that a counting rule with this comment saw.
fn counted(host: &Host, program: &str, comment: &str) -> u64 {
    let text = host.run(&format!("{program}-save"), &["-c"]);
    let line = text
        .lines()
        .find(|line| line.contains(&format!("--comment {comment} ")) || line.ends_with(comment));
    line.and_then(|line| line.strip_prefix('[')?.split_once(':')?.0.parse().ok())
        .unwrap_or_else(|| panic!("no rule {comment} in:\n{text}"))
}

/// Counts datagrams of a port, all of them and those with exactly this mark, where they leave and where they arrive.
fn count_marks(host: &Host, program: &str, chain: &str, port: u16, mark: u32) {
    let table = if chain == "INPUT" { "filter" } else { "mangle" };
    let direction = if chain == "INPUT" { "--sport" } else { "--dport" };
    host.restore(
        program,
        &format!(
            "*{table}\n\
             -A {chain} -p udp -m udp {direction} {port} -m comment --comment all-{chain}-{port}\n\
             -A {chain} -p udp -m udp {direction} {port} -m mark --mark {mark:#x} -m comment --comment same-{chain}-{port}\n\
             COMMIT\n"
        ),
    );
}

#[test]
fn marks_of_packets_and_connections_pass_unchanged_bit_for_bit() {
    let mut findings = Findings::new();
    for backend in BACKENDS {
        let world = World::new();
        let desk = &world.desk;
        let _seawall = Seawall::on(desk).backend(backend).policy(POLICY).start();
        for family in Family::BOTH {
            let program = program(backend, family);
            let (out, _) = paths(&world, family);
            for (number, mark) in MARKS.into_iter().enumerate() {
                let port = 7300 + number as u16;
                let what = format!("{program} {mark:#x}");
                count_marks(desk, &program, "POSTROUTING", port, mark);
                count_marks(desk, &program, "INPUT", port, mark);
                desk.restore(
                    &program,
                    &format!(
                        "*mangle\n\
                         -A OUTPUT -p udp -m udp --dport {port} -j CONNMARK --set-mark {mark:#x}\n\
                         -A PREROUTING -p udp -m udp --sport {port} -j MARK --set-mark {mark:#x}\n\
                         COMMIT\n"
                    ),
                );
                let talk = Datagrams::open_marked(&out, port, mark);
                for _ in 0..5 {
                    let took = talk.round_trip(EASY);
                    findings.check(took.is_ok(), format!("{what}: {took:?}"));
                }
                for chain in ["POSTROUTING", "INPUT"] {
                    let all = counted(desk, &program, &format!("all-{chain}-{port}"));
                    let same = counted(desk, &program, &format!("same-{chain}-{port}"));
                    findings.check(
                        all >= 5 && same == all,
                        format!("{what}: {same} of {all} packets carry it unchanged in {chain}"),
                    );
                }
                // A packet whose mark has bits where ours lie can't be sent back to the top of the
                // chain, so rules of others behind ours in that very chain don't see it.
                findings.check(
                    connection_mark(desk, port) == Some(mark) || mark & OUR_BITS != 0,
                    format!("{what}: the connection carries {:x?}", connection_mark(desk, port)),
                );
            }
        }
    }
    findings.settle();
}

/// The mark of the tracked connection to this port.
fn connection_mark(host: &Host, port: u16) -> Option<u32> {
    let entries = host.inside(|| {
        let mut conntrack = seawall_platform::linux::conntrack::Conntrack::open()?;
        conntrack.list()
    });
    let entries = entries.expect("the connection-tracking table");
    entries.iter().find(|entry| entry.original.destination_port == port).map(|entry| entry.mark)
}

/// Every value of the byte where our own bits lie, with and without foreign bits below.
fn every_mark() -> impl Iterator<Item = u32> {
    (0..=0xff_u32).flat_map(|top| [top << 24, top << 24 | 0x4_ca6c])
}

#[test]
fn no_mark_of_a_packet_skips_judgement() {
    for backend in BACKENDS {
        let world = World::new();
        let _seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        for family in Family::BOTH {
            let (out, _) = paths(&world, family);
            let forbidden = receiver(out.to, out.destination, 7101);
            let allowed = receiver(out.to, out.destination, 7001);
            for mark in every_mark() {
                send_marked(&out, 7101, mark);
                send_marked(&out, 7001, mark);
            }
            let mut arrived = 0;
            let mut buffer = [0_u8; 16];
            let mut next = || lab::uninterrupted(|| allowed.recv(&mut buffer));
            while arrived < every_mark().count() && next().is_ok() {
                arrived += 1;
            }
            assert_eq!(arrived, every_mark().count(), "{backend} {family:?}: allowed datagrams");
            forbidden.set_nonblocking(true).expect("non-blocking");
            let leaked = forbidden.recv(&mut buffer);
            assert!(leaked.is_err(), "{backend} {family:?}: mark {buffer:x?} skipped judgement");
        }
    }
}

fn receiver(host: &Host, address: IpAddr, port: u16) -> std::net::UdpSocket {
    let socket = host.datagrams(SocketAddr::new(address, port));
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 4 << 20)
        .expect("a large buffer");
    socket
}

/// Sends the mark as payload, from a fresh socket: a new flow each time.
fn send_marked(path: &Path<'_>, port: u16, mark: u32) {
    path.from.inside(|| {
        let to = SocketAddr::new(path.destination, port);
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).expect("a socket");
        socket.set_mark(mark).expect("root sets marks");
        // A refusal is what the test is about.
        let _ = socket.send_to(&mark.to_be_bytes(), &to.into());
    });
}

#[test]
fn no_mark_of_a_connection_skips_judgement() {
    for backend in BACKENDS {
        let world = World::new();
        let _seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let (out, back) = paths(&world, Family::V4);
        let forbidden = receiver(out.to, out.destination, 7101);
        let inbound = receiver(back.to, back.destination, 7102);
        for top in 0..=0xff_u32 {
            let mark = top << 24;
            let rules = format!(
                "*mangle\n:their-marks - [0:0]\n-F their-marks\n\
                 -A their-marks -j CONNMARK --set-mark {mark:#x}\n\
                 -A their-marks -j MARK --set-mark {mark:#x}\n{}COMMIT\n\
                 *raw\n:their-marks - [0:0]\n-F their-marks\n\
                 -A their-marks -j MARK --set-mark {mark:#x}\n{}COMMIT\n",
                if top == 0 { "-A PREROUTING -j their-marks\n" } else { "" },
                if top == 0 { "-A OUTPUT -p udp --dport 7101 -j their-marks\n" } else { "" },
            );
            world.desk.restore(backend, &rules);
            send_marked(&out, 7101, mark);
            send_marked(&back, 7102, mark);
        }
        let mut skipped = Vec::new();
        for (socket, way) in [(&forbidden, "outbound"), (&inbound, "inbound")] {
            socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
            let mut mark = [0_u8; 4];
            while lab::uninterrupted(|| socket.recv(&mut mark)).is_ok() {
                skipped.push(format!("{way} {:#x}", u32::from_be_bytes(mark)));
            }
        }
        assert!(skipped.is_empty(), "{backend}: skipped judgement: {skipped:?}");
    }
}

#[test]
fn marked_tcp_is_answered_like_any_other() {
    let world = World::new();
    let _seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let (out, _) = paths(&world, Family::V4);
    let _listener = out.to.listen(SocketAddr::new(out.destination, 7001));
    let connect = |port, mark| {
        out.from.inside(|| {
            let to = SocketAddr::new(out.destination, port);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_mark(mark).expect("root sets marks");
            match socket.connect_timeout(&to.into(), EASY) {
                Ok(()) => Outcome::Connected,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    Outcome::Refused
                }
                Err(_) => Outcome::Silence,
            }
        })
    };
    for mark in MARKS.into_iter().chain([0x8100_0000, 0x9100_0000, 0xf900_0001, 0xffff_ffff]) {
        assert_eq!(connect(7001, mark), Outcome::Connected, "{mark:#x}");
        assert_eq!(connect(7101, mark), Outcome::Refused, "{mark:#x}");
    }
}
