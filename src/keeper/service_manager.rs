//! What systemd is told (`sd_notify(3)`) and keeps for us (`FDSTORE=1`).
//! Without systemd all of this does nothing. One that doesn't listen holds up nobody for long: the
//! keeper has packets to care for.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};
use sd_notify::NotifyState;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::inherited;

/// Where the service manager listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How long it may take to make room for a message. Once it took longer, it isn't waited
/// for until it has room again.
const PATIENCE: Duration = Duration::from_millis(500);

static IS_DEAF: AtomicBool = AtomicBool::new(false);

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
        && let Err(error) = send(&state, &[descriptor])
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
        && let Err(error) = send(state, &[])
    {
        tracing::warn!(%error, "The service manager could not be told");
    }
}

/// Whether one started this process.
pub(super) fn is_there() -> bool {
    std::env::var_os(SOCKET_VARIABLE).is_some()
}

/// One message, with at most one descriptor.
fn send(state: &[NotifyState<'_>], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text: Vec<String> = state.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = match IS_DEAF.load(Ordering::Relaxed) {
        true => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        false => SendFlags::NOSIGNAL,
    };
    let sent =
        sendmsg_addr(&socket, &address()?, &[IoSlice::new(text.as_bytes())], &mut control, flags);
    IS_DEAF.store(sent == Err(rustix::io::Errno::AGAIN), Ordering::Relaxed);
    sent?;
    Ok(())
}

/// A path, or behind an `@` an abstract name.
fn address() -> io::Result<SocketAddrUnix> {
    let path = std::env::var_os(SOCKET_VARIABLE).unwrap_or_default();
    match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => Ok(SocketAddrUnix::new_abstract_name(name)?),
        None => Ok(SocketAddrUnix::new(&*path)?),
    }
}
