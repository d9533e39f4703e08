//! What comes by itself: the kernel's events, time, names of desktop files.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_messages::process::Message;
use seawall_runtime::Address;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::names::{DesktopFolder, DesktopIndex, read_desktop_files, resolve};

/// The kernel wakes at most this often: what comes meanwhile is taken together.
const GATHER: Duration = Duration::from_millis(1);

/// Says when events wait.
pub(crate) async fn events(descriptor: OwnedFd, to: Address<Message>) {
    #[allow(deprecated, reason = "an owned descriptor stays the same one until it is dropped")]
    let polled = match AsyncFd::with_interest(descriptor, Interest::READABLE) {
        Ok(polled) => polled,
        Err(error) => {
            tracing::error!(%error, "Events of the kernel are only looked at from time to time");
            return;
        }
    };
    while let Ok(mut guard) = polled.readable().await {
        guard.clear_ready();
        to.offer(Message::EventsWait);
        tokio::time::sleep(GATHER).await;
    }
}

/// Says when it is time to look at traffic.
pub(crate) async fn time(every: Duration, to: Address<Message>) {
    loop {
        tokio::time::sleep(every).await;
        to.offer(Message::LookAgain);
    }
}

/// Reads desktop files aside: there may be thousands. Without them, files' names serve.
pub(crate) fn names(into: &Arc<Mutex<Option<DesktopIndex>>>) {
    let into = Arc::clone(into);
    let read = move || {
        let entries = read_desktop_files(&[DesktopFolder::System]);
        let index = DesktopIndex::build(entries, resolve);
        *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(index);
    };
    let started = std::thread::Builder::new().name("desktop-files".to_owned()).spawn(read);
    if let Err(error) = started {
        tracing::warn!(%error, "Desktop files are not read");
    }
}
