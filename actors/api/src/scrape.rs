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
use metrics::{counter, describe_counter, describe_gauge, gauge};
use seawall_messages::Hook;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::queue;

use crate::actor::Services;

const WAITING: &str = "seawall_datapath_queue_depth_packets";
const DROPPED: &str = "seawall_datapath_queue_dropped_packets_total";
const CRASHES: &str = "seawall_keeper_worker_crashes_total";
const MENDED: &str = "seawall_keeper_rules_mended_total";

/// Content type of Prometheus's text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn describe_metrics() {
    describe_gauge!(WAITING, "Packets that wait for a verdict in the kernel, by queue");
    describe_counter!(DROPPED, "Packets that the kernel dropped unjudged, by queue and reason");
    describe_counter!(CRASHES, "Workers that crashed since the keeper started");
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
    ([(CONTENT_TYPE, TEXT_FORMAT)], services.metrics.render()).into_response()
}

/// Publishes what others count for us: the kernel and the keeper.
fn publish(services: &Services) {
    let keeper = services.keeper.load();
    counter!(CRASHES).absolute(u64::from(keeper.crashes));
    counter!(MENDED).absolute(keeper.rules_mended);
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
