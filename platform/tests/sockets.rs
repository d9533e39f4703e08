//! Socket tables against real sockets.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use seawall_messages::Protocol;
use seawall_platform::linux::sockets::{ClosedSockets, Socket, SocketDiag, own_addresses};

#[path = "support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;

use host::Host;

fn inode(fd: &impl std::os::fd::AsRawFd) -> u32 {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    u32::try_from(std::fs::metadata(path).expect("an open socket").ino()).expect("a socket's inode")
}

fn by_inode(sockets: &[Socket], inode: u32) -> Socket {
    *sockets.iter().find(|socket| socket.inode == inode).unwrap_or_else(|| panic!("{sockets:?}"))
}

#[test]
fn listeners_and_connections_of_both_families_are_listed() {
    Host::new().on(|| {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).unwrap();
            let server = listener.local_addr().unwrap();
            let stream = TcpStream::connect(server).unwrap();
            let bound = UdpSocket::bind(loopback).unwrap();
            let connected = UdpSocket::bind(loopback).unwrap();
            connected.connect(bound.local_addr().unwrap()).unwrap();

            let sockets = SocketDiag::open().unwrap().list().unwrap();
            let found = by_inode(&sockets, inode(&listener));
            assert_eq!(
                (found.protocol, found.local, found.listening),
                (Protocol::TCP, server, true)
            );
            assert_eq!(found.remote.port(), 0);
            let found = by_inode(&sockets, inode(&stream));
            assert_eq!((found.local, found.remote), (stream.local_addr().unwrap(), server));
            assert!(!found.listening);
            let found = by_inode(&sockets, inode(&bound));
            assert_eq!((found.protocol, found.listening), (Protocol::UDP, true));
            let found = by_inode(&sockets, inode(&connected));
            assert_eq!(found.remote, bound.local_addr().unwrap());
            assert_eq!((found.listening, found.uid), (false, 0));
        }
    });
}

#[test]
fn a_socket_is_found_by_its_ends() {
    Host::new().on(|| {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let mut tables = SocketDiag::open().unwrap();
            let listener = TcpListener::bind(loopback).unwrap();
            let server = listener.local_addr().unwrap();
            let stream = TcpStream::connect(server).unwrap();
            let client = stream.local_addr().unwrap();
            let (found, cookie) = tables.find(Protocol::TCP, client, server).unwrap().unwrap();
            assert_eq!(found.inode, inode(&stream));
            let own_cookie = rustix::net::sockopt::socket_cookie(&stream).unwrap();
            assert_eq!(cookie, own_cookie);
            let stranger = SocketAddr::new(client.ip(), 9);
            let (found, _) = tables.find(Protocol::TCP, server, stranger).unwrap().unwrap();
            assert_eq!((found.inode, found.listening), (inode(&listener), true));

            let bound = UdpSocket::bind(loopback).unwrap();
            let connected = UdpSocket::bind(loopback).unwrap();
            let (here, there) = (connected.local_addr().unwrap(), bound.local_addr().unwrap());
            connected.connect(there).unwrap();
            let (found, _) = tables.find(Protocol::UDP, here, there).unwrap().unwrap();
            assert_eq!((found.inode, found.listening), (inode(&connected), false));
            let (found, _) = tables.find(Protocol::UDP, there, stranger).unwrap().unwrap();
            assert_eq!((found.inode, found.listening), (inode(&bound), true));
            drop(connected);
            assert_eq!(tables.find(Protocol::UDP, here, there).unwrap(), None);
        }
    });
}

#[test]
fn a_wildcard_listener_tells_whether_it_takes_ipv4() {
    Host::new().on(|| {
        let both = TcpListener::bind("[::]:0").unwrap();
        let six = rustix::net::socket(
            rustix::net::AddressFamily::INET6,
            rustix::net::SocketType::STREAM,
            None,
        )
        .unwrap();
        rustix::net::sockopt::set_ipv6_v6only(&six, true).unwrap();
        let any: SocketAddr = "[::]:0".parse().unwrap();
        rustix::net::bind(&six, &any).unwrap();
        rustix::net::listen(&six, 1).unwrap();
        let sockets = SocketDiag::open().unwrap().list().unwrap();
        assert!(!by_inode(&sockets, inode(&both)).only_v6);
        assert!(by_inode(&sockets, inode(&six)).only_v6);
    });
}

#[test]
fn exactly_the_named_connection_is_cut() {
    let cases = [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")];
    Host::new().on(|| {
        let mut sockets = SocketDiag::open().unwrap();
        for (listen, address) in cases {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
            let mut cut = TcpStream::connect(server).unwrap();
            let _accepted = listener.accept().unwrap();
            let kept = TcpStream::connect(server).unwrap();

            assert!(sockets.destroy_tcp(cut.local_addr().unwrap(), server).unwrap(), "{listen}");
            let outcome = cut.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(outcome, Err(ErrorKind::ConnectionAborted), "{listen}");
            assert!(!sockets.destroy_tcp(cut.local_addr().unwrap_or(server), server).unwrap());

            // The accepting end of the other connection, an IPv6 socket in the last case.
            assert!(sockets.destroy_tcp(server, kept.local_addr().unwrap()).unwrap(), "{listen}");
            let outcome = (&kept).read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "{listen}");
            TcpStream::connect(server).expect("the listener lives");
        }
    });
}

#[test]
fn a_listener_is_never_cut_in_place_of_a_connection_that_is_gone() {
    Host::new().on(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let gone = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(!SocketDiag::open().unwrap().destroy_tcp(server, gone).unwrap());
        TcpStream::connect(server).expect("the listener lives");
    });
}

#[test]
fn what_is_left_of_closed_connections_is_not_listed() {
    Host::new().on(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let caller = TcpStream::connect(server).unwrap();
        let ends = (caller.local_addr().unwrap(), server);
        let (mut answering, _) = listener.accept().unwrap();
        // Who closes first is left with TIME_WAIT.
        drop(caller);
        assert_eq!(answering.read(&mut [0]).unwrap(), 0);
        drop(answering);
        let remnants = || {
            let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
            table.lines().filter(|line| line.split_whitespace().nth(3) == Some("06")).count()
        };
        while remnants() == 0 {
            std::thread::yield_now();
        }
        let sockets = SocketDiag::open().unwrap().list().unwrap();
        assert!(!sockets.iter().any(|socket| (socket.local, socket.remote) == ends), "{sockets:?}");
    });
}

/// The cookies of sockets that closed, once there are so many.
fn closings(closed: &ClosedSockets, count: usize) -> Vec<u64> {
    let mut cookies = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while cookies.len() < count && Instant::now() < end {
        let heard = closed.take().expect("a netlink socket that can be read");
        assert!(!heard.missed);
        cookies.extend(heard.cookies);
        std::thread::yield_now();
    }
    cookies
}

#[test]
fn the_tables_tell_of_datagram_sockets_that_close() {
    Host::new().on(|| {
        let closed = ClosedSockets::open().unwrap();
        assert_eq!(closed.take().unwrap(), Default::default());
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let bound = UdpSocket::bind(loopback).unwrap();
            let connected = UdpSocket::bind(loopback).unwrap();
            connected.connect(bound.local_addr().unwrap()).unwrap();
            connected.send(b"to be received by nobody").unwrap();
            for socket in [connected, bound] {
                let cookie = rustix::net::sockopt::socket_cookie(&socket).unwrap();
                drop(socket);
                assert_eq!(closings(&closed, 1), [cookie], "{loopback}");
            }
        }
        drop(TcpListener::bind("127.0.0.1:0").unwrap());
        let many: Vec<_> = (0..1_000).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let cookies =
            many.iter().map(|socket| rustix::net::sockopt::socket_cookie(socket).unwrap());
        let mut expected: Vec<u64> = cookies.collect();
        drop(many);
        let mut heard = closings(&closed, expected.len());
        heard.sort_unstable();
        expected.sort_unstable();
        assert_eq!(heard, expected, "each once, and no TCP socket");
    });
}

#[test]
fn own_addresses_are_those_of_this_namespace() {
    let (host, _other) = Host::pair();
    let mut addresses = host.on(|| own_addresses().unwrap());
    // The link-local address comes when the kernel sees fit.
    addresses.retain(|address| !address.to_string().starts_with("fe80:"));
    addresses.sort();
    let mut wanted =
        ["127.0.0.1", "10.9.0.1", "::1", "fd09::1"].map(|text| text.parse::<IpAddr>().unwrap());
    wanted.sort();
    assert_eq!(addresses, wanted);
}
