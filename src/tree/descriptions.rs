//! Help texts for what the floors below the actors count.

use metrics::{Unit, describe_counter, describe_gauge};

/// Describes the metrics of `runtime` and `platform` to the recorder; once a process.
pub(super) fn describe_metrics() {
    describe_counter!("seawall_component_restarts_total", "Restarts of a component");
    describe_counter!(
        "seawall_component_hangs_total",
        "Incarnations of a component that were abandoned as hung"
    );
    describe_counter!(
        "seawall_component_refused_total",
        "Messages refused or dropped because the mailbox was full"
    );
    describe_gauge!("seawall_component_mailbox_depth_messages", "Messages that wait");
    describe_counter!("seawall_component_handled_total", "Messages handled by a component");
    describe_gauge!(
        "seawall_component_handle_median_seconds",
        Unit::Seconds,
        "Time within which half of the messages since the last scrape were handled"
    );
    describe_gauge!(
        "seawall_component_handle_p99_seconds",
        Unit::Seconds,
        "Time within which 99 of 100 messages since the last scrape were handled"
    );
    describe_gauge!(
        "seawall_component_handle_longest_seconds",
        Unit::Seconds,
        "The longest handling of a message since the last scrape"
    );
    describe_counter!(
        "seawall_queue_late_verdicts_total",
        "Verdicts for packets that were answered already"
    );
    describe_counter!("seawall_queue_refused_messages_total", "Messages that the kernel refused");
    describe_counter!(
        "seawall_queue_unknown_messages_total",
        "Messages of the kernel that are no packets"
    );
}
