//! What the keeper logs.

use std::path::Path;
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

pub(super) fn applicant_refused() {
    tracing::warn!("Someone who is not root asked for an upgrade and was refused");
}

pub(super) fn upgrade_refused(reason: &str) {
    tracing::warn!(reason, "Refused an upgrade");
}

pub(super) fn upgrade_begins(installed: &Path) {
    tracing::info!(installed = %installed.display(), "Trying the installed program");
}

pub(super) fn old_worker_retired(took: Duration) {
    tracing::info!(
        took_ms = took.as_millis(),
        "The new worker takes the place of the old one; packets wait in the kernel until it judges"
    );
}

pub(super) fn rolled_back(reason: &str) {
    tracing::error!(reason, "The upgrade failed; the old program goes on");
}

pub(super) fn state_not_restored(error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "The state from before the upgrade could not be taken back");
}

pub(super) fn state_copy_stays(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "The copy of the state could not be removed");
}

pub(super) fn state_restored() {
    tracing::warn!("An upgrade was interrupted; took back the state from before it");
}

pub(super) fn handing_on() {
    tracing::info!("The keeper hands on to the new program");
}

pub(super) fn taken_over(version: &str) {
    tracing::info!(version, "Took over from the program before");
}

pub(super) fn upgraded(version: &str) {
    tracing::info!(version, "The upgrade is done");
}

pub(super) fn guardian_steps_in(reason: &str) {
    tracing::error!(reason, "The new keeper failed; the old program comes back");
}
