//! Names of maps and globals in the object file.

/// The maps that user space works with, in the order in which `platform` takes them.
pub const MAPS: [&str; 8] = [OWNERS, TUPLES, LISTENERS, PROCESSES, TRAFFIC, LOSSES, EVENTS, CALLS];

/// Map: a socket's cookie to its [`OwnerRecord`](super::OwnerRecord).
pub const OWNERS: &str = "OWNERS";
/// Map: a [`Tuple`](super::Tuple) to its [`OwnerRecord`](super::OwnerRecord).
pub const TUPLES: &str = "TUPLES";
/// Map: a [`Listener`](super::Listener) to its [`OwnerRecord`](super::OwnerRecord).
pub const LISTENERS: &str = "LISTENERS";
/// Map: a [`ProcessId`](super::ProcessId) to its [`ProcessRecord`](super::ProcessRecord).
pub const PROCESSES: &str = "PROCESSES";
/// Map: a socket's cookie to its [`Traffic`](super::Traffic).
pub const TRAFFIC: &str = "TRAFFIC";
/// Map: the latest [`Call`](super::Call)s, by their place.
pub const CALLS: &str = "CALLS";
/// Map: the ring buffer of events.
pub const EVENTS: &str = "EVENTS";
/// Map: what was lost, by [`loss`](super::loss).
pub const LOSSES: &str = "LOSSES";
/// Global: [`Offsets`](super::Offsets).
pub const OFFSETS: &str = "OFFSETS";
/// Global: cookie of the network namespace that is guarded.
pub const GUARDED: &str = "GUARDED_NAMESPACE";
/// Global: 1 where what sockets move is counted, else 0.
pub const COUNTS_SOCKETS: &str = "COUNTS_SOCKETS";
