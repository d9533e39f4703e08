//! The component with what the running kernel notes, in network namespaces of its own. Needs root.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use seawall_messages::policy::{Fingerprint, Pattern};
use seawall_messages::process::{Attribution, Method, Owners, Question};
use seawall_messages::{Direction, Flow, Protocol};
use seawall_platform::linux::ebpf::{self, CountIn, Notes};
use seawall_process::{Arguments, Counting, Finding, Ledger, Processes, Regulars, TableOwners};

#[path = "../../../platform/tests/support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;
#[path = "support/running.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod running;

use host::Host;
use running::{Running, about, assert_own, outbound, wait_until};

/// What the kernel notes in this thread's network namespace, as long as this value lives.
struct Noting {
    notes: Arc<Notes>,
    _kept: BTreeMap<String, OwnedFd>,
}

impl Noting {
    fn begin() -> Self {
        let (notes, kept) =
            ebpf::load(CountIn::Programs).expect("the programs load: this test needs root");
        for hook in notes.hooks() {
            assert_eq!(hook.missing, None, "{}", hook.name);
        }
        Self { notes: Arc::new(notes), _kept: kept }
    }

    fn run(&self) -> Running {
        Running::start(Ok(&self.notes))
    }

    /// A question as `verdict` asks it: with what the kernel noted.
    fn asked(&self, flow: Flow) -> Question {
        let owner = self.notes.owner(&flow, None);
        assert!(owner.is_some(), "{flow}");
        Question { owner, ..about(flow) }
    }
}

/// Held while a program is started: until it has closed what it was born with, the sockets of
/// this process are its own, too, and none that is dropped here closes.
static STARTING: Mutex<()> = Mutex::new(());

/// Another program, which tells its ports and stays until its input ends.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    /// Ports that it told.
    ports: Vec<u16>,
    path: PathBuf,
    script: &'static str,
}

impl Program {
    /// Runs a script that prints ports on one line.
    fn start(script: &'static str, arguments: &[u16]) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(arguments.iter().map(u16::to_string));
        let _starting = STARTING.lock().expect("no test panicked with it");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let port = |word: &str| word.parse().expect("a port");
        let ports = line.split_whitespace().map(port).collect();
        // What `python3` leads to, by whichever ways.
        let path = fs::read_link(format!("/proc/{}/exe", child.id())).expect("it runs");
        Self { input: child.stdin.take(), child, ports, path, script }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is gone.
    fn end(&mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("it was started here").success());
    }

    #[track_caller]
    fn assert_owns(&self, found: &Attribution, method: Method) {
        let process = found.process.as_ref().unwrap_or_else(|| panic!("nobody's: {found:?}"));
        assert_eq!((process.key.pid, found.method), (self.id(), method));
        assert_eq!(*process.path, *self.path.to_string_lossy());
        // The kernel notes the beginning of it.
        let is_script = |word: &String| !word.is_empty() && self.script.starts_with(word.as_str());
        assert!(process.command_line.iter().any(is_script), "{process:?}");
        assert_eq!(process.parent_pid, std::process::id());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)
}

fn udp(from: SocketAddr, to: SocketAddr) -> Flow {
    outbound(Protocol::UDP, from, to)
}

/// A service on loopback, and its address.
fn service() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(local(0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// A datagram from a socket that is connected; and the flow.
fn connected(service: SocketAddr) -> (UdpSocket, Flow) {
    let socket = UdpSocket::bind(local(0)).expect("a port");
    socket.connect(service).expect("connected");
    socket.send(b"x").expect("sent");
    let flow = udp(socket.local_addr().expect("bound"), service);
    (socket, flow)
}

/// Closes a socket that no program being started has, too.
fn close(socket: UdpSocket) {
    let _none_starts = STARTING.lock().expect("no test panicked with it");
    drop(socket);
}

fn any_app() -> Fingerprint {
    Fingerprint { path: Some(Pattern::new("*")), ..Fingerprint::default() }
}

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

/// A socket whose port others of the same user may have, too.
fn shared_socket() -> UdpSocket {
    let fd = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
    sockopt::set_socket_reuseport(&fd, true).expect("a shared port");
    bind(&fd, &local(0)).expect("a port");
    UdpSocket::from(fd)
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
