//! What `network` reports: log lines and metrics together.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use seawall_messages::network::Surroundings;
use seawall_platform::linux::network::NetworkError;

const LOOKS: &str = "seawall_network_looks_total";
const FAILED: &str = "seawall_network_failed_looks_total";
const CHANGES: &str = "seawall_network_changes_total";
const UP: &str = "seawall_network_up_interfaces";
const GATEWAYS: &str = "seawall_network_gateways";

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_counter!(LOOKS, "Looks at interfaces, addresses, gateways and wireless networks");
    describe_counter!(FAILED, "Such looks that the system refused");
    describe_counter!(CHANGES, "Such looks that saw something new");
    describe_gauge!(UP, "Interfaces with a link, loopback aside");
    describe_gauge!(GATEWAYS, "Default routes of the main table");
    // There from the start: the first failure counts as one, too.
    counter!(FAILED).absolute(0);
}

pub(crate) fn looked(seen: &Surroundings, is_new: bool) {
    let up = seen.interfaces.iter().filter(|interface| interface.up).count();
    counter!(LOOKS).increment(1);
    gauge!(UP).set(up as f64);
    gauge!(GATEWAYS).set(seen.gateways.len() as f64);
    if is_new {
        counter!(CHANGES).increment(1);
        tracing::info!(interfaces = up, gateways = seen.gateways.len(), "The network changed");
    }
}

pub(crate) fn look_failed(error: &NetworkError) {
    counter!(FAILED).increment(1);
    let cause = error.source.to_string();
    tracing::warn!(%error, cause, "Where the machine is could not be seen");
}

pub(crate) fn ear_failed(error: &std::io::Error) {
    tracing::warn!(%error, "Changes of the network are only looked for from time to time");
}
