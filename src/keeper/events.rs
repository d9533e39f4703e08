//! What the keeper logs.

use std::time::Duration;

use seawall_messages::policy::Mode;

pub(super) fn worker_started(pid: u32) {
    tracing::info!(pid, "Started a worker");
}

pub(super) fn worker_ready(pid: u32, after: Duration) {
    tracing::info!(pid, after_ms = after.as_millis(), "The worker judges packets");
}

pub(super) fn worker_died(pid: u32, how: &str, crashes: u32) {
    tracing::error!(pid, how, crashes, "The worker died; packets wait in the kernel");
}

pub(super) fn worker_silent(pid: u32) {
    tracing::error!(pid, "The worker gives no sign of life and is killed");
}

pub(super) fn worker_distrusted(pid: u32, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(pid, error, "The worker broke the protocol and is killed");
}

pub(super) fn worker_not_told(pid: u32, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(pid, error, "The worker could not be told something");
}

pub(super) fn deposit_refused(name: &str) {
    tracing::warn!(name, "Refused to keep a descriptor for the worker");
}

pub(super) fn not_protected(reason: &str) {
    tracing::error!(reason, "NOT PROTECTED");
}

pub(super) fn rules_set(epoch: u8, mode: Mode, took: Duration) {
    tracing::info!(epoch, ?mode, took_ms = took.as_millis(), "The rules are in place");
}

pub(super) fn rules_failed(error: &str) {
    tracing::error!(error, "The rules could not be set");
}

pub(super) fn rules_mended(times: u64) {
    tracing::warn!(times, "Someone changed our rules; they were put back");
}

pub(super) fn labels_cleared(entries: usize) {
    tracing::debug!(entries, "Cleared the labels of an earlier run");
}

pub(super) fn stopping() {
    tracing::info!("Stopping");
}

pub(super) fn accounting_stays(error: &std::io::Error) {
    tracing::warn!(%error, "The kernel goes on counting what connections move");
}

pub(super) fn stop_hastened(pid: u32) {
    tracing::warn!(pid, "The worker did not stop in time and is killed");
}
