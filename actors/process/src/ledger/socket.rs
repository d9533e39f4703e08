//! What one socket moved, and how fast.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::process::{Rates, Traffic};
use seawall_messages::{Flow, Protocol};

/// Connections of one unconnected socket that are remembered with it.
const MOST_FLOWS_PER_SOCKET: usize = 4_096;
/// A closed socket goes on sending for a while: what it had left, and its farewell.
const LINGERS: Duration = Duration::from_secs(20);
/// The last datagram of a closed socket that nobody tells of is through by then, or never.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// The shortest time that rates are worked out over: of less they would jump.
const RATES_OVER: Duration = Duration::from_millis(500);
/// Rates are those of the time between the last two looks, unless that is longer ago.
const RATES_LAST: Duration = Duration::from_secs(15);

/// What traffic is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counter {
    /// A socket, by its cookie: the kernel's notes.
    Socket(u64),
    /// A connection: connection tracking, where there are no notes.
    Connection(Flow),
}

impl Counter {
    /// Tells it from all others: a socket's cookie; for connections a number that no cookie reaches.
    pub(crate) fn name(&self) -> u64 {
        const CONNECTION: u64 = 1 << 63;
        match self {
            Self::Socket(cookie) => *cookie,
            Self::Connection(flow) => {
                let mut hasher = DefaultHasher::new();
                flow.hash(&mut hasher);
                hasher.finish() | CONNECTION
            }
        }
    }
}

/// A socket whose traffic is followed; or a connection, where nobody knows of its socket.
pub(super) struct Socket {
    pub(super) app: Arc<str>,
    pub(super) counted: Traffic,
    pub(super) rates: Rates,
    /// When it was last seen to have moved something.
    pub(super) moved: Instant,
    /// What was counted when rates were last worked out, and when that was.
    basis: (Traffic, Instant),
    pub(super) closed: Option<Instant>,
    /// The number of its last change.
    pub(super) changed: u64,
    /// Of datagrams: a TCP connection ends with its socket.
    pub(super) flows: HashSet<Flow>,
}

impl Socket {
    /// One that moved so much already and is closed, if that is known.
    pub(super) fn new(app: Arc<str>, was_closed: Option<Traffic>, now: Instant) -> Self {
        let counted = was_closed.unwrap_or_default();
        Self {
            app,
            counted,
            rates: Rates::default(),
            moved: now,
            basis: (counted, now),
            // Nobody looks at it in between: the next look is the last one.
            closed: was_closed.map(|_| now.checked_sub(LINGERS).unwrap_or(now)),
            changed: 0,
            flows: HashSet::new(),
        }
    }

    /// One that closed just now, and of which nobody may ever tell.
    pub(super) fn closed_lately(app: Arc<str>, counted: Traffic, now: Instant) -> Self {
        let closed = now.checked_sub(LINGERS.saturating_sub(ON_ITS_WAY));
        Self { closed: Some(closed.unwrap_or(now)), ..Self::new(app, Some(counted), now) }
    }

    /// Whether it closed so lately that there may be more to count; `None`: it is open.
    pub(super) fn lingers(&self, now: Instant) -> Option<bool> {
        self.closed.map(|closed| now.duration_since(closed) < LINGERS)
    }

    pub(super) fn note(&mut self, flow: Flow) {
        if flow.protocol != Protocol::TCP && self.flows.len() < MOST_FLOWS_PER_SOCKET {
            self.flows.insert(flow);
        }
    }

    pub(super) fn work_out_rates(&mut self, now: Instant) {
        let (before, when) = self.basis;
        let time = now.duration_since(when);
        if time >= RATES_OVER {
            let new = since(self.counted, before);
            self.rates = Rates {
                sent_bytes_per_s: new.sent_bytes as f64 / time.as_secs_f64(),
                received_bytes_per_s: new.received_bytes as f64 / time.as_secs_f64(),
            };
            self.basis = (self.counted, now);
        }
    }

    pub(super) fn rates_at(&self, now: Instant) -> Rates {
        if now.duration_since(self.basis.1) > RATES_LAST { Rates::default() } else { self.rates }
    }
}

/// What came since an earlier count. Where the count began anew, all of it.
pub(super) fn since(now: Traffic, before: Traffic) -> Traffic {
    let less = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    Traffic {
        sent_bytes: less(now.sent_bytes, before.sent_bytes),
        received_bytes: less(now.received_bytes, before.received_bytes),
        sent_packets: less(now.sent_packets, before.sent_packets),
        received_packets: less(now.received_packets, before.received_packets),
    }
}
