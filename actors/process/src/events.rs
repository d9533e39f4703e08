//! What `process` reports: how owners were found, what was moved, what was lost.

use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};
use seawall_messages::process::{Method, Traffic};
use seawall_platform::linux::neighbours::NeighboursError;
use seawall_platform::linux::processes::ProcessesError;
use seawall_platform::linux::sockets::SocketsError;

use crate::tracked::TrackedError;

const ATTRIBUTIONS: &str = "seawall_process_attributions_total";
const TRAFFIC: &str = "seawall_process_traffic_bytes_total";
const FOLLOWED: &str = "seawall_process_followed_sockets";
const LOST: &str = "seawall_process_lost_notes_total";
const FAILED: &str = "seawall_process_failed_lookups_total";

/// What can be lost, in the order of [`seawall_platform::linux::ebpf::abi::loss`].
const KINDS: [&str; 6] = ["event", "owner", "tuple", "process", "listener", "traffic"];

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_counter!(ATTRIBUTIONS, "Connections whose owner was looked for, by how it was found");
    describe_counter!(
        TRAFFIC,
        "Bytes of IP packets of this machine's sockets, by app and direction"
    );
    describe_gauge!(
        FOLLOWED,
        "Sockets whose traffic is followed, some seconds after they closed, too"
    );
    describe_counter!(
        LOST,
        "Notes of the kernel that found no room, by kind; found out in another way"
    );
    describe_counter!(FAILED, "Look-ups that the system refused, by what was asked");
    // There from the start: the first that is lost counts, too.
    lost(&[0; KINDS.len()]);
}

/// Counts connections by how their owner was found.
pub(crate) struct Attributions([(Method, Counter); Method::ALL.len()]);

impl Attributions {
    pub(crate) fn fetch() -> Self {
        let counter = |method: Method| counter!(ATTRIBUTIONS, "method" => method.as_str());
        Self(Method::ALL.map(|method| (method, counter(method))))
    }

    pub(crate) fn count(&self, method: Method) {
        if let Some((_, counter)) = self.0.iter().find(|(own, _)| *own == method) {
            counter.increment(1);
        }
    }
}

pub(crate) fn moved(app: &str, traffic: Traffic) {
    for (direction, bytes) in [("sent", traffic.sent_bytes), ("received", traffic.received_bytes)] {
        if bytes > 0 {
            counter!(TRAFFIC, "app" => app.to_owned(), "direction" => direction).increment(bytes);
        }
    }
}

pub(crate) fn followed(sockets: usize) {
    gauge!(FOLLOWED).set(sockets as f64);
}

/// What the programs could not note, by kind.
pub(crate) fn lost(counts: &[u64]) {
    for (kind, count) in KINDS.iter().zip(counts) {
        counter!(LOST, "kind" => *kind).absolute(*count);
    }
}

pub(crate) fn tables_missing(error: &SocketsError) {
    tracing::error!(%error, cause = error.source.to_string(), "The socket tables can't be read");
}

pub(crate) fn closings_failed(error: &std::io::Error) {
    counter!(FAILED, "asked" => "closed sockets").increment(1);
    tracing::warn!(%error, "It could not be heard which datagram sockets closed");
}

pub(crate) fn tables_failed(error: &SocketsError) {
    counter!(FAILED, "asked" => "sockets").increment(1);
    tracing::debug!(%error, cause = error.source.to_string(), "A socket could not be looked up");
}

pub(crate) fn processes_failed(error: &ProcessesError) {
    counter!(FAILED, "asked" => "processes").increment(1);
    tracing::debug!(%error, cause = error.source.to_string(), "A process could not be read");
}

pub(crate) fn neighbours_failed(error: &NeighboursError) {
    counter!(FAILED, "asked" => "neighbours").increment(1);
    tracing::debug!(%error, cause = error.source.to_string(), "A neighbour could not be looked up");
}

pub(crate) fn nobody_counts(error: &TrackedError) {
    tracing::warn!(%error, "Nobody counts what connections move");
}

pub(crate) fn counts_failed(error: &TrackedError) {
    counter!(FAILED, "asked" => "traffic").increment(1);
    tracing::debug!(%error, "What connections moved could not be read");
}
