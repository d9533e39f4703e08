//! A pause as it is stored, begun and ended.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use seawall_messages::policy::PolicyStatus;

use super::Policy;
use crate::error::{Error, chain};
use crate::events;
use crate::pause::Pause;
use crate::store::Store;

impl Policy {
    pub(super) fn take_up_pause(&mut self) -> Result<(), Error> {
        let Some((begun_s, seconds)) = self.store.with(Store::pause)?? else { return Ok(()) };
        let (begun, length) =
            (UNIX_EPOCH.checked_add(Duration::from_secs(begun_s)), Duration::from_secs(seconds));
        self.pause =
            begun.and_then(|begun| Pause::resume(begun, length, SystemTime::now(), Instant::now()));
        Ok(())
    }

    /// Durable first, then in force.
    pub(super) fn change_pause(
        &mut self,
        pause: Option<Pause>,
    ) -> Result<Result<PolicyStatus, String>, Error> {
        let stored = pause.map(|pause| {
            let begun = pause.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
            (begun.as_secs(), pause.length.as_secs())
        });
        if let Err(error) = self.keep(|store| store.set_pause(stored))? {
            return Ok(Err(chain(&error)));
        }
        self.pause = pause;
        self.publish()?;
        Ok(Ok(self.status()))
    }

    /// What is left of a pause. One that is over is forgotten, durably where that can be.
    pub(super) fn pause_left(&mut self) -> Result<Option<Duration>, Error> {
        let Some(pause) = self.pause else { return Ok(None) };
        let left = pause.left(SystemTime::now(), Instant::now());
        if left.is_none() {
            self.pause = None;
            events::PauseOver.emit();
            // Left behind, it is over at the next start, too.
            let _ = self.keep(|store| store.set_pause(None))?;
        }
        Ok(left)
    }

    /// Whole seconds of a pause that are left.
    pub(super) fn paused_s(&self) -> Option<u64> {
        let left = self.pause?.left(SystemTime::now(), Instant::now())?;
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }
}
