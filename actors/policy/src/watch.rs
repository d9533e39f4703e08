//! Notices that the policy file may have changed.
//!
//! The kernel tells of changes in the file's folder (and in that of the file it
//! links to): editors replace files, configuration management swaps links, so
//! watching the file itself would soon watch nothing. A look every few seconds
//! covers what is not told: network file systems, folders that come and go,
//! lost notifications.

mod fingerprint;
#[cfg(target_os = "linux")]
mod inotify;

use std::path::PathBuf;
use std::time::Duration;

use seawall_messages::policy::Message;
use seawall_runtime::Address;

use self::inotify::Notifier;
use crate::events::WatchFailed;

pub(crate) use self::fingerprint::Fingerprint;

/// How often the file is looked at without being told.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How long the file must have stayed the same: a writer in the middle of it
/// may leave a file that can be read and says less than was meant.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// Most rounds of waiting for a file to settle.
const MAX_SETTLING: u32 = 40;

/// Watches until the incarnation ends. `seen` is what the file looked like
/// before it was last read: no change in between is missed.
pub(crate) async fn watch(path: PathBuf, mut seen: Fingerprint, address: Address<Message>) {
    let mut notifier = Notifier::new(&path);
    let mut has_failed = false;
    let mut is_told = false;
    loop {
        if let Err(error) = notifier.arm() {
            if !std::mem::replace(&mut has_failed, true) {
                WatchFailed { path: &path, error: &error }.emit();
            }
        } else {
            has_failed = false;
        }
        let now = settled(&path).await;
        if (is_told || now != seen) && address.tell(Message::FileChanged).is_ok() {
            seen = now;
            is_told = false;
        }
        let told = tokio::time::timeout(POLL_INTERVAL, notifier.changed()).await;
        is_told |= told.unwrap_or(false);
    }
}

/// What the file looks like once it stays the same for a moment.
async fn settled(path: &std::path::Path) -> Fingerprint {
    let mut last = Fingerprint::of(path);
    for _ in 0..MAX_SETTLING {
        if last.is_older_than(SETTLED_AFTER) {
            break;
        }
        tokio::time::sleep(SETTLED_AFTER).await;
        let now = Fingerprint::of(path);
        if std::mem::replace(&mut last, now) == now {
            break;
        }
    }
    last
}
