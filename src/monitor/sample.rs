//! Connections, apps and answers to draw and to count: for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_messages::api::Changes;
use seawall_messages::datapath::{Connection, ConnectionChanges, Cursor};
use seawall_messages::process::{
    App, AppKind, AppMoves, Attribution, FlowUse, Method, Moves, Process, ProcessKey, Rates,
    SocketMoves, Traffic,
};
use seawall_messages::prompt::{
    Asker, Choice, Covers, Given, Prompt, PromptId, PromptState, Prompts, Target, Uses,
};
use seawall_messages::{Action, Direction, Flow, Layer, PolicyGeneration, Protocol, Reason};

use super::known::Known;

/// When everything was decided that long after.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}

fn app(name: &str) -> (App, Arc<str>) {
    let folder = if name == "sshd" { "sbin" } else { "bin" };
    let path: Arc<str> = Arc::from(format!("/usr/{folder}/{name}"));
    let id = Arc::from(format!("path:{path}"));
    (App { id, kind: AppKind::Path, name: Arc::from(name), icon: None }, path)
}

/// A connection of a program, open since the beginning.
pub(crate) fn connection(name: &str, socket: u16, to: &str) -> Connection {
    let to: SocketAddr = to.parse().expect("an address");
    let from = SocketAddr::from(([10, 77, 0, 1], socket));
    let (app, path) = app(name);
    let process = Process {
        key: ProcessKey { pid: u32::from(to.port()), started_ticks: 1, exec_id: Some(1) },
        parent_pid: 1,
        uid: 1000,
        path,
        deleted: false,
        command_line: vec![name.to_owned(), "--verbose".to_owned(), format!("{to}")],
        parent_path: Arc::from("/usr/bin/bash"),
        ancestors: Vec::new(),
        cgroup: Arc::from("/user.slice"),
        sha256: None,
        app,
    };
    Connection {
        flow: Flow::between(Direction::Outbound, Protocol::TCP, from, to),
        action: Action::Allow,
        reason: Reason::plain(Layer::DefaultAction, "Nothing else decides"),
        permanent: true,
        generation: PolicyGeneration(3),
        decided: at(0),
        live: true,
        uid: Some(1000),
        owner: None,
        interface: None,
        used_by: Some(FlowUse {
            attribution: Attribution { method: Method::Connect, process: Some(Arc::new(process)) },
            traffic: None,
            rates: None,
            socket: Some(u64::from(socket)),
        }),
    }
}

/// An answer that tells of these and no more.
pub(crate) fn changes(feed: u64, number: u64, connections: Vec<Connection>) -> Changes {
    let cursor = Cursor { feed, number };
    Changes {
        list: ConnectionChanges { cursor, anew: false, more: false, connections },
        moves: None,
    }
}

fn moved(sent_bytes: u64, received_bytes: u64) -> Traffic {
    Traffic { sent_bytes, received_bytes, sent_packets: 9, received_packets: 12 }
}

fn rates(sent_bytes_per_s: f64, received_bytes_per_s: f64) -> Rates {
    Rates { sent_bytes_per_s, received_bytes_per_s }
}

/// Five connections of four apps.
pub(crate) fn answer() -> Changes {
    let ssh = Connection {
        flow: Flow::between(
            Direction::Inbound,
            Protocol::TCP,
            ([10, 77, 1, 9], 50_022).into(),
            ([10, 77, 0, 1], 22).into(),
        ),
        decided: at(5),
        ..connection("sshd", 22, "10.77.1.9:22")
    };
    let curl = Connection { decided: at(30), ..connection("curl", 40_001, "10.0.0.5:443") };
    let other = Connection { decided: at(40), ..connection("curl", 40_002, "10.0.0.5:80") };
    let rule: (u32, Arc<str>) = (2, Arc::from("- 10.0.0.9 TCP/25"));
    let denied = Connection {
        action: Action::Reject,
        live: false,
        decided: at(58),
        reason: Reason {
            rule: Some(rule),
            app: Some(Arc::from("no mail")),
            ..Reason::plain(Layer::OutgoingRule, "outgoing_rules say no 10.0.0.9 TCP/25")
        },
        ..connection("evil\u{1b}[2J", 40_003, "10.0.0.9:25")
    };
    let mut dns = Connection { decided: at(50), ..connection("dns", 40_004, "10.0.0.8:53") };
    dns.flow.protocol = Protocol::UDP;
    dns.used_by = Some(FlowUse {
        attribution: Attribution::unidentified(),
        traffic: None,
        rates: None,
        socket: None,
    });
    let socket = |socket, traffic, rates| SocketMoves { socket, traffic, rates };
    let of = |name: &str, traffic, rates| {
        let (app, path) = app(name);
        AppMoves { app, path, traffic, rates }
    };
    let moves = Moves {
        number: 7,
        sockets: vec![
            socket(22, moved(200_000, 90_000), rates(120.0, 80.0)),
            socket(40_001, moved(4_000, 56_000), rates(2_000.0, 1_200_000.0)),
            socket(40_002, moved(1_000, 1_000), Rates::default()),
        ],
        apps: vec![
            of("curl", moved(5_000, 57_000), rates(2_000.0, 1_200_000.0)),
            of("sshd", moved(200_000, 90_000), rates(120.0, 80.0)),
        ],
    };
    Changes { moves: Some(moves), ..changes(1, 5, vec![ssh, curl, other, denied, dns]) }
}

/// What is known after that answer.
pub(crate) fn known() -> Known {
    let mut known = Known::default();
    known.take(answer(), at(60));
    known
}

fn asker(name: &str, pid: u32) -> Asker {
    let (app, path) = app(name);
    Asker { app, path, process: Some(ProcessKey { pid, started_ticks: 1, exec_id: None }) }
}

/// Three prompts that wait, one of which is about a name and one about a whole app; one that was missed;
/// one answer.
pub(crate) fn prompts() -> Prompts {
    let target = |host: u8, port, name: Option<&str>| Target {
        protocol: Protocol::TCP,
        address: [9, 9, 9, host].into(),
        port: Some(port),
        name: name.map(Arc::from),
    };
    let prompt = |id: u64, name: &str, targets: Vec<Target>, state: PromptState| Prompt {
        id: PromptId(id),
        asker: asker(name, 700),
        direction: Direction::Outbound,
        whole_app: false,
        targets,
        more_targets: 0,
        state,
        waiting: usize::from(matches!(state, PromptState::Waits { .. })),
        opened: at(id),
    };
    let waits = |second| PromptState::Waits { until: at(second) };
    let name = Some("www.example.com.");
    let whole = prompt(4, "evil\u{1b}[2J", vec![target(9, 443, None)], waits(110));
    let prompts = vec![
        prompt(2, "curl", vec![target(9, 443, None)], waits(120)),
        prompt(3, "wget", vec![target(1, 443, name), target(2, 443, name)], waits(150)),
        Prompt { whole_app: true, more_targets: 7, waiting: 12, ..whole },
        prompt(1, "ssh", vec![target(8, 22, None)], PromptState::Missed { since: at(30) }),
    ];
    let given = Given {
        id: PromptId(5),
        choice: Choice::Allow,
        asker: asker("dig", 701),
        direction: Direction::Outbound,
        covers: Covers::Port(53),
        uses: Uses::Every,
        given: at(40),
        until: Some(at(640)),
    };
    Prompts { prompts, answers: vec![given] }
}
