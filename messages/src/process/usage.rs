//! What connections and apps move.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{App, Attribution, Method};

/// Bytes and packets that went each way.
///
/// Bytes are those of IP packets, headers included: payload, plus 20 bytes
/// (IPv4) or 40 (IPv6) and the transport's header for each packet on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// From this machine's program.
    pub sent_bytes: u64,
    /// To it.
    pub received_bytes: u64,
    /// Packets from it.
    pub sent_packets: u64,
    /// Packets to it.
    pub received_packets: u64,
}

impl Traffic {
    /// Both added up.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_add(other.sent_bytes),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
            sent_packets: self.sent_packets.saturating_add(other.sent_packets),
            received_packets: self.received_packets.saturating_add(other.received_packets),
        }
    }
}

/// How fast something moves, over the last few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes a second from this machine's program.
    pub sent_bytes_per_s: f64,
    /// Bytes a second to it.
    pub received_bytes_per_s: f64,
}

/// A connection's owner and what it moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowUse {
    /// Whose it is.
    pub attribution: Attribution,
    /// What its socket moved; `None` where nobody counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traffic: Option<Traffic>,
    /// How fast.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rates: Option<Rates>,
    /// Its socket's cookie (SO_COOKIE); several datagram connections may have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub socket: Option<u64>,
}

/// What a socket moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SocketMoves {
    /// Its cookie.
    pub socket: u64,
    /// So far.
    pub traffic: Traffic,
    /// How fast.
    pub rates: Rates,
}

/// What an app moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppMoves {
    /// Which one.
    pub app: App,
    /// Path of one of its processes.
    pub path: Arc<str>,
    /// Since Seawall started.
    pub traffic: Traffic,
    /// How fast.
    pub rates: Rates,
}

/// Sockets and apps that moved something, or rest now, since a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves {
    /// What to ask for next.
    pub number: u64,
    /// Sockets.
    pub sockets: Vec<SocketMoves>,
    /// Apps.
    pub apps: Vec<AppMoves>,
}

/// An app on the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppUse {
    /// Which one.
    pub app: App,
    /// Ids of its processes that own an open connection, ascending.
    pub pids: Vec<u32>,
    /// Path of one of them.
    pub path: Arc<str>,
    /// Connections that are open.
    pub open: usize,
    /// Connections of late, open ones included.
    pub connections: usize,
    /// What it moved since Seawall started.
    pub traffic: Traffic,
    /// How fast.
    pub rates: Rates,
    /// How its connections were attributed, and how many each.
    pub methods: Vec<(Method, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_adds_up_each_way_and_stays_at_its_most() {
        let traffic = |[sent_bytes, received_bytes, sent_packets, received_packets]: [u64; 4]| {
            Traffic { sent_bytes, received_bytes, sent_packets, received_packets }
        };
        let one = traffic([1, 20, 300, 4_000]);
        assert_eq!(one.plus(traffic([5, 60, 700, 8_000])), traffic([6, 80, 1_000, 12_000]));
        assert_eq!(one.plus(Traffic::default()), one);
        assert_eq!(traffic([u64::MAX; 4]).plus(one), traffic([u64::MAX; 4]));
        assert_eq!(one.plus(traffic([u64::MAX; 4])), traffic([u64::MAX; 4]));
    }
}
