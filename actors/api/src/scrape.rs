//! `GET /metrics`, for Prometheus. On loopback every program can reach it, and
//! so could a web page by rebinding its name: only requests that name an
//! address, or localhost, are answered.

use std::net::IpAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use seawall_messages::Hook;
use seawall_messages::api::Protection;
use seawall_platform::linux::conntrack;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::processes::burden_of;
use seawall_platform::linux::queue;

use crate::actor::Services;
use crate::events;
use crate::routes::standing;

const WAITING: &str = "seawall_datapath_queue_depth_packets";
const DROPPED: &str = "seawall_datapath_queue_dropped_packets_total";
const CRASHES: &str = "seawall_keeper_worker_crashes_total";
const MENDED: &str = "seawall_keeper_rules_mended_total";

const PROTECTION: &str = "seawall_api_protection_state";
const MEMORY: &str = "seawall_api_resident_memory_bytes";
const DESCRIPTORS: &str = "seawall_api_open_descriptors";
const TRACKED: &str = "seawall_datapath_tracked_connections";
const TRACKED_LIMIT: &str = "seawall_datapath_tracked_connections_limit";

/// Content type of Prometheus's text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn describe_metrics() {
    describe_gauge!(WAITING, "Packets that wait for a verdict in the kernel, by queue");
    describe_counter!(DROPPED, "Packets that the kernel dropped unjudged, by queue and reason");
    describe_counter!(CRASHES, "Workers that crashed since the keeper started");
    describe_gauge!(
        PROTECTION,
        "1 for what the first word of status is, 0 for the others, by state"
    );
    describe_gauge!(MEMORY, Unit::Bytes, "Memory in use, by process");
    describe_gauge!(DESCRIPTORS, "Open descriptors, by process");
    describe_gauge!(TRACKED, "Connections that the kernel tracks in this network namespace");
    describe_gauge!(TRACKED_LIMIT, "Most connections that the kernel tracks; 0 for no limit");
    describe_counter!(MENDED, "Times that someone else's change to our rules was undone");
}

pub(crate) fn router(services: Services) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(services)
}

async fn scrape(State(services): State<Services>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_address) {
        return (StatusCode::FORBIDDEN, "name an address, not a host\n").into_response();
    }
    services.introspect.publish_metrics();
    publish(&services);
    publish_protection(standing(&services, None).await.protection);
    ([(CONTENT_TYPE, TEXT_FORMAT)], services.metrics.render()).into_response()
}

/// Publishes what others count for us: the kernel and the keeper.
fn publish(services: &Services) {
    let keeper = services.keeper.load();
    counter!(CRASHES).absolute(u64::from(keeper.crashes));
    counter!(MENDED).absolute(keeper.rules_mended);
    publish_burden(keeper.pid);
    match queue::counters(&services.layout) {
        Ok(counters) => {
            for queue in counters {
                let Some(id) = QueueId::from_number(queue.number, &services.layout) else {
                    continue;
                };
                let name = queue_name(id);
                gauge!(WAITING, "queue" => name).set(f64::from(queue.waiting));
                counter!(DROPPED, "queue" => name, "reason" => "queue_full")
                    .absolute(queue.dropped_full);
                counter!(DROPPED, "queue" => name, "reason" => "buffer_full")
                    .absolute(queue.dropped_buffer);
            }
        }
        Err(error) => tracing::warn!(%error, "The kernel's queue counters could not be read"),
    }
}

/// Memory and descriptors of both processes, tracked connections.
fn publish_burden(keeper_pid: u32) {
    for (process, pid) in [("keeper", keeper_pid), ("worker", std::process::id())] {
        let Some(burden) = burden_of(pid) else { continue };
        gauge!(MEMORY, "process" => process).set(burden.resident_bytes as f64);
        if let Some(descriptors) = burden.descriptors {
            gauge!(DESCRIPTORS, "process" => process).set(descriptors as f64);
        }
    }
    match conntrack::fill() {
        Ok(fill) => {
            gauge!(TRACKED).set(fill.tracked as f64);
            gauge!(TRACKED_LIMIT).set(fill.limit as f64);
        }
        Err(error) => events::tracking_unknown(&error),
    }
}

/// One of the three is 1.
fn publish_protection(protection: Protection) {
    for (state, name) in [
        (Protection::Protected, "protected"),
        (Protection::Degraded, "degraded"),
        (Protection::NotProtected, "not_protected"),
    ] {
        gauge!(PROTECTION, "state" => name).set(f64::from(u8::from(state == protection)));
    }
}

fn queue_name(id: QueueId) -> &'static str {
    use QueueKind::{New, ParkedOriginal, ParkedReply, RestOriginal, RestReply, Untracked};
    match (id.hook, id.kind) {
        (Hook::Output, New) => "output_new",
        (Hook::Output, RestOriginal) => "output_rest_original",
        (Hook::Output, RestReply) => "output_rest_reply",
        (Hook::Output, Untracked) => "output_untracked",
        (Hook::Output, ParkedOriginal) => "output_parked_original",
        (Hook::Output, ParkedReply) => "output_parked_reply",
        (Hook::Input, New) => "input_new",
        (Hook::Input, RestOriginal) => "input_rest_original",
        (Hook::Input, RestReply) => "input_rest_reply",
        (Hook::Input, Untracked) => "input_untracked",
        (Hook::Input, ParkedOriginal) => "input_parked_original",
        (Hook::Input, ParkedReply) => "input_parked_reply",
        (Hook::Forward, New) => "forward_new",
        (Hook::Forward, RestOriginal) => "forward_rest_original",
        (Hook::Forward, RestReply) => "forward_rest_reply",
        (Hook::Forward, Untracked) => "forward_untracked",
        (Hook::Forward, ParkedOriginal) => "forward_parked_original",
        (Hook::Forward, ParkedReply) => "forward_parked_reply",
    }
}

/// Whether a Host header names an address or localhost, with a port or without.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_answered() {
        let cases = [
            ("127.0.0.1:9817", true),
            ("127.0.0.1", true),
            ("[::1]:9817", true),
            ("localhost:9817", true),
            ("LOCALHOST", true),
            ("10.1.2.3:80", true),
            ("evil.example:9817", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("", false),
            ("[", false),
        ];
        for (host, expected) in cases {
            assert_eq!(is_address(host), expected, "{host}");
        }
    }
}
