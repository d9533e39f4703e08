//! Datagram sockets that close and ends that change hands, of which `datapath` is told, in network namespaces of
//! their own. Needs root.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream, UdpSocket};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use seawall_messages::Protocol;
use seawall_messages::process::Method;
use seawall_platform::linux::sockets::ClosedSockets;
use seawall_process::{Arguments, Counting, Finding, Ledger, Processes, Regulars, TableOwners};

#[path = "../../../platform/tests/support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;
#[path = "support/parties.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod parties;
#[path = "support/running.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod running;

use host::Host;
use parties::{Noting, Program, any_app, close, connected, local, service, udp};
use running::{Running, about, assert_own, outbound, wait_until};

#[test]
fn datagram_sockets_that_close_are_told_of_where_apps_matter() {
    Host::new().on(|| {
        let noting = Noting::begin();
        let running = noting.run();
        let (_service, called) = service();
        let (socket, flow) = connected(called);
        assert_own(&running.identify(about(flow)), Method::Output);
        close(socket);
        // By its answer it has heard of the end.
        running.hooks();

        running.ask_for(any_app());
        let listener = TcpListener::bind(local(0)).expect("a port");
        let server = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(server).expect("connected");
        let over_tcp = outbound(Protocol::TCP, stream.local_addr().expect("bound"), server);
        assert_own(&running.identify(about(over_tcp)), Method::Connect);
        drop(stream);

        let (socket, flow) = connected(called);
        assert_own(&running.identify(about(flow)), Method::Output);
        assert!(running.told().is_empty(), "{:?}", running.told());
        drop(socket);
        wait_until("the end is told of", || running.told() == [flow]);

        // Closed before anybody asked: told of with the answer.
        let (socket, late) = connected(called);
        drop(socket);
        assert_own(&running.identify(about(late)), Method::Output);
        wait_until("the end is told of", || running.told() == [flow, late]);
        running.stop();
    });
}

/// Sends from ends that another process has, too, and stays until its input ends. It names the receiver with its datagram.
const TAKES_BY_NAMING: &str = "
import socket, sys
own, other = int(sys.argv[1]), int(sys.argv[2])
taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
taker.bind(('127.0.0.1', own))
taker.sendto(b'x', ('127.0.0.1', other))
print(own, flush=True)
sys.stdin.read()
";

/// As [`TAKES_BY_NAMING`], from a socket that is connected: only its packet tells.
const TAKES_CONNECTED: &str = "
import socket, sys
own, other = int(sys.argv[1]), int(sys.argv[2])
taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
taker.bind(('127.0.0.1', own))
taker.connect(('127.0.0.1', other))
taker.send(b'x')
print(own, flush=True)
sys.stdin.read()
";

#[test]
fn ends_that_another_process_uses_are_told_of_and_are_its_own() {
    for (script, method) in [(TAKES_BY_NAMING, Method::Send), (TAKES_CONNECTED, Method::Output)] {
        Host::new().on(|| {
            let noting = Noting::begin();
            let running = noting.run();
            running.ask_for(any_app());
            let (_service, called) = service();
            let socket = shared_socket();
            socket.send_to(b"x", called).expect("sent");
            let own = socket.local_addr().expect("bound");
            let flow = udp(own, called);
            assert_own(&running.identify(about(flow)), Method::Send);
            assert_own(&running.uses(flow).attribution, Method::Send);

            let mut program = Program::start(script, &[own.port(), called.port()]);
            wait_until("it is told of", || running.told() == [flow]);
            program.assert_owns(&running.uses(flow).attribution, method);
            program.assert_owns(&running.identify(about(flow)), method);
            program.end();
            wait_until("its end is told of", || running.told() == [flow, flow]);
            running.stop();
        });
    }
}

#[test]
fn datagram_sockets_that_nobody_noted_are_told_of_as_they_close() {
    let scripts = [TAKES_BY_NAMING, TAKES_CONNECTED].into_iter();
    let cases = scripts.flat_map(|script| [false, true].map(|takes_notes| (script, takes_notes)));
    // A child of this process is no clear owner for some seconds: all of them wait at once.
    std::thread::scope(|scope| {
        for (script, takes_notes) in cases {
            scope.spawn(move || told_though_not_noted(script, takes_notes));
        }
    });
}

fn told_though_not_noted(script: &'static str, takes_notes: bool) {
    Host::new().on(|| {
        let (_service, called) = service();
        let own = service().1;
        let mut program = Program::start(script, &[own.port(), called.port()]);
        // Whatever is noted from here on: the socket is older.
        let noting = takes_notes.then(Noting::begin);
        let running = match &noting {
            Some(noting) => noting.run(),
            None => Running::start(Err("this test does without")),
        };
        running.ask_for(any_app());
        let flow = udp(own, called);
        wait_until("it is found", || {
            let found = running.identify(about(flow));
            found.process.is_some_and(|process| process.key.pid == program.id())
        });
        assert!(running.told().is_empty(), "{:?}", running.told());
        program.end();
        wait_until("its end is told of", || running.told() == [flow]);
        running.stop();
    });
}

/// As [`TAKES_CONNECTED`], between a thousand other sockets, all of which close at the same time.
const TAKES_IN_A_CROWD: &str = "
import resource, socket, sys
own, other = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (1100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
crowd = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(500)]
taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taker.bind(('127.0.0.1', own))
taker.connect(('127.0.0.1', other))
taker.send(b'x')
crowd += [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(500)]
print(own, flush=True)
sys.stdin.read()
import os
os._exit(0)
";

#[test]
fn a_datagram_socket_whose_word_was_lost_is_told_of_too() {
    Host::new().on(|| {
        let closed = ClosedSockets::open().expect("a netlink socket");
        // Room for two messages or three: nobody hears of most sockets of a crowd.
        sockopt::set_socket_recv_buffer_size(&closed, 1).expect("less room");
        let running = Running::start_hearing(Err("this test does without"), Some(closed));
        running.ask_for(any_app());
        let (_service, called) = service();
        let own = service().1;
        let mut program = Program::start(TAKES_IN_A_CROWD, &[own.port(), called.port()]);
        let flow = udp(own, called);
        wait_until("it is found", || running.identify(about(flow)).process.is_some());
        let stays = connected(called);
        wait_until("it is found", || running.identify(about(stays.1)).process.is_some());
        program.end();
        wait_until("its end is told of", || running.told() == [flow]);
        running.stop();
    });
}

/// A socket whose port others of the same user may have, too.
fn shared_socket() -> UdpSocket {
    let fd = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
    sockopt::set_socket_reuseport(&fd, true).expect("a shared port");
    bind(&fd, &local(0)).expect("a port");
    UdpSocket::from(fd)
}
