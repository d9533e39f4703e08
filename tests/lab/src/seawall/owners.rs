//! Whose a connection is, as Seawall tells it.

use std::time::Duration;

use seawall_messages::api::{Apps, Connections};
use seawall_messages::datapath::Connection;
use seawall_messages::flow::{Direction, Flow, Protocol, Transport};
use seawall_messages::process::{Attribution, Process};

use super::Seawall;
use crate::check::until;

/// How long a connection may take to be listed with its owner: what a successor tells included.
const LISTED: Duration = Duration::from_secs(15);

/// Port of the side that opened a flow.
pub fn initiator_port(flow: &Flow) -> Option<u16> {
    match flow.transport {
        Transport::Ports { initiator, .. } => Some(initiator),
        _ => None,
    }
}

/// Whose a connection is; `None` while the list doesn't say.
pub fn attribution(connection: &Connection) -> Option<&Attribution> {
    connection.used_by.as_ref().map(|used_by| &used_by.attribution)
}

/// The process of a connection, where it is known.
pub fn process(connection: &Connection) -> Option<&Process> {
    attribution(connection)?.process.as_deref()
}

impl Seawall<'_> {
    /// The apps on the network, and how owners are found.
    #[track_caller]
    pub fn apps(&self) -> Apps {
        let answer = self.verb(&["ps", "--all", "--json"]);
        serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("ps: {error}: {}{}", answer.stdout, answer.stderr))
    }

    /// Decided flows, newest first; `None` while nobody answers.
    pub fn try_connections(&self) -> Option<Vec<Connection>> {
        let answer = self.verb(&["connections", "--json", "--limit", "10000"]);
        let list: Connections = serde_json::from_str(&answer.stdout).ok()?;
        Some(list.connections)
    }

    /// The newest listed connection that is wanted, once it is there and its owner known.
    ///
    /// # Panics
    /// When it isn't within fifteen seconds, with what is listed of it.
    #[track_caller]
    pub fn owned(&self, what: &str, wanted: impl Fn(&Connection) -> bool) -> Connection {
        let mut seen = None;
        let found = until(LISTED, || {
            let listed = self.try_connections()?.into_iter().find(&wanted)?;
            let known = process(&listed).is_some();
            seen = Some(listed.clone());
            known.then_some(listed)
        });
        found.unwrap_or_else(|| panic!("{what}: nobody is known to own it; listed: {seen:#?}"))
    }

    /// The connection that a program of this host, or of one that it forwards for, opened from a port.
    #[track_caller]
    pub fn owned_from(&self, what: &str, protocol: Protocol, from_port: u16) -> Connection {
        self.owned(what, |connection| {
            connection.flow.direction != Direction::Inbound
                && connection.flow.protocol == protocol
                && initiator_port(&connection.flow) == Some(from_port)
        })
    }

    /// As [`Seawall::owned_from`]: its process.
    #[track_caller]
    pub fn process_from(&self, what: &str, protocol: Protocol, from_port: u16) -> Process {
        let connection = self.owned_from(what, protocol, from_port);
        process(&connection).cloned().unwrap_or_else(|| panic!("{what}: {connection:#?}"))
    }
}
