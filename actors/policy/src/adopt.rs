//! Nobody is locked out: what answers, and what is connected, when Seawall
//! first starts stays reachable until its owner says otherwise.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use seawall_messages::policy::{Adopted, AdoptedEntry};
use seawall_messages::{Direction, Flow, Protocol, Transport};

/// Most entries that are adopted: listeners first, then connections with other
/// hosts, then connections of this machine with itself.
pub const MAX_ADOPTED: usize = 4096;

/// A socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundSocket {
    /// TCP, UDP and the like.
    pub protocol: Protocol,
    /// Its own end.
    pub local: SocketAddr,
    /// What it is for.
    pub role: Role,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It waits for others: a TCP listener, or a bound UDP socket without a peer.
    Listener {
        /// Whether one bound to `::` refuses IPv4.
        only_v6: bool,
    },
    /// It is connected.
    Session {
        /// The other end.
        remote: SocketAddr,
    },
}

/// Lists this machine's sockets. Called at the start of the component and when
/// the policy is reloaded: bounded by a time-out well below a handling deadline.
pub trait Survey: Send + Sync {
    /// All sockets that listen or are established.
    fn sockets(&self) -> Result<Vec<FoundSocket>, SurveyError>;
}

/// Why sockets can't be listed.
#[derive(Debug, thiserror::Error)]
#[error("can't list the sockets of this machine")]
pub struct SurveyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What is adopted of these sockets, with ids from 1.
pub fn adopt(sockets: &[FoundSocket]) -> Vec<Adopted> {
    let listeners: BTreeSet<_> = sockets
        .iter()
        .flat_map(listening_ends)
        .filter(|(_, end)| !end.ip().is_loopback())
        .map(|(protocol, end)| (end.port(), protocol, end.ip()))
        .collect();
    let flows: BTreeSet<_> =
        session_flows(sockets).map(|flow| (flow.remote().is_loopback(), flow)).collect();
    let listeners = listeners.into_iter().map(|(port, protocol, address)| AdoptedEntry::Listener {
        protocol,
        address,
        port,
    });
    let sessions = flows.into_iter().map(|(_, flow)| AdoptedEntry::Session { flow });
    (1..)
        .zip(listeners.chain(sessions).take(MAX_ADOPTED))
        .map(|(id, what)| Adopted { id, what })
        .collect()
}

/// Ids of the adopted connections that are no longer among these sockets.
pub fn ended(adopted: &[Adopted], sockets: &[FoundSocket]) -> Vec<u32> {
    let open: BTreeSet<Flow> = session_flows(sockets).collect();
    adopted
        .iter()
        .filter(|entry| match &entry.what {
            AdoptedEntry::Session { flow } => {
                !open.contains(flow) && !open.contains(&reversed(flow))
            }
            AdoptedEntry::Listener { .. } => false,
        })
        .map(|entry| entry.id)
        .collect()
}

/// The connections as flows. Others opened those whose own end is one that
/// something listens on.
fn session_flows(sockets: &[FoundSocket]) -> impl Iterator<Item = Flow> {
    let listening: BTreeSet<_> = sockets
        .iter()
        .flat_map(listening_ends)
        .map(|(protocol, end)| (protocol, end.ip(), end.port()))
        .collect();
    sockets.iter().filter_map(move |socket| {
        let Role::Session { remote } = socket.role else { return None };
        let (local, remote) = (canonical(socket.local), canonical(remote));
        let any = unspecified_like(local.ip());
        let is_called = [local.ip(), any]
            .into_iter()
            .any(|address| listening.contains(&(socket.protocol, address, local.port())));
        Some(match is_called {
            true => Flow::between(Direction::Inbound, socket.protocol, remote, local),
            false => Flow::between(Direction::Outbound, socket.protocol, local, remote),
        })
    })
}

/// The ends that a listener answers on: two if it takes both families.
fn listening_ends(socket: &FoundSocket) -> impl Iterator<Item = (Protocol, SocketAddr)> + use<> {
    let protocol = socket.protocol;
    let (own, other) = match socket.role {
        Role::Session { .. } => (None, None),
        Role::Listener { only_v6 } => {
            let takes_both =
                !only_v6 && socket.local.is_ipv6() && socket.local.ip().is_unspecified();
            let v4_too =
                SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), socket.local.port());
            (Some(canonical(socket.local)), takes_both.then_some(v4_too))
        }
    };
    own.into_iter().chain(other).map(move |end| (protocol, end))
}

/// The same connection with the roles exchanged: what a connection looks like
/// whose listener has been closed since it was adopted.
fn reversed(flow: &Flow) -> Flow {
    let direction = match flow.direction {
        Direction::Inbound => Direction::Outbound,
        Direction::Outbound => Direction::Inbound,
        Direction::Forwarded => Direction::Forwarded,
    };
    let transport = match flow.transport {
        Transport::Ports { initiator, responder } => {
            Transport::Ports { initiator: responder, responder: initiator }
        }
        other => other,
    };
    Flow { direction, initiator: flow.responder, responder: flow.initiator, transport, ..*flow }
}

fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
