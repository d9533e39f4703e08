//! Bytes counted to the byte: payload and headers, by the formula of `Traffic`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use lab::seawall::initiator_port;
use lab::{Family, Findings, Host, Seawall, World, until};
use seawall_messages::flow::{Flow, Protocol};
use seawall_messages::process::Traffic;
use serde::Serialize;

use super::common::{POLICY, at, number, record};

const PORT: u16 = 7001;
const CHUNK_BYTES: usize = 256 * 1024;
/// How long one direction may take, and the counters to be told of.
const MOVES: Duration = Duration::from_secs(60);
const COUNTED: Duration = Duration::from_secs(10);
/// A retransmission is payload twice. It is rare, and says nothing of the counters.
const ATTEMPTS: usize = 3;

/// Bytes of TCP's header without time stamps and selective acknowledgements, which the test turns off.
const TCP_HEADER: u64 = 20;
/// Options of the first packet each way: maximum segment size (4) and window scale (3, padded to 4).
const SYN_OPTIONS: u64 = 8;
/// Of the cable.
const MTU: u64 = 1500;

#[derive(Debug, Serialize)]
struct Row {
    family: &'static str,
    payload_bytes: u64,
    traffic: Traffic,
    sent_payload: u64,
    received_payload: u64,
}

/// Packets on the cable that so much payload needs at least.
fn fewest_packets(family: Family, payload: u64) -> u64 {
    payload.div_ceil(MTU - ip_header(family) - TCP_HEADER)
}

fn ip_header(family: Family) -> u64 {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

/// Payload by the formula: what is left of the bytes without the headers of so many packets.
fn payload(family: Family, bytes: u64, packets: u64) -> u64 {
    let headers = packets * (ip_header(family) + TCP_HEADER) + SYN_OPTIONS;
    bytes.saturating_sub(headers)
}

/// Segments that a host sent again (`RetransSegs` of RFC 4022).
fn retransmitted(host: &Host) -> u64 {
    let text = host.run("cat", &["/proc/net/snmp"]);
    let mut tcp = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (tcp.next().unwrap_or_default(), tcp.next().unwrap_or_default());
    let column = names.split(' ').position(|name| name == "RetransSegs");
    column
        .and_then(|column| values.split(' ').nth(column)?.parse().ok())
        .unwrap_or_else(|| panic!("no RetransSegs in {text}"))
}

/// Moves so many bytes one way.
fn pour(from: &mut TcpStream, to: &mut TcpStream, bytes: u64) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let chunk = vec![0x5a_u8; CHUNK_BYTES];
            let mut left = bytes;
            while left > 0 {
                let length = left.min(CHUNK_BYTES as u64) as usize;
                from.write_all(&chunk[..length]).expect("the stream takes its bytes");
                left -= length as u64;
            }
        });
        let mut buffer = vec![0_u8; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(CHUNK_BYTES as u64) as usize;
            let got = to.read(&mut buffer[..length]).expect("the stream gives its bytes");
            assert!(got > 0, "the stream ended {left} bytes early");
            left -= got as u64;
        }
    });
}

fn connect(world: &World, listener: &TcpListener, to: SocketAddr) -> (TcpStream, TcpStream) {
    let caller = world.desk.connect(to, MOVES).expect("it connects");
    let (called, _) = listener.accept().expect("it is accepted");
    for end in [&caller, &called] {
        end.set_read_timeout(Some(MOVES)).expect("a time limit");
        end.set_write_timeout(Some(MOVES)).expect("a time limit");
    }
    (caller, called)
}

/// So many bytes each way over one connection; `None` where something was sent twice.
fn count(world: &World, seawall: &Seawall<'_>, family: Family, bytes: u64) -> Option<Row> {
    let before = retransmitted(&world.desk) + retransmitted(&world.peer);
    let listener = world.peer.listen(at(family, PORT));
    let (mut caller, mut called) = connect(world, &listener, at(family, PORT));
    pour(&mut caller, &mut called, bytes);
    pour(&mut called, &mut caller, bytes);
    if retransmitted(&world.desk) + retransmitted(&world.peer) != before {
        return None;
    }
    let from_port = caller.local_addr().expect("its address").port();
    let mut last = None;
    let look = || {
        // Whose it is doesn't matter here.
        let connections = seawall.try_connections()?;
        let is_it =
            |flow: &Flow| flow.protocol == Protocol::TCP && initiator_port(flow) == Some(from_port);
        let connection = connections.into_iter().find(|listed| is_it(&listed.flow))?;
        let traffic = connection.used_by?.traffic?;
        let sent = payload(family, traffic.sent_bytes, traffic.sent_packets);
        let received = payload(family, traffic.received_bytes, traffic.received_packets);
        last = Some((traffic, sent, received));
        (sent == bytes && received == bytes).then_some(())
    };
    until(COUNTED, look);
    let (traffic, sent_payload, received_payload) =
        last.unwrap_or_else(|| panic!("{family:?}: nobody counts"));
    let family = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    Some(Row { family, payload_bytes: bytes, traffic, sent_payload, received_payload })
}

/// A world in which TCP's header has no options but at the start.
fn plain_world() -> World {
    let world = World::new();
    for host in [&world.desk, &world.peer] {
        host.sysctl("net/ipv4/tcp_timestamps", "0");
        host.sysctl("net/ipv4/tcp_sack", "0");
    }
    world
}

fn rows(world: &World, seawall: &Seawall<'_>, bytes: u64, findings: &mut Findings) -> Vec<Row> {
    let row = |family| {
        let row = (0..ATTEMPTS).find_map(|_| count(world, seawall, family, bytes));
        let row = row.unwrap_or_else(|| panic!("segments were sent again in each attempt"));
        findings.check(row.sent_payload == bytes, format!("sent: {row:?}"));
        findings.check(row.received_payload == bytes, format!("received: {row:?}"));
        row
    };
    Family::BOTH.map(row).into()
}

#[test]
fn bytes_are_counted_to_the_byte_both_ways_whatever_the_kernel_lumps_together() {
    let bytes = u64::from(number("BULK_MIB", 256)) << 20;
    let world = plain_world();
    let offload = world.desk.run("ip", &["-d", "link", "show", "dev", "peer"]);
    assert!(
        offload.contains("gso_max_size") && !offload.contains("gso_max_segs 1 "),
        "segmentation offload is off: {offload}"
    );
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    let rows = rows(&world, &seawall, bytes, &mut findings);
    for (row, family) in rows.iter().zip(Family::BOTH) {
        let packets = row.traffic.sent_packets.min(row.traffic.received_packets);
        findings.check(
            packets >= fewest_packets(family, bytes),
            format!("packets are those of the cable, not of the kernel's lumps: {row:?}"),
        );
    }
    record("bytes", &rows);
    findings.settle();
}

#[test]
fn without_the_kernels_notes_connection_tracking_counts_and_stops_with_seawall() {
    counted_by_connection(("SEAWALL_ATTRIBUTION", "socket-tables"), "bytes-tracked");
}

#[test]
fn where_sockets_are_not_counted_connections_are() {
    counted_by_connection(("SEAWALL_COUNTING", "connections"), "bytes-tracked-with-notes");
}

/// Lumps have one header each: the payload is exact all the same.
fn counted_by_connection((variable, value): (&str, &str), recorded_as: &str) {
    const SWITCH: &str = "/proc/sys/net/netfilter/nf_conntrack_acct";
    let world = plain_world();
    let is_on = || world.desk.run("cat", &[SWITCH]).trim() == "1";
    assert!(!is_on(), "it is off as a rule");
    let seawall = Seawall::on(&world.desk).policy(POLICY).environment(variable, value).start();
    assert!(is_on());
    let mut findings = Findings::new();
    let rows = rows(&world, &seawall, 32 << 20, &mut findings);
    record(recorded_as, &rows);
    let apps = seawall.apps().apps;
    let counted: u64 = apps.iter().map(|of| of.traffic.sent_bytes).sum();
    let sum: u64 = rows.iter().map(|row| row.traffic.sent_bytes).sum();
    // The rows are from before the farewells.
    let farewells = 1_000;
    findings.check(
        (sum..sum + farewells).contains(&counted),
        format!("all apps: {counted} of {sum}, {apps:?}"),
    );
    seawall.stop();
    findings.check(!is_on(), "it is off again");
    findings.settle();
}
