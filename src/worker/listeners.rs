//! The API's listeners: made once, deposited with the keeper, and taken up by
//! each worker, so that nobody is refused while one is replaced.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use seawall_api::Listeners;
use seawall_messages::api::SOCKET_FILE;
use seawall_messages::keeper::ToKeeper;
use seawall_platform::linux::link::Link;

use super::error::WorkerError;
use crate::cli::WorkerArguments;

/// Names under which they are deposited. The Unix socket's carries the inode
/// of its file: one that was removed is of no use to anybody.
const COMMAND: &str = "listener/command/";
const METRICS: &str = "listener/metrics";

/// Who may use the API besides root.
const GROUP: &str = "seawall";

/// Takes up what was deposited, or makes it.
pub(super) fn open(
    arguments: &WorkerArguments,
    kept: &mut BTreeMap<String, OwnedFd>,
    link: &Link,
) -> Result<Listeners, WorkerError> {
    let path = arguments.folders.run_dir.join(SOCKET_FILE);
    let command = command(&path, kept, link)
        .map_err(|source| WorkerError::Socket { path: path.clone(), source })?;
    let (metrics, metrics_problem) = match arguments.metrics {
        None => (None, None),
        Some(address) => match metrics(address, kept, link) {
            Ok(listener) => (Some(listener), None),
            Err(error) => {
                // Judging packets matters more than counting them.
                tracing::error!(%address, %error, "Metrics are not served");
                (None, Some(format!("can't listen on {address}: {error}")))
            }
        },
    };
    Ok(Listeners { command, metrics, metrics_problem })
}

fn command(
    path: &Path,
    kept: &mut BTreeMap<String, OwnedFd>,
    link: &Link,
) -> io::Result<UnixListener> {
    let now = std::fs::symlink_metadata(path).map(|file| format!("{COMMAND}{}", file.ino())).ok();
    if let Some(listener) = now.and_then(|name| kept.remove(&name)) {
        return Ok(UnixListener::from(listener));
    }
    for name in kept.keys().filter(|name| name.starts_with(COMMAND)) {
        // Not worth failing for: the keeper drops it at the latest when it ends.
        let _ = link.send_to_keeper(&ToKeeper::Withdraw { name: name.clone() }, None);
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    if let Some(group) = group_id(GROUP) {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    let inode = std::fs::symlink_metadata(path)?.ino();
    deposit(link, &format!("{COMMAND}{inode}"), listener.as_fd());
    Ok(listener)
}

fn metrics(
    address: SocketAddr,
    kept: &mut BTreeMap<String, OwnedFd>,
    link: &Link,
) -> io::Result<TcpListener> {
    if let Some(listener) = kept.remove(METRICS).map(TcpListener::from)
        && listener.local_addr().is_ok_and(|bound| bound == address)
    {
        return Ok(listener);
    }
    let listener = TcpListener::bind(address)?;
    deposit(link, METRICS, listener.as_fd());
    Ok(listener)
}

/// Without it the next worker makes its own.
fn deposit(link: &Link, name: &str, listener: BorrowedFd<'_>) {
    let frame = ToKeeper::Deposit { name: name.to_owned() };
    if let Err(error) = link.send_to_keeper(&frame, Some(listener)) {
        tracing::warn!(name, %error, "A listener could not be deposited");
    }
}

/// The number of a group, from /etc/group (`group(5)`).
fn group_id(name: &str) -> Option<u32> {
    group_in(&std::fs::read_to_string("/etc/group").ok()?, name)
}

fn group_in(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let text = "root:x:0:\nseawallers:x:7:\nseawall:x:990:alice,bob\nbroken\n";
        assert_eq!(group_in(text, "seawall"), Some(990));
        assert_eq!(group_in(text, "root"), Some(0));
        assert_eq!(group_in(text, "wall"), None);
        assert_eq!(group_in(text, "broken"), None);
    }

    #[test]
    fn a_listener_is_taken_up_only_while_its_file_is_there() {
        let folder = std::env::temp_dir().join(format!("seawall-listen-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(SOCKET_FILE);
        let (keeper, worker) = Link::pair().expect("a link");
        let mut kept = BTreeMap::new();
        let deposited = |kept: &mut BTreeMap<String, OwnedFd>| {
            let wait = std::time::Duration::ZERO;
            while let Ok((frame, descriptor)) = keeper.receive_from_worker(wait) {
                match (frame, descriptor) {
                    (ToKeeper::Deposit { name }, Some(fd)) => drop(kept.insert(name, fd)),
                    (ToKeeper::Withdraw { name }, None) => drop(kept.remove(&name)),
                    other => panic!("unexpected: {other:?}"),
                }
            }
        };
        drop(command(&path, &mut BTreeMap::new(), &worker).expect("made"));
        deposited(&mut kept);
        let inode = std::fs::metadata(&path).expect("the socket").ino();
        drop(command(&path, &mut kept, &worker).expect("taken up"));
        assert!(kept.is_empty(), "it was taken");
        assert_eq!(std::fs::metadata(&path).expect("the same socket").ino(), inode);
        std::fs::remove_file(&path).expect("someone removes it");
        drop(command(&path, &mut kept, &worker).expect("made anew"));
        deposited(&mut kept);
        assert_eq!(kept.len(), 1);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
