//! A small file in the run folder in which the keeper says how it stands, for
//! `seawall status` while no worker answers.

use std::io;
use std::path::{Path, PathBuf};

use seawall_messages::api::{KEEPER_FILE, KeeperState, SOCKET_FILE};
use seawall_messages::upgrade::KEEPER_SOCKET;

/// The file; removed, with the API's socket and the keeper's own, when the keeper ends in order.
pub(super) struct StateFile {
    path: PathBuf,
    sockets: [PathBuf; 2],
}

impl StateFile {
    /// The file of this run folder.
    pub(super) fn new(run_dir: &Path) -> Self {
        let sockets = [SOCKET_FILE, KEEPER_SOCKET].map(|name| run_dir.join(name));
        Self { path: run_dir.join(KEEPER_FILE), sockets }
    }

    /// Says why packets are not judged, or (`None`) that they are. A failure
    /// is logged: `status` then says less, nothing else depends on it.
    pub(super) fn say(&self, not_protecting: Option<String>) {
        let state = KeeperState { keeper_pid: std::process::id(), not_protecting };
        if let Err(error) = self.replace(&state) {
            tracing::warn!(path = %self.path.display(), %error, "Could not write the state file");
        }
    }

    fn replace(&self, state: &KeeperState) -> io::Result<()> {
        let new = self.path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(state)?)?;
        std::fs::rename(&new, &self.path)
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        for path in self.sockets.iter().chain([&self.path]) {
            // Not there: as it should be.
            let _ = std::fs::remove_file(path);
        }
    }
}
