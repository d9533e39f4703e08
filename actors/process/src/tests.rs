//! The component in a supervision tree, where the kernel notes nothing.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use seawall_messages::policy::Fingerprint;
use seawall_messages::process::{Attribution, Method, Owner, ProcessKey, Question};
use seawall_messages::{Direction, Flow, Protocol, Transport};
use seawall_platform::linux::processes::started_ticks;

#[path = "../tests/support/running.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod running;

use self::running::{Running, about, assert_own, outbound, own_path, wait_until};
use crate::{Arguments, Counting, Finding, Ledger, Processes, Regulars, TableOwners};

const REASON: &str = "this kernel has no BTF";

fn run() -> Running {
    Running::start(Err(REASON))
}

/// A TCP connection of this process with itself.
struct Connection {
    caller: TcpStream,
    called: TcpStream,
}

impl Connection {
    fn open(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let caller = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (called, _) = listener.accept().expect("accepted");
        Self { caller, called }
    }

    fn outbound(&self) -> Flow {
        let own = self.caller.local_addr().expect("connected");
        outbound(Protocol::TCP, own, self.called.local_addr().expect("connected"))
    }

    fn inbound(&self) -> Flow {
        Flow { direction: Direction::Inbound, ..self.outbound() }
    }
}

/// Nobody has an address of these (RFC 5737).
fn unknown() -> Flow {
    let end = |text: &str| text.parse().expect("an address");
    outbound(Protocol::TCP, end("192.0.2.1:1000"), end("198.51.100.1:80"))
}

fn owner(pid: u32, started_ticks: u64) -> Owner {
    let process = ProcessKey { pid, started_ticks, exec_id: Some(1) };
    let uid = rustix::process::geteuid().as_raw();
    Owner { process, cookie: 0, uid, method: Method::Connect }
}

#[test]
fn a_live_connection_is_whose_has_its_socket_open() {
    let running = run();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let connection = Connection::open(address);
        for flow in [connection.outbound(), connection.inbound()] {
            assert_own(&running.identify(about(flow)), Method::OpenFiles);
        }
        let service = UdpSocket::bind(address).expect("a port");
        let socket = UdpSocket::bind(address).expect("a port");
        let (own, other) =
            (socket.local_addr().expect("bound"), service.local_addr().expect("bound"));
        socket.connect(other).expect("connected");
        let flow = outbound(Protocol::UDP, own, other);
        assert_own(&running.identify(about(flow)), Method::OpenFiles);
    }
    running.stop();
}

#[test]
fn a_socket_that_only_its_port_joins_to_a_datagram_counts_when_its_process_is_settled() {
    let running = run();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let caller = "192.0.2.1:1000".parse().expect("an address");
    let flow = Flow {
        direction: Direction::Inbound,
        ..outbound(Protocol::UDP, caller, socket.local_addr().expect("bound"))
    };
    wait_until("the process is old enough", || {
        running.identify(about(flow)) != Attribution::unidentified()
    });
    assert_own(&running.identify(about(flow)), Method::OpenFiles);
    running.stop();
}

#[test]
fn what_nobody_has_open_is_nobodys() {
    let running = run();
    let gone = Connection::open("127.0.0.1:0").outbound();
    let connection = Connection::open("127.0.0.1:0");
    let of_another_user = rustix::process::geteuid().as_raw() + 1;
    let cases = [
        ("never was", about(unknown())),
        ("is closed", about(gone)),
        ("passes by", about(Flow { direction: Direction::Forwarded, ..connection.outbound() })),
        ("is cut off", about(Flow { transport: Transport::Truncated, ..connection.outbound() })),
        (
            "is another user's",
            Question { uid: Some(of_another_user), ..about(connection.outbound()) },
        ),
    ];
    for (what, question) in cases {
        assert_eq!(running.identify(question), Attribution::unidentified(), "{what}");
    }
    running.stop();
}

#[test]
fn an_app_is_told_of_once_when_it_is_seen_first() {
    let running = run();
    let connection = Connection::open("127.0.0.1:0");
    running.decided(vec![about(connection.outbound()), about(unknown())]);
    running.look();
    wait_until("it is told of", || !running.seen().is_empty());
    let another = Connection::open("127.0.0.1:0");
    running.decided(vec![about(another.outbound())]);
    running.look();
    running.hooks();
    let seen = running.seen();
    let whom: Vec<_> = seen.iter().map(|seen| seen.app.text().to_owned()).collect();
    assert_eq!(whom, [own_path()], "and nobody of whom nothing is known");
    assert!(!seen[0].name.is_empty());
    running.stop();
}

#[test]
fn a_batch_is_answered_in_order() {
    let running = run();
    let connection = Connection::open("127.0.0.1:0");
    let withheld = Question { owner: Some(owner(u32::MAX, 1)), ..about(unknown()) };
    let (known, nobodys) = (about(connection.outbound()), about(unknown()));
    let found = running.identify_all(vec![nobodys, known, withheld, known, nobodys]);
    let methods: Vec<Method> = found.iter().map(|found| found.method).collect();
    let expected = [
        Method::Unidentified,
        Method::OpenFiles,
        Method::Connect,
        Method::OpenFiles,
        Method::Unidentified,
    ];
    assert_eq!(methods, expected);
    assert_eq!(running.identify_all(Vec::new()), Vec::new());
    running.stop();
}

#[test]
fn what_was_noted_when_it_was_decided_holds_when_the_socket_is_gone() {
    let running = run();
    let connection = Connection::open("127.0.0.1:0");
    let flow = connection.outbound();
    running.decided(vec![about(flow), about(unknown())]);
    drop(connection);
    assert_eq!(running.identify(about(unknown())), Attribution::unidentified());
    let found = running.uses(flow);
    assert_own(&found.attribution, Method::OpenFiles);
    assert_eq!((found.traffic, found.rates), (None, None), "nobody counts");
    let nobodys = running.uses(unknown());
    assert_eq!(nobodys.attribution, Attribution::unidentified());
    assert_eq!((nobodys.traffic, nobodys.rates), (None, None));
    running.stop();
}

#[test]
fn an_app_has_its_open_connections_counted() {
    let running = run();
    let connections = [(); 3].map(|()| Connection::open("127.0.0.1:0"));
    let flows: Vec<Flow> = connections.iter().map(Connection::outbound).collect();
    running.decided(flows.iter().copied().map(about).chain([about(unknown())]).collect());
    let apps = running.apps(flows[..2].to_vec());
    let shown: Vec<_> = apps
        .iter()
        .map(|of| (&*of.app.id, of.open, of.connections, of.pids.clone(), of.methods.clone()))
        .collect();
    let own = format!("path:{}", own_path());
    let expected = [
        (own.as_str(), 2, 3, vec![std::process::id()], vec![(Method::OpenFiles, 3)]),
        ("unidentified", 0, 1, Vec::new(), vec![(Method::Unidentified, 1)]),
    ];
    assert_eq!(shown, expected);
    assert_eq!(*apps[0].path, *own_path());
    running.stop();
}

#[test]
fn missing_notes_are_named_with_the_reason() {
    let running = run();
    let hooks = running.hooks();
    let shown: Vec<_> =
        hooks.iter().map(|hook| (hook.name.as_str(), hook.missing.as_deref())).collect();
    assert_eq!(shown, [("all", Some(REASON))]);
    assert!(!hooks[0].serves.is_empty());
    running.stop();
}

#[test]
fn an_owner_of_whom_nothing_is_known_is_withheld_and_never_nobody() {
    let running = run();
    let question = Question { owner: Some(owner(u32::MAX, 1)), ..about(unknown()) };
    let found = running.identify(question);
    assert_eq!(found, Attribution { method: Method::Connect, process: None });
    assert!(found.is_withheld());
    running.decided(vec![question]);
    assert!(running.uses(unknown()).attribution.is_withheld());
    running.stop();
}

#[test]
fn an_owner_who_lives_is_described_and_one_who_had_the_id_before_is_not() {
    let running = run();
    let own = std::process::id();
    let started = started_ticks(own).expect("this process lives");
    let noted = |owner| Question { owner: Some(owner), ..about(unknown()) };
    assert_own(&running.identify(noted(owner(own, started))), Method::Connect);
    assert!(running.identify(noted(owner(own, started - 1))).is_withheld());
    running.stop();
}

#[test]
fn a_file_has_its_checksum_once_a_policy_asks_for_one() {
    let running = run();
    let connection = Connection::open("127.0.0.1:0");
    let sum = || {
        let found = running.identify(about(connection.outbound()));
        found.process.expect("this process").sha256.clone()
    };
    assert_eq!(sum(), None);
    running.ask_for(Fingerprint { sha256: Some(Arc::from("0")), ..Fingerprint::default() });
    let expected = seawall_platform::linux::processes::sha256_of(own_path()).expect("readable");
    assert_eq!(sum().as_deref(), Some(expected.as_str()));
    assert!(running.told().is_empty(), "nothing closed that anybody knows of");
    running.stop();
}
