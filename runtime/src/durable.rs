//! Durable state: a small database of keys and values in a folder of its own.
//!
//! Every write is on disk before it returns, and is there as a whole or not at
//! all. One process at a time. A failed write poisons the database below; it is
//! then opened anew at its next use. What the values mean is their owner's affair;
//! the format that they have as a whole is noted beside them, so that an earlier
//! version refuses what it would misread.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

/// The key of the format, a `u32` as postcard has it.
const FORMAT: &str = "format";

/// What has to find room in a folder that is to take changes: most of them are far smaller.
const ROOM_BYTES: usize = 64 * 1024;

/// The file by which it is looked whether there is room; gone when that is known.
const ROOM: &str = "room";

/// What is kept, and how it looks.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// What it is called in errors: `the policy state`.
    pub what: &'static str,
    /// The name of the keyspace.
    pub keyspace: &'static str,
    /// The format that a new one has.
    pub first_format: u32,
    /// The newest format that is read.
    pub newest_format: u32,
}

/// See the module. Lent to one incarnation at a time.
pub struct Durable {
    folder: PathBuf,
    keeping: Keeping,
    open: Option<Open>,
}

struct Open {
    database: Database,
    keyspace: Keyspace,
}

/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A change that is being put together.
pub struct Batch<'a> {
    batch: OwnedWriteBatch,
    keyspace: &'a Keyspace,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// Another process has it.
    #[error("can't open {what} in {}: another process uses it", folder.display())]
    InUse {
        /// What is kept there.
        what: &'static str,
        /// Where it lies.
        folder: PathBuf,
    },
    /// Written by a later Seawall.
    #[error(
        "can't open {what} in {}: it has format {found}, and this version of Seawall reads up to {known}; update Seawall, or move the folder away to start afresh",
        folder.display()
    )]
    Newer {
        /// What is kept there.
        what: &'static str,
        /// Where it lies.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// It is not what was written.
    #[error("can't read {what} in {}: it is damaged ({why}); move the folder away to start afresh", folder.display())]
    Damaged {
        /// What is kept there.
        what: &'static str,
        /// Where it lies.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error("can't {doing} {what} in {}: {why}", folder.display())]
    Failed {
        /// What is kept there.
        what: &'static str,
        /// Where it lies.
        folder: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        why: String,
    },
}

impl Durable {
    /// What is kept in a folder. Nothing is read or made yet.
    pub fn at(folder: &Path, keeping: Keeping) -> Self {
        Self { folder: folder.to_owned(), keeping, open: None }
    }

    /// What is kept in a folder, which is made if need be.
    pub fn open(folder: &Path, keeping: Keeping) -> Result<Self, DurableError> {
        let mut durable = Self::at(folder, keeping);
        durable.opened()?;
        Ok(durable)
    }

    /// Whether something is kept in the folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join("version").exists()
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of a key.
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, DurableError> {
        let value = self.opened()?.keyspace.get(key);
        let value = value.map_err(|error| self.failed("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All keys that begin so, with their values, ascending.
    pub fn entries(&mut self, prefix: impl AsRef<[u8]>) -> Result<Vec<Entry>, DurableError> {
        let found: Result<Vec<_>, _> = self
            .opened()?
            .keyspace
            .prefix(prefix)
            .map(|guard| guard.into_inner().map(|(key, value)| (key.to_vec(), value.to_vec())))
            .collect();
        found.map_err(|error| self.failed("read", error))
    }

    /// One atomic write, on disk when it returns.
    pub fn write(&mut self, fill: impl FnOnce(&mut Batch<'_>)) -> Result<(), DurableError> {
        let committed = self.opened()?.commit(fill);
        committed.map_err(|error| {
            // Whatever went wrong, what the database holds in memory is in doubt.
            self.open = None;
            self.failed("write", error)
        })
    }

    /// Whether the folder takes what a change needs. Nothing that is kept is touched.
    pub fn check_room(&self) -> Result<(), DurableError> {
        let path = self.folder.join(ROOM);
        let written = std::fs::write(&path, [0_u8; ROOM_BYTES]);
        // A part of it may be there.
        let removed = match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        written.and(removed).map_err(|error| self.failed("write", error.into()))
    }

    /// The error of a value that makes no sense.
    pub fn damaged(&self, why: impl ToString) -> DurableError {
        DurableError::Damaged {
            what: self.keeping.what,
            folder: self.folder.clone(),
            why: why.to_string(),
        }
    }

    fn opened(&mut self) -> Result<&Open, DurableError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.opening()?,
        };
        Ok(self.open.insert(open))
    }

    fn opening(&self) -> Result<Open, DurableError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder).map_err(|error| {
            let (what, folder) = (self.keeping.what, self.folder.clone());
            let doing = "make the folder of";
            DurableError::Failed { what, folder, doing, why: error.to_string() }
        })?;
        // Damage that the database runs into may surface as a panic.
        let (folder, keyspace) = (self.folder.as_path(), self.keeping.keyspace);
        let open = std::panic::catch_unwind(|| Open::new(folder, keyspace))
            .map_err(|_| self.damaged("the database can't make sense of it"))?
            .map_err(|error| self.failed("open", error))?;
        self.check_format(&open)?;
        Ok(open)
    }

    fn check_format(&self, open: &Open) -> Result<(), DurableError> {
        let opening = |error| self.failed("open", error);
        let Some(bytes) = open.keyspace.get(FORMAT).map_err(opening)? else {
            return open
                .commit(|batch| batch.set_format(self.keeping.first_format))
                .map_err(opening);
        };
        let found: u32 = postcard::from_bytes(&bytes).map_err(|why| self.damaged(why))?;
        match found > self.keeping.newest_format {
            true => Err(DurableError::Newer {
                what: self.keeping.what,
                folder: self.folder.clone(),
                found,
                known: self.keeping.newest_format,
            }),
            false => Ok(()),
        }
    }

    fn failed(&self, doing: &'static str, error: fjall::Error) -> DurableError {
        let (what, folder) = (self.keeping.what, self.folder.clone());
        match error {
            fjall::Error::Locked => DurableError::InUse { what, folder },
            fjall::Error::Io(error) => {
                DurableError::Failed { what, folder, doing, why: error.to_string() }
            }
            fjall::Error::Poisoned => {
                DurableError::Failed { what, folder, doing, why: "an earlier write failed".into() }
            }
            other => DurableError::Damaged { what, folder, why: other.to_string() },
        }
    }
}

impl Open {
    /// Opened small: a few kilobytes live here, on machines that have other plans for their memory.
    fn new(folder: &Path, keyspace: &str) -> Result<Self, fjall::Error> {
        const CACHE_BYTES: u64 = 256 * 1024;
        const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
        const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = database.keyspace(keyspace, options)?;
        Ok(Self { database, keyspace })
    }

    fn commit(&self, fill: impl FnOnce(&mut Batch<'_>)) -> Result<(), fjall::Error> {
        let batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        let mut batch = Batch { batch, keyspace: &self.keyspace };
        fill(&mut batch);
        batch.batch.commit()
    }
}

impl Batch<'_> {
    /// Puts a value in.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.batch.insert(self.keyspace, key.as_ref(), value.as_ref());
    }

    /// Takes a key out. One that isn't there is none to take out.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) {
        self.batch.remove(self.keyspace, key.as_ref());
    }

    /// Says which format all has from now on.
    pub fn set_format(&mut self, format: u32) {
        let bytes = postcard::to_stdvec(&format).expect("a number always has a postcard form");
        self.insert(FORMAT, bytes);
    }
}
