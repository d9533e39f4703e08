//! Prompts and answers, case by case; the store; the component in a running tree.

mod book;
mod component;
mod kept;
mod names;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_messages::flow::{Direction, Flow, Protocol, Transport};
use seawall_messages::process::{App, AppKind, ProcessKey};
use seawall_messages::prompt::{Asker, Question};

const TIMEOUT: Duration = Duration::from_secs(60);

fn asker(name: &str) -> Asker {
    let app = App {
        id: format!("path:/bin/{name}").into(),
        kind: AppKind::Path,
        name: Arc::from(name),
        icon: None,
    };
    let process = Some(ProcessKey { pid: 7, started_ticks: 1, exec_id: None });
    Asker { app, path: format!("/bin/{name}").into(), process }
}

/// A connection to 9.9.9.`host`, from that port.
fn flow(host: u8, own_port: u16, port: u16) -> Flow {
    Flow {
        direction: Direction::Outbound,
        protocol: Protocol::TCP,
        initiator: [10, 0, 0, 1].into(),
        responder: [9, 9, 9, host].into(),
        transport: Transport::Ports { initiator: own_port, responder: port },
    }
}

fn question(name: &str, flow: Flow) -> Question {
    Question { asker: asker(name), flow, name: None }
}

/// As [`question`], about a connection whose name is known.
fn named(name: &str, domain: &str, flow: Flow) -> Question {
    Question { name: Some(domain.into()), ..question(name, flow) }
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second)
}
