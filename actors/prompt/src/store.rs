//! What prompts must remember over restarts: those that wait and that were missed, and answers for a time.
//!
//! Every write is on disk before it returns, all that changed in one go. One
//! process at a time. It is opened when it is first used, and anew after a write that failed.

mod format;

use std::path::Path;

use seawall_runtime::durable::{Durable, Keeping};

use self::format::{FORMAT_VERSION, Key, NEXT_ID, encode};
use crate::book::{Changes, Kept};

pub use self::format::decode_all;

/// Name of the folder below the state folder of Seawall.
pub const FOLDER_NAME: &str = "prompt";

/// What can go wrong with the store.
pub use seawall_runtime::durable::DurableError as StoreError;

/// How it is kept.
const KEEPING: Keeping = Keeping {
    what: "the state of prompts",
    keyspace: "prompt",
    first_format: FORMAT_VERSION,
    newest_format: FORMAT_VERSION,
};

/// The durable state. Owned by the runtime, lent to one incarnation at a time.
pub struct Store(Durable);

impl Store {
    /// The store in a folder of its own. Nothing is read or made yet.
    pub fn at(folder: &Path) -> Self {
        Self(Durable::at(folder, KEEPING))
    }

    /// All that is kept. Where nobody was ever asked, there is no store, and none is made.
    pub fn load(&mut self) -> Result<Kept, StoreError> {
        let mut kept = Kept::default();
        if !Durable::exists(self.0.folder()) {
            return Ok(kept);
        }
        for (key, value) in self.0.entries("")? {
            format::decode_into(&mut kept, &key, &value).map_err(|why| self.0.damaged(why))?;
        }
        Ok(kept)
    }

    /// Writes what changed, all or nothing.
    pub fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.0.write(|batch| {
            batch.insert(NEXT_ID, encode(&changes.next_id));
            for (id, record) in &changes.prompts {
                match record {
                    Some(record) => batch.insert(Key::prompt(*id), format::prompt(record)),
                    None => batch.remove(Key::prompt(*id)),
                }
            }
            for (id, given) in &changes.answers {
                match given {
                    Some(given) => batch.insert(Key::answer(*id), format::answer(given)),
                    None => batch.remove(Key::answer(*id)),
                }
            }
        })
    }
}
