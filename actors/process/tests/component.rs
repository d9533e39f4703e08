//! The component with what the running kernel notes, in network namespaces of its own. Needs root.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use seawall_messages::process::Method;
use seawall_messages::{Direction, Flow, Protocol};
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
use parties::{Noting, Program, local, service, udp};
use running::{Running, about, assert_own, outbound, wait_until};

#[test]
fn sockets_of_a_process_that_lives_are_its_own_for_each_incarnation() {
    Host::new().on(|| {
        let noting = Noting::begin();
        let running = noting.run();
        let mut expected = Vec::new();
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).expect("a port");
            let server = listener.local_addr().expect("bound");
            let stream = TcpStream::connect(server).expect("connected");
            let flow = outbound(Protocol::TCP, stream.local_addr().expect("bound"), server);
            expected.push((flow, Method::Connect));

            let called = UdpSocket::bind(loopback).expect("a port");
            let called_at = called.local_addr().expect("bound");
            let sender = UdpSocket::bind(loopback).expect("a port");
            sender.send_to(b"x", called_at).expect("sent");
            expected.push((udp(sender.local_addr().expect("bound"), called_at), Method::Send));

            let sender = UdpSocket::bind(loopback).expect("a port");
            sender.connect(called_at).expect("connected");
            sender.send(b"x").expect("sent");
            expected.push((udp(sender.local_addr().expect("bound"), called_at), Method::Output));
            // All sockets close here: what was noted is all there is.
        }
        let assert_all = |running: &Running| {
            for (flow, method) in &expected {
                assert_own(&running.identify(about(*flow)), *method);
                assert_own(&running.identify(noting.asked(*flow)), *method);
            }
        };
        assert_all(&running);
        running.stop();
        let successor = noting.run();
        assert_all(&successor);
        assert!(successor.hooks().iter().all(|hook| hook.missing.is_none()));
        successor.stop();
    });
}

#[test]
fn a_program_that_is_gone_is_known_to_each_incarnation() {
    /// Opens each kind of connection, and stays until its input ends.
    const SCRIPT: &str = "
import socket, sys
tcp_to, udp_to = int(sys.argv[1]), int(sys.argv[2])
tcp = socket.create_connection(('127.0.0.1', tcp_to))
sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent.bind(('127.0.0.1', 0))
sent.sendto(b'x', ('127.0.0.1', udp_to))
connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connected.connect(('127.0.0.1', udp_to))
connected.send(b'x')
print(*(each.getsockname()[1] for each in (tcp, sent, connected)), flush=True)
sys.stdin.read()
";
    Host::new().on(|| {
        let noting = Noting::begin();
        let running = noting.run();
        let listener = TcpListener::bind(local(0)).expect("a port");
        let server = listener.local_addr().expect("bound");
        let (_service, called) = service();
        let mut program = Program::start(SCRIPT, &[server.port(), called.port()]);
        program.end();
        let ports = program.ports.clone();
        let expected = [
            (outbound(Protocol::TCP, local(ports[0]), server), Method::Connect),
            (udp(local(ports[1]), called), Method::Send),
            (udp(local(ports[2]), called), Method::Output),
        ];
        let assert_all = |running: &Running| {
            let questions = expected.iter().map(|(flow, _)| about(*flow)).collect();
            let found = running.identify_all(questions);
            for ((flow, method), found) in expected.iter().zip(&found) {
                program.assert_owns(found, *method);
                program.assert_owns(&running.identify(noting.asked(*flow)), *method);
            }
        };
        assert_all(&running);
        running.stop();
        // The events were taken by the first: the maps tell.
        let successor = noting.run();
        assert_all(&successor);
        successor.stop();
    });
}

#[test]
fn what_a_connection_moves_is_told_with_its_app() {
    const PAYLOAD: usize = 200_000;
    Host::new().on(|| {
        let noting = Noting::begin();
        let running = noting.run();
        let listener = TcpListener::bind(local(0)).expect("a port");
        let server = listener.local_addr().expect("bound");
        let mut stream = TcpStream::connect(server).expect("connected");
        let (mut accepted, _) = listener.accept().expect("accepted");
        let flow = outbound(Protocol::TCP, stream.local_addr().expect("bound"), server);
        running.decided(vec![noting.asked(flow)]);
        let mut send = || {
            stream.write_all(&[7; PAYLOAD / 10]).expect("sent");
            accepted.read_exact(&mut [0; PAYLOAD / 10]).expect("received");
        };
        (0..10).for_each(|_| send());

        let used = running.uses(flow);
        assert_own(&used.attribution, Method::Connect);
        let traffic = used.traffic.expect("counted");
        assert!(traffic.sent_bytes > PAYLOAD as u64, "{traffic:?}");
        assert!(traffic.sent_bytes < 2 * PAYLOAD as u64, "{traffic:?}");
        // The answer to its first packet, at least: 40 bytes of headers.
        assert!((40..PAYLOAD as u64).contains(&traffic.received_bytes), "{traffic:?}");

        let of_app = running.apps(vec![flow]);
        assert_eq!((of_app.len(), of_app[0].open, of_app[0].connections), (1, 1, 1));
        assert_eq!(of_app[0].methods, [(Method::Connect, 1)]);
        assert!(of_app[0].traffic.sent_bytes > PAYLOAD as u64, "{of_app:?}");
        wait_until("it has a rate", || {
            send();
            running.uses(flow).rates.expect("counted").sent_bytes_per_s > 0.0
        });

        // What a service receives is its own, by who listens there.
        let inbound = Flow { direction: Direction::Inbound, ..flow };
        let found = running.identify(about(inbound));
        assert_own(&found, Method::Listen);
        running.stop();
    });
}
