//! The programs in the running kernel: loaded, attached, and right about real sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use seawall_messages::process::{Method, Owners};
use seawall_messages::{Direction, Flow, Protocol, Transport};
use seawall_platform::linux::ebpf::{self, CountIn, Event, Notes};

#[path = "support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;

use host::Host;

/// Loads in this thread's network namespace. The descriptors hold it there.
fn load() -> (Notes, BTreeMap<String, OwnedFd>) {
    let (notes, kept) =
        ebpf::load(CountIn::Programs).expect("the programs load: this test needs root");
    for hook in notes.hooks() {
        assert_eq!(hook.missing, None, "{}", hook.name);
    }
    (notes, kept)
}

/// A host with a rule for packets that leave, as Seawall's always has: before Linux 6.4 packets that meet
/// no rule aren't noted.
fn host_with_rules() -> Host {
    let host = Host::new();
    for program in ["iptables-nft", "ip6tables-nft"] {
        host.run(&format!("{program} -A OUTPUT"));
    }
    host
}

fn assert_mine(notes: &Notes, flow: &Flow, method: Method) {
    let owner = notes.owner(flow, None).unwrap_or_else(|| panic!("nobody owns {flow}"));
    assert_eq!((owner.process.pid, owner.method), (std::process::id(), method), "{flow}");
    let record = notes.record(flow).expect("noted a moment ago");
    let process = notes.process(&record.process).expect("the process is noted, too");
    let own = std::env::current_exe().expect("a running program has a file");
    let name = own.file_name().expect("it has a name").to_string_lossy().into_owned();
    let noted = process.path.split(|byte| *byte == 0).next().expect("a first name");
    assert_eq!(String::from_utf8_lossy(noted), name);
}

#[test]
fn every_way_of_opening_a_connection_is_noted() {
    host_with_rules().on(|| {
        let (notes, _kept) = load();
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).unwrap();
            let server = listener.local_addr().unwrap();
            let stream = TcpStream::connect(server).unwrap();
            let client = stream.local_addr().unwrap();
            drop(stream);
            let there = Flow::between(Direction::Outbound, Protocol::TCP, client, server);
            assert_mine(&notes, &there, Method::Connect);
            let inbound =
                |from: SocketAddr| Flow::between(Direction::Inbound, Protocol::TCP, from, server);
            let stranger = SocketAddr::new(client.ip(), 9);
            assert_mine(&notes, &inbound(stranger), Method::Listen);

            let service = UdpSocket::bind(loopback).unwrap();
            let service_at = service.local_addr().unwrap();
            let unconnected = UdpSocket::bind(SocketAddr::new(unspecified(service_at), 0)).unwrap();
            unconnected.send_to(b"x", service_at).unwrap();
            let from = SocketAddr::new(service_at.ip(), unconnected.local_addr().unwrap().port());
            let sent = Flow::between(Direction::Outbound, Protocol::UDP, from, service_at);
            assert_mine(&notes, &sent, Method::Send);

            let connected = UdpSocket::bind(SocketAddr::new(unspecified(service_at), 0)).unwrap();
            connected.connect(service_at).unwrap();
            connected.send(b"x").unwrap();
            let from = connected.local_addr().unwrap();
            drop(connected);
            let sent = Flow::between(Direction::Outbound, Protocol::UDP, from, service_at);
            assert_mine(&notes, &sent, Method::Output);
            let called = Flow::between(Direction::Inbound, Protocol::UDP, from, service_at);
            assert_mine(&notes, &Flow { transport: port(9, service_at), ..called }, Method::Listen);
        }
        assert_eq!(notes.losses().iter().sum::<u64>(), 0);
    });
}

#[test]
fn the_latest_calls_are_found_in_memory_and_all_by_asking() {
    Host::new().on(|| {
        let (notes, _kept) = load();
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).unwrap();
            let server = listener.local_addr().unwrap();
            let call = || {
                let stream = TcpStream::connect(server).unwrap();
                listener.accept().unwrap();
                let client = stream.local_addr().unwrap();
                let flow = Flow::between(Direction::Outbound, Protocol::TCP, client, server);
                assert!(notes.latest_call(&flow).is_some(), "{flow} just now");
                flow
            };
            let flows: Vec<Flow> = (0..2 * ebpf::abi::Call::PLACES).map(|_| call()).collect();
            for flow in &flows {
                let owner = notes.record(flow).expect("noted");
                assert_eq!(owner.process.pid, std::process::id());
                assert!(notes.latest_call(flow).is_none_or(|latest| latest == owner), "{flow}");
            }
            let in_memory = flows.iter().filter(|flow| notes.latest_call(flow).is_some()).count();
            let places = ebpf::abi::Call::PLACES as usize;
            assert!(in_memory <= places && in_memory > places / 2, "{in_memory}");
            let inbound = Flow { direction: Direction::Inbound, ..flows[0] };
            assert_eq!(notes.latest_call(&inbound), None);
        }
        assert_eq!(notes.losses().iter().sum::<u64>(), 0);
    });
}

fn port(initiator: u16, to: SocketAddr) -> Transport {
    Transport::Ports { initiator, responder: to.port() }
}

fn unspecified(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    }
}

#[test]
fn ping_is_noted() {
    let host = host_with_rules();
    host.on(|| {
        let (notes, _kept) = load();
        for (program, protocol, kind, address) in [
            ("ping -4 -c 1 127.0.0.1", Protocol::ICMP, 8, IpAddr::from([127, 0, 0, 1])),
            ("ping -6 -c 1 ::1", Protocol::ICMPV6, 128, "::1".parse().unwrap()),
        ] {
            host.run(program);
            // The identifier is ping's own choice: all are tried.
            let owner = (0..=u16::MAX).find_map(|identifier| {
                let transport = Transport::Icmp { kind, code: 0, identifier };
                notes.record(&Flow {
                    direction: Direction::Outbound,
                    protocol,
                    initiator: address,
                    responder: address,
                    transport,
                })
            });
            let owner = owner.unwrap_or_else(|| panic!("nobody sent: {program}"));
            let process = notes.process(&owner.process).expect("noted, too");
            assert!(process.path.starts_with(b"ping\0"), "{:?}", &process.path[..32]);
        }
    });
}

#[test]
fn what_a_socket_moved_is_counted_to_the_byte() {
    use std::io::{Read, Write};
    const PAYLOAD: usize = 64 << 20;
    Host::new().on(|| {
        let (notes, _kept) = load();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(server).unwrap();
        let client = stream.local_addr().unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            let mut read = 0;
            while let Ok(length @ 1..) = accepted.read(&mut buffer) {
                read += length;
            }
            read
        });
        let chunk = vec![7; 1 << 20];
        for _ in 0..PAYLOAD / chunk.len() {
            stream.write_all(&chunk).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(reader.join().unwrap(), PAYLOAD);
        let owner =
            notes.record(&Flow::between(Direction::Outbound, Protocol::TCP, client, server));
        let traffic = notes.traffic(owner.expect("noted").cookie).expect("counted");
        // SYN with its options, then 20 bytes of IPv4 and 32 of TCP with time stamps each.
        let (sent, sent_again, segments) = sent_by(&stream);
        assert_eq!(sent - sent_again, PAYLOAD as u64);
        assert_eq!(traffic.sent_packets, segments, "{traffic:?}");
        assert_eq!(traffic.sent_bytes, sent + segments * 52 + 8, "{traffic:?}");
        let all = notes.all_traffic().expect("the map can be read");
        assert!(all.iter().any(|(_, counted)| *counted == traffic));
    });
}

#[test]
fn programs_are_told_of_once_and_notes_outlive_their_reader() {
    Host::new().on(|| {
        let (notes, mut kept) = load();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let streams: Vec<_> = (0..3).map(|_| TcpStream::connect(server).unwrap()).collect();
        let clients: Vec<_> = streams.iter().map(|own| own.local_addr().unwrap()).collect();
        let there = |client| Flow::between(Direction::Outbound, Protocol::TCP, client, server);
        let cookie = |client: &SocketAddr| notes.record(&there(*client)).expect("noted").cookie;
        let cookies: Vec<_> = clients.iter().map(cookie).collect();
        drop(streams);
        let mut events = notes.events().expect("a ring buffer");
        let (mut processes, mut closed) = (0, 0);
        while let Some(event) = events.take() {
            match event {
                Event::Process(record) if record.process.pid == std::process::id() => {
                    processes += 1;
                }
                Event::Closed(closing) if cookies.contains(&closing.owner.cookie) => closed += 1,
                _ => {}
            }
        }
        assert_eq!(processes, 1);
        assert_eq!(closed, 3);
        drop((events, notes));
        let notes = Notes::take_up(&mut kept).expect("all maps are kept").expect("of use");
        assert!(notes.hooks().iter().all(|hook| hook.missing.is_none()));
        assert_mine(&notes, &there(clients[0]), Method::Connect);
        assert!(Notes::take_up(&mut kept).is_none(), "they were taken");
    });
}

/// Bytes of payload sent, of which were sent again, and segments, as TCP itself counts them
/// (`struct tcp_info`, linux/tcp.h).
#[allow(unsafe_code, reason = "the library knows no such socket option")]
fn sent_by(stream: &TcpStream) -> (u64, u64, u64) {
    let mut info = [0_u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the buffer is as long as is said and outlives the call.
    let failed = unsafe {
        libc::getsockopt(
            std::os::fd::AsRawFd::as_raw_fd(stream),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!(failed, 0, "TCP_INFO");
    assert!(length >= 216, "this kernel's tcp_info is too short: {length}");
    let number = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().expect("eight bytes"));
    (number(200), number(208), number(136) & u64::from(u32::MAX))
}
