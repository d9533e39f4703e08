//! Writes to the store, and what is said of a store that can't be written.

use std::time::{Duration, Instant};

use super::Policy;
use crate::error::{Error, chain};
use crate::events;
use crate::store::{Store, StoreError};

/// How often it is looked whether a store that could not be written can be again, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why changes can't be stored.
#[derive(Debug)]
pub(super) struct Unwritable {
    why: String,
    looked: Instant,
}

impl Unwritable {
    /// Which folder, and what is wrong with it.
    pub(super) fn why(&self) -> String {
        self.why.clone()
    }
}

impl Policy {
    /// Writes to the store. What can't be written is logged, and said in the status.
    pub(super) fn keep(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<Result<(), StoreError>, Error> {
        let written = self.store.with(write)?;
        self.note_written(&written);
        if let Err(error) = &written {
            events::StoreFailed { error }.emit();
        }
        Ok(written)
    }

    /// Looks whether a store that could not be written for a while can be.
    pub(super) fn look_at_store_again(&mut self) -> Result<(), Error> {
        let is_old = |it: &Unwritable| it.looked.elapsed() >= LOOK_EVERY;
        match self.unwritable.as_ref().is_some_and(is_old) {
            true => self.look_at_store(),
            false => Ok(()),
        }
    }

    /// Looks whether changes can be stored.
    pub(super) fn look_at_store(&mut self) -> Result<(), Error> {
        let has_room = self.store.with(Store::check_room)?;
        if let (Err(error), None) = (&has_room, &self.unwritable) {
            events::StoreFailed { error }.emit();
        }
        self.note_written(&has_room);
        Ok(())
    }

    fn note_written(&mut self, written: &Result<(), StoreError>) {
        self.unwritable = written
            .as_ref()
            .err()
            .map(|error| Unwritable { why: chain(error), looked: Instant::now() });
        events::store_is_unwritable(self.unwritable.is_some());
    }
}
