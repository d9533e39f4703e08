//! What `api` reports.

use metrics::{counter, describe_counter};
use seawall_platform::linux::conntrack::ConntrackError;

const CONNECTIONS: &str = "seawall_api_connections_total";
const REFUSED: &str = "seawall_api_refused_connections_total";

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_counter!(CONNECTIONS, "Connections accepted, by listener");
    describe_counter!(REFUSED, "Connections closed unanswered because too many were open");
    // There from the start: the first one counts, too.
    for door in [Door::Command, Door::Metrics] {
        counter!(REFUSED, "listener" => door.as_str()).absolute(0);
    }
    crate::scrape::describe_metrics();
}

/// Which listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The Unix socket of the command.
    Command,
    /// The metrics port.
    Metrics,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Metrics => "metrics",
        }
    }
}

/// Somebody connected.
pub(crate) fn connected(door: Door) {
    counter!(CONNECTIONS, "listener" => door.as_str()).increment(1);
}

/// Too many are connected already.
pub(crate) fn refused(door: Door) {
    counter!(REFUSED, "listener" => door.as_str()).increment(1);
    tracing::warn!(listener = door.as_str(), "Too many connections, one was closed");
}

/// A listener does not accept; it is tried again.
pub(crate) fn accept_failed(door: Door, error: &std::io::Error) {
    tracing::warn!(listener = door.as_str(), %error, "A connection could not be accepted");
}

/// How full the table of tracked connections is can't be read: no reason to doubt it.
pub(crate) fn tracking_unknown(error: &ConntrackError) {
    tracing::debug!(%error, cause = error.source.to_string(), "Tracked connections not counted");
}

/// A fault was injected.
#[cfg(feature = "fault-injection")]
pub(crate) fn fault_injected(component: &str, fault: &seawall_runtime::fault::Fault) {
    tracing::warn!(component, ?fault, "A fault was injected");
}
