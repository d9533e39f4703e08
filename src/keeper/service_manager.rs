//! What systemd is told (`sd_notify(3)`) and keeps for us (`FDSTORE=1`).
//! Without systemd all of this does nothing.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use sd_notify::NotifyState;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::inherited;

/// Packets are judged.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The ordered stop begins.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The keeper's loop turns.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said, if at all: twice within the time that systemd allows.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

/// Has a copy of the descriptor kept beyond our own death. Not watched
/// (`FDPOLL=0`): a queue socket with packets is always readable.
pub(super) fn store(name: &str, layout: &Layout, descriptor: BorrowedFd<'_>) {
    let name = stored_name(name, layout);
    let state = [NotifyState::FdStore, NotifyState::FdName(&name), NotifyState::Custom("FDPOLL=0")];
    if is_there()
        && let Err(error) = sd_notify::notify_with_fds(&state, &[descriptor])
    {
        tracing::warn!(%error, "The service manager did not take a descriptor");
    }
}

/// Has the copy of that name closed.
pub(super) fn forget(name: &str, layout: &Layout) {
    tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(&stored_name(name, layout))]);
}

/// What was stored by a keeper before this one, by name. Descriptors for
/// another layout are forgotten, as the rules no longer send packets there.
pub(super) fn take_back(layout: &Layout) -> BTreeMap<String, OwnedFd> {
    let suffix = stored_name("", layout);
    let mut kept = BTreeMap::new();
    for (stored, descriptor) in inherited::take() {
        match stored.strip_suffix(&suffix) {
            Some(name) => drop(kept.insert(name.to_owned(), descriptor)),
            None => tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(&stored)]),
        }
    }
    kept
}

/// A queue socket is bound to queue numbers, so its name in the store says which.
fn stored_name(name: &str, layout: &Layout) -> String {
    format!("{name}@{}", layout.queue_base)
}

fn tell(state: &[NotifyState<'_>]) {
    if is_there()
        && let Err(error) = sd_notify::notify(state)
    {
        tracing::warn!(%error, "The service manager could not be told");
    }
}

/// Whether one started this process.
pub(super) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}
