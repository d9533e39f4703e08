//! What the policy must remember over restarts: the last good file, what was
//! adopted at the first start, that there was one, a pause, settings and profiles.
//!
//! Every write is on disk before it returns. One process at a time. A failed
//! write poisons the database below; the store then opens it anew at its next use.

mod format;
#[cfg(test)]
mod tests;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use seawall_messages::policy::{Adopted, Profile};
use seawall_messages::setting::Values;

use self::format::{
    ADOPTED, FIRST_FORMAT, FORMAT, FORMAT_VERSION, Key, LAST_GOOD, PAUSE, SETTINGS, decode, encode,
};

/// Name of the folder below the state folder of Seawall.
pub const FOLDER_NAME: &str = "policy";

/// The durable state. Owned by the runtime, lent to one incarnation at a time.
pub struct Store {
    folder: PathBuf,
    open: Option<Open>,
}

struct Open {
    database: Database,
    keyspace: Keyspace,
}

/// A change of settings and profiles: written as a whole, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// What is said for all, if that changes.
    pub settings: Option<Values>,
    /// Profiles that are new or changed.
    pub profiles: Vec<Profile>,
    /// Ids of those that go.
    pub removed: Vec<u32>,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("can't open the policy state in {}: another process uses it", .0.display())]
    InUse(PathBuf),
    /// Written by a later Seawall.
    #[error(
        "can't open the policy state in {}: it has format {found}, and this version of Seawall reads up to {known}; update Seawall, or move the folder away to start afresh",
        folder.display()
    )]
    Newer {
        /// Where it lies.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// It is not what was written.
    #[error("can't read the policy state in {}: it is damaged ({what}); move the folder away to start afresh", folder.display())]
    Damaged {
        /// Where it lies.
        folder: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system refused.
    #[error("can't {doing} the policy state in {}: {what}", folder.display())]
    Failed {
        /// Where it lies.
        folder: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        what: String,
    },
}

impl Store {
    /// Opens the store in a folder of its own, which is made if need be.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let open = Open::new(folder)?;
        Ok(Self { folder: folder.to_owned(), open: Some(open) })
    }

    /// Whether there is a store in the folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join("version").exists()
    }

    /// Text of the last policy file that could be read.
    pub fn last_good(&mut self) -> Result<Option<String>, StoreError> {
        self.get(LAST_GOOD)
    }

    /// Remembers the text of a policy file that could be read.
    pub fn set_last_good(&mut self, text: &str) -> Result<(), StoreError> {
        let value = encode(&text);
        self.write(|batch, keyspace| batch.insert(keyspace, LAST_GOOD, value))
    }

    /// What was adopted at the first start and not removed since, by id;
    /// `None` before the first start is done.
    pub fn adopted(&mut self) -> Result<Option<Vec<Adopted>>, StoreError> {
        let Some(()) = self.get(ADOPTED)? else { return Ok(None) };
        let folder = self.folder.clone();
        let open = self.opened()?;
        let mut adopted = Vec::new();
        for guard in open.keyspace.prefix(Key::ADOPTED_PREFIX) {
            let (key, value) =
                guard.into_inner().map_err(|error| failed(&folder, "read", error))?;
            let id = Key::adopted_id(&key).ok_or_else(|| damaged(&folder, "a key is too short"))?;
            let entry = format::decode_entry(&value).map_err(|what| damaged(&folder, what))?;
            adopted.push(Adopted { id, what: entry });
        }
        Ok(Some(adopted))
    }

    /// Ends the first start: remembers what was adopted, in one go with that fact.
    pub fn finish_first_start(&mut self, adopted: &[Adopted]) -> Result<(), StoreError> {
        self.write(|batch, keyspace| {
            batch.insert(keyspace, ADOPTED, encode(&()));
            for Adopted { id, what } in adopted {
                batch.insert(keyspace, Key::adopted(*id), format::encode_entry(what));
            }
        })
    }

    /// Forgets adopted entries. Those that are not there are none to forget.
    pub fn remove_adopted(&mut self, ids: &[u32]) -> Result<(), StoreError> {
        self.write(|batch, keyspace| {
            for id in ids {
                batch.remove(keyspace, Key::adopted(*id));
            }
        })
    }

    /// When a pause was begun, in seconds since 1970, and how many it lasts.
    pub fn pause(&mut self) -> Result<Option<(u64, u64)>, StoreError> {
        self.get(PAUSE)
    }

    /// Remembers a pause, or that there is none.
    pub fn set_pause(&mut self, pause: Option<(u64, u64)>) -> Result<(), StoreError> {
        self.write(|batch, keyspace| match pause {
            Some(pause) => batch.insert(keyspace, PAUSE, encode(&pause)),
            None => batch.remove(keyspace, PAUSE),
        })
    }

    /// What is said for all.
    pub fn settings(&mut self) -> Result<Values, StoreError> {
        let folder = self.folder.clone();
        let value = self
            .opened()?
            .keyspace
            .get(SETTINGS)
            .map_err(|error| failed(&folder, "read", error))?;
        let values = value.map(|bytes| format::decode_values(&bytes)).transpose();
        Ok(values.map_err(|what| damaged(&folder, what))?.unwrap_or_default())
    }

    /// A profile.
    pub fn profile(&mut self, id: u32) -> Result<Option<Profile>, StoreError> {
        let folder = self.folder.clone();
        let value = self.opened()?.keyspace.get(Key::profile(id));
        let value = value.map_err(|error| failed(&folder, "read", error))?;
        let profile = value.map(|bytes| read_profile(id, &bytes)).transpose();
        profile.map_err(|what| damaged(&folder, what))
    }

    /// All profiles, by id.
    pub fn profiles(&mut self) -> Result<Vec<Profile>, StoreError> {
        let folder = self.folder.clone();
        let open = self.opened()?;
        let mut profiles = Vec::new();
        for guard in open.keyspace.prefix(Key::PROFILE_PREFIX) {
            let (key, value) =
                guard.into_inner().map_err(|error| failed(&folder, "read", error))?;
            let id = Key::profile_id(&key).ok_or_else(|| damaged(&folder, "a key is too short"))?;
            let profile = read_profile(id, &value);
            profiles.push(profile.map_err(|what| damaged(&folder, what))?);
        }
        Ok(profiles)
    }

    /// Changes settings and profiles, all in one go.
    pub fn edit(&mut self, edit: &Edit) -> Result<(), StoreError> {
        self.write(|batch, keyspace| {
            batch.insert(keyspace, FORMAT, encode(&FORMAT_VERSION));
            if let Some(settings) = &edit.settings {
                batch.insert(keyspace, SETTINGS, format::encode_values(settings));
            }
            for id in &edit.removed {
                batch.remove(keyspace, Key::profile(*id));
            }
            for profile in &edit.profiles {
                let value = profile_bytes(profile);
                batch.insert(keyspace, Key::profile(profile.id), value);
            }
        })
    }

    fn get<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, StoreError> {
        let folder = self.folder.clone();
        let value =
            self.opened()?.keyspace.get(key).map_err(|error| failed(&folder, "read", error))?;
        value.map(|bytes| decode(&bytes).map_err(|what| damaged(&folder, what))).transpose()
    }

    /// One atomic write, on disk when it returns.
    fn write(
        &mut self,
        fill: impl FnOnce(&mut OwnedWriteBatch, &Keyspace),
    ) -> Result<(), StoreError> {
        let open = self.opened()?;
        let mut batch = open.database.batch().durability(Some(PersistMode::SyncAll));
        fill(&mut batch, &open.keyspace);
        batch.commit().map_err(|error| {
            // Whatever went wrong, what the database holds in memory is in doubt.
            self.open = None;
            failed(&self.folder, "write", error)
        })
    }

    fn opened(&mut self) -> Result<&Open, StoreError> {
        match &mut self.open {
            Some(open) => Ok(open),
            closed => Ok(closed.insert(Open::new(&self.folder)?)),
        }
    }
}

impl Open {
    fn new(folder: &Path) -> Result<Self, StoreError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(|error| StoreError::Failed {
            folder: folder.to_owned(),
            doing: "make the folder of",
            what: error.to_string(),
        })?;
        // Damage that the database runs into may surface as a panic.
        let open = std::panic::catch_unwind(|| Self::database(folder))
            .map_err(|_| damaged(folder, "the database can't make sense of it"))??;
        open.check_format(folder)?;
        Ok(open)
    }

    /// Opened small: a few kilobytes live here, on machines that have other plans for their memory.
    fn database(folder: &Path) -> Result<Self, StoreError> {
        const CACHE_BYTES: u64 = 256 * 1024;
        const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
        const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;
        let opening = |error| failed(folder, "open", error);
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(opening)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = database.keyspace("policy", options).map_err(opening)?;
        Ok(Self { database, keyspace })
    }

    fn check_format(&self, folder: &Path) -> Result<(), StoreError> {
        let opening = |error| failed(folder, "open", error);
        match self.keyspace.get(FORMAT).map_err(opening)? {
            Some(bytes) => {
                let found: u32 = decode(&bytes).map_err(|what| damaged(folder, what))?;
                if found > FORMAT_VERSION {
                    let folder = folder.to_owned();
                    return Err(StoreError::Newer { folder, found, known: FORMAT_VERSION });
                }
            }
            None => {
                let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
                batch.insert(&self.keyspace, FORMAT, encode(&FIRST_FORMAT));
                batch.commit().map_err(opening)?;
            }
        }
        Ok(())
    }
}

/// A profile from the bytes that are kept of it.
pub fn read_profile(id: u32, bytes: &[u8]) -> Result<Profile, postcard::Error> {
    format::decode_profile(id, bytes)
}

/// The bytes that are kept of a profile.
pub fn profile_bytes(profile: &Profile) -> Vec<u8> {
    format::encode_profile(profile)
}

fn damaged(folder: &Path, what: impl ToString) -> StoreError {
    StoreError::Damaged { folder: folder.to_owned(), what: what.to_string() }
}

fn failed(folder: &Path, doing: &'static str, error: fjall::Error) -> StoreError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Locked => StoreError::InUse(folder),
        fjall::Error::Io(error) => StoreError::Failed { folder, doing, what: error.to_string() },
        fjall::Error::Poisoned => {
            StoreError::Failed { folder, doing, what: "an earlier write failed".to_owned() }
        }
        other => StoreError::Damaged { folder, what: other.to_string() },
    }
}
