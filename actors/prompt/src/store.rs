//! What prompts must remember over restarts: those that wait and that were missed, and answers for a time.
//!
//! Every write is on disk before it returns, all that changed in one go. One
//! process at a time. It is opened when it is first used, and anew after a write that failed.

mod format;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use self::format::{FORMAT, FORMAT_VERSION, Key, NEXT_ID, encode};
use crate::book::{Changes, Kept};

pub use self::format::decode_all;

/// Name of the folder below the state folder of Seawall.
pub const FOLDER_NAME: &str = "prompt";

/// The durable state. Owned by the runtime, lent to one incarnation at a time.
pub struct Store {
    folder: PathBuf,
    open: Option<Open>,
}

struct Open {
    database: Database,
    keyspace: Keyspace,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Written by a later Seawall.
    #[error(
        "can't open the state of prompts in {}: it has format {found}, and this version of Seawall reads up to {known}; update Seawall, or move the folder away to start afresh",
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
    #[error("can't read the state of prompts in {}: it is damaged ({what}); move the folder away to start afresh", folder.display())]
    Damaged {
        /// Where it lies.
        folder: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system refused.
    #[error("can't {doing} the state of prompts in {}: {what}", folder.display())]
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
    /// The store in a folder of its own. Nothing is read or made yet.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: None }
    }

    /// All that is kept. Where nobody was ever asked, there is no store, and none is made.
    pub fn load(&mut self) -> Result<Kept, StoreError> {
        let folder = self.folder.clone();
        if !folder.join("version").exists() {
            return Ok(Kept::default());
        }
        let open = self.opened()?;
        let mut kept = Kept::default();
        for guard in open.keyspace.iter() {
            let (key, value) =
                guard.into_inner().map_err(|error| failed(&folder, "read", error))?;
            format::decode_into(&mut kept, &key, &value).map_err(|what| damaged(&folder, what))?;
        }
        Ok(kept)
    }

    /// Writes what changed, all or nothing.
    pub fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let open = self.opened()?;
        let mut batch = open.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&open.keyspace, NEXT_ID, encode(&changes.next_id));
        for (id, record) in &changes.prompts {
            match record {
                Some(record) => {
                    batch.insert(&open.keyspace, Key::prompt(*id), format::prompt(record));
                }
                None => batch.remove(&open.keyspace, Key::prompt(*id)),
            }
        }
        for (id, given) in &changes.answers {
            match given {
                Some(given) => {
                    batch.insert(&open.keyspace, Key::answer(*id), format::answer(given))
                }
                None => batch.remove(&open.keyspace, Key::answer(*id)),
            }
        }
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
        let keyspace = database.keyspace("prompt", options).map_err(opening)?;
        Ok(Self { database, keyspace })
    }

    fn check_format(&self, folder: &Path) -> Result<(), StoreError> {
        let opening = |error| failed(folder, "open", error);
        match self.keyspace.get(FORMAT).map_err(opening)? {
            Some(bytes) => {
                let found: u32 = format::decode(&bytes).map_err(|what| damaged(folder, what))?;
                if found > FORMAT_VERSION {
                    let folder = folder.to_owned();
                    return Err(StoreError::Newer { folder, found, known: FORMAT_VERSION });
                }
            }
            None => {
                let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
                batch.insert(&self.keyspace, FORMAT, encode(&FORMAT_VERSION));
                batch.commit().map_err(opening)?;
            }
        }
        Ok(())
    }
}

fn damaged(folder: &Path, what: impl ToString) -> StoreError {
    StoreError::Damaged { folder: folder.to_owned(), what: what.to_string() }
}

fn failed(folder: &Path, doing: &'static str, error: fjall::Error) -> StoreError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Locked => {
            StoreError::Failed { folder, doing, what: "another process uses it".to_owned() }
        }
        fjall::Error::Io(error) => StoreError::Failed { folder, doing, what: error.to_string() },
        fjall::Error::Poisoned => {
            StoreError::Failed { folder, doing, what: "an earlier write failed".to_owned() }
        }
        other => StoreError::Damaged { folder, what: other.to_string() },
    }
}
