//! Who uses the network, told by `process`, and lists where it tells nothing.

use std::sync::Arc;
use std::time::SystemTime;

use seawall_messages::api::{Apps, Changes, Connections, ErrorBody, Protection, Status};
use seawall_messages::datapath::{Connection, ConnectionChanges, Cursor};
use seawall_messages::process::{
    App, AppUse, Attribution, FlowUse, HookStatus, Message, Method, Moves, Rates, Traffic,
};
use seawall_messages::verdict::{Action, Layer, Reason};
use seawall_messages::{Flow, PolicyGeneration};
use seawall_runtime::{Component, Context, Failure, StartError};

use super::{World, flow};

/// How the stand-in for `process` behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Answers,
    /// Answers nothing, and lets the asker know.
    Refuses,
}

/// Plays `process`: every connection that it is asked about moved a hundred bytes.
pub(super) struct Programs(Manner);

impl Component for Programs {
    type Message = Message;
    type Arguments = Manner;

    async fn start(_: Context<Message>, manner: Manner) -> Result<Self, StartError> {
        Ok(Self(manner))
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        if self.0 == Manner::Refuses {
            return Ok(());
        }
        match message {
            Message::Uses { flows, reply } => reply.send(flows.iter().map(used).collect()),
            Message::Moves { flows, since, reply } => {
                let moves = Moves { number: since + 1, ..Moves::default() };
                reply.send((flows.iter().map(used).collect(), moves));
            }
            Message::Apps { open, reply } => reply.send(vec![app(open.len())]),
            Message::Hooks { reply } => reply.send(vec![hook()]),
            _ => panic!("nobody asks that"),
        }
        Ok(())
    }
}

/// What the stand-in for `datapath` knows: one is open, the other was denied.
pub(super) fn connections() -> Vec<Connection> {
    let decided = |ends: &str, action: Action| Connection {
        flow: flow(ends),
        action,
        reason: Reason::plain(Layer::DefaultAction, "nothing else decides"),
        permanent: true,
        generation: PolicyGeneration(1),
        decided: SystemTime::UNIX_EPOCH,
        live: action == Action::Allow,
        uid: None,
        owner: None,
        interface: None,
        used_by: None,
    };
    vec![
        decided("192.168.7.1:5000 10.0.0.1:22", Action::Allow),
        decided("192.168.7.2:5000 10.0.0.1:23", Action::Drop),
    ]
}

/// What it tells those who follow along: all, where they know of nothing.
pub(super) fn changes(since: Cursor) -> ConnectionChanges {
    let cursor = Cursor { feed: 5, number: 2 };
    match since == cursor {
        true => ConnectionChanges { cursor, ..ConnectionChanges::default() },
        false => ConnectionChanges { cursor, anew: true, more: false, connections: connections() },
    }
}

fn moved() -> Traffic {
    Traffic { sent_bytes: 100, sent_packets: 1, ..Traffic::default() }
}

fn used(flow: &Flow) -> FlowUse {
    let method = match flow.destination_port() {
        Some(22) => Method::Listen,
        _ => Method::Unidentified,
    };
    let attribution = Attribution { method, process: None };
    FlowUse { attribution, traffic: Some(moved()), rates: Some(Rates::default()), socket: None }
}

fn app(open: usize) -> AppUse {
    AppUse {
        app: App::unidentified(),
        pids: vec![7],
        path: Arc::from("/usr/sbin/sshd"),
        open,
        connections: 2,
        traffic: moved(),
        rates: Rates { sent_bytes_per_s: 1.5, received_bytes_per_s: 0.0 },
        methods: vec![(Method::Listen, 2)],
    }
}

fn hook() -> HookStatus {
    HookStatus {
        name: "egress".to_owned(),
        missing: Some("too old a kernel".to_owned()),
        serves: "bytes sent".to_owned(),
    }
}

#[test]
fn apps_are_listed_with_their_open_connections_and_how_owners_are_found() {
    let world = World::start();
    let listed: Apps = world.get("/v1/apps");
    assert_eq!(listed.apps, [app(1)], "what was denied is not open");
    assert_eq!(listed.hooks, [hook()]);
}

#[test]
fn connections_are_listed_with_their_owners() {
    let world = World::start();
    let listed: Connections = world.get("/v1/connections");
    let shown: Vec<_> = listed.connections.into_iter().map(|it| (it.flow, it.used_by)).collect();
    let expected = connections().into_iter().map(|it| (it.flow, Some(used(&it.flow))));
    assert_eq!(shown, expected.collect::<Vec<_>>());
}

#[test]
fn who_follows_along_is_told_what_changed_since() {
    let world = World::start();
    let all: Changes = world.get("/v1/changes");
    assert!(all.list.anew);
    let owners = all.list.connections.iter().map(|it| it.used_by.clone());
    assert_eq!(
        owners.collect::<Vec<_>>(),
        connections().iter().map(|it| Some(used(&it.flow))).collect::<Vec<_>>()
    );
    let Cursor { feed, number } = all.list.cursor;
    let moves = all.moves.expect("process answers").number;
    assert_eq!(moves, 1, "all that moved, for the list is a new one");
    let since = format!("/v1/changes?feed={feed}&number={number}&moves={moves}");
    let later: Changes = world.get(&since);
    assert!(!later.list.anew && later.list.connections.is_empty());
    assert_eq!(later.moves.expect("process answers").number, 2);
    // Of those whose owners nobody tells, the next answer tells again.
    let world = World::with(Manner::Refuses);
    let without: Changes = world.get("/v1/changes?feed=5&number=1&moves=7");
    assert_eq!(without.list.cursor, Cursor { feed: 5, number: 1 });
    assert!(without.moves.is_none() && without.list.connections.len() == 2);
}

#[test]
fn where_process_does_not_answer_apps_are_missing_and_nothing_else() {
    let world = World::with(Manner::Refuses);
    let listed: Connections = world.get("/v1/connections");
    let shown: Vec<_> = listed.connections.into_iter().map(|it| (it.flow, it.used_by)).collect();
    let expected = connections().into_iter().map(|it| (it.flow, None));
    assert_eq!(shown, expected.collect::<Vec<_>>());
    let status: Status = world.get("/v1/status");
    assert_eq!(status.protection, Protection::Protected, "{:?}", status.reasons);
    let (status, body) = world.ask("GET", "/v1/apps");
    assert_eq!(status, 503, "{body}");
    let error: ErrorBody = serde_json::from_str(&body).expect("an error");
    assert!(error.error.starts_with("process gives no answer: "), "{}", error.error);
}
