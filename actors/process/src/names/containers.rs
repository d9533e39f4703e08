//! What containers are called, from the files of their engines.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read::read_bounded;
use crate::identity::{Container, Engine};

/// Most bytes read of Docker's file of one container.
const MAX_DOCKER_BYTES: u64 = 1024 * 1024;

/// Most bytes read of Podman's file of all containers.
const MAX_PODMAN_BYTES: u64 = 4 * 1024 * 1024;

/// Most bytes read of the list of users.
const MAX_ACCOUNTS_BYTES: u64 = 1024 * 1024;

/// Where engines keep what they know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFiles {
    docker: PathBuf,
    podman: PathBuf,
}

impl ContainerFiles {
    /// Of the system's engines.
    pub fn system() -> Self {
        Self {
            docker: PathBuf::from("/var/lib/docker/containers"),
            podman: PathBuf::from("/var/lib/containers/storage"),
        }
    }

    /// Of a user's own, by the user's home.
    pub fn of_user(home: &Path) -> Self {
        Self {
            docker: home.join(".local/share/docker/containers"),
            podman: home.join(".local/share/containers/storage"),
        }
    }
}

impl ContainerFiles {
    /// Of the engine that runs a container: a user's, or the system's. `None`: the user has no home.
    pub fn of_owner(user: Option<u32>) -> Option<Self> {
        let Some(uid) = user else { return Some(Self::system()) };
        let accounts = read_bounded(Path::new("/etc/passwd"), MAX_ACCOUNTS_BYTES)?;
        home_in(&accounts, uid).map(|home| Self::of_user(Path::new(home)))
    }
}

/// The home of a user, in the text of a passwd(5).
fn home_in(accounts: &str, uid: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_it = fields.next()?.parse() == Ok(uid);
        fields.nth(2).filter(|home| is_it && home.starts_with('/'))
    })
}

/// Looks up what a container is called: in the files of the system if
/// [`Container::user`] is `None`, else in those of that user. Which that is, the asker chooses.
pub fn container_name(container: &Container, files: &ContainerFiles) -> Option<String> {
    let id = container.id.as_deref()?;
    match container.engine {
        Engine::Docker => {
            let path = files.docker.join(id).join("config.v2.json");
            docker_name(&read_bounded(&path, MAX_DOCKER_BYTES)?)
        }
        Engine::Podman => podman_lists(&files.podman)
            .find_map(|list| podman_name(&read_bounded(&list, MAX_PODMAN_BYTES)?, id)),
        _ => None,
    }
}

/// Podman's lists of containers: a folder for each way of storing them, which users choose.
fn podman_lists(storage: &Path) -> impl Iterator<Item = PathBuf> {
    const DRIVERS: [&str; 5] = ["overlay", "vfs", "btrfs", "zfs", "aufs"];
    const FILES: [&str; 2] = ["containers.json", "volatile-containers.json"];
    DRIVERS.into_iter().flat_map(move |driver| {
        let folder = storage.join(format!("{driver}-containers"));
        FILES.map(|file| folder.join(file))
    })
}

/// From Docker's `config.v2.json`.
pub fn docker_name(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Name")]
        name: String,
    }
    let config: Config = serde_json::from_str(json).ok()?;
    let name = config.name.strip_prefix('/').unwrap_or(&config.name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// From Podman's `containers.json`.
pub fn podman_name(json: &str, id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Listed {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let all: Vec<Listed> = serde_json::from_str(json).ok()?;
    let found = all.into_iter().find(|listed| listed.id == id)?;
    found.names.into_iter().find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::home_in;

    #[test]
    fn homes_are_found_by_user() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:1000:,,,:/home/ann:/bin/sh\nnone:x:7:7:::\n";
        assert_eq!(home_in(accounts, 1000), Some("/home/ann"));
        assert_eq!(home_in(accounts, 0), Some("/root"));
        assert_eq!(home_in(accounts, 7), None);
        assert_eq!(home_in(accounts, 5), None);
    }
}
