//! What the policy must remember over restarts: the last good file, what was
//! adopted at the first start, that there was one, a pause, settings and profiles.
//!
//! Every write is on disk before it returns. One process at a time.

mod format;
#[cfg(test)]
mod tests;

use std::path::Path;

use seawall_messages::policy::{Adopted, KeptNetwork, Profile};
use seawall_messages::setting::Values;
use seawall_runtime::durable::{Durable, Keeping};

use self::format::{
    ADOPTED, FIRST_FORMAT, FORMAT_VERSION, Key, LAST_GOOD, NETWORKS, PAUSE, SETTINGS,
    WITHOUT_NETWORKS, decode, encode,
};

/// Name of the folder below the state folder of Seawall.
pub const FOLDER_NAME: &str = "policy";

/// The durable state. Owned by the runtime, lent to one incarnation at a time.
pub struct Store(Durable);

/// A change of settings and profiles: written as a whole, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// What is said for all, if that changes.
    pub settings: Option<Values>,
    /// Profiles that are new or changed.
    pub profiles: Vec<Profile>,
    /// Ids of those that go.
    pub removed: Vec<u32>,
    /// All networks that have a name, if that changes.
    pub networks: Option<Vec<KeptNetwork>>,
    /// Profiles that are there because an app was seen, and when that was, in seconds since 1970;
    /// `None` for those that somebody made theirs.
    pub seen: Vec<(u32, Option<u64>)>,
}

/// What can go wrong with the store.
pub use seawall_runtime::durable::DurableError as StoreError;

/// How it is kept.
const KEEPING: Keeping = Keeping {
    what: "the policy state",
    keyspace: "policy",
    first_format: FIRST_FORMAT,
    newest_format: FORMAT_VERSION,
};

impl Store {
    /// Opens the store in a folder of its own, which is made if need be.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Durable::open(folder, KEEPING).map(Self)
    }

    /// Whether there is a store in the folder.
    pub fn exists(folder: &Path) -> bool {
        Durable::exists(folder)
    }

    /// Whether there is room for changes.
    pub fn check_room(&mut self) -> Result<(), StoreError> {
        self.0.check_room()
    }

    /// Text of the last policy file that could be read.
    pub fn last_good(&mut self) -> Result<Option<String>, StoreError> {
        self.get(LAST_GOOD)
    }

    /// Remembers the text of a policy file that could be read.
    pub fn set_last_good(&mut self, text: &str) -> Result<(), StoreError> {
        let value = encode(&text);
        self.0.write(|batch| batch.insert(LAST_GOOD, value))
    }

    /// What was adopted at the first start and not removed since, by id;
    /// `None` before the first start is done.
    pub fn adopted(&mut self) -> Result<Option<Vec<Adopted>>, StoreError> {
        let Some(()) = self.get(ADOPTED)? else { return Ok(None) };
        let mut adopted = Vec::new();
        for (key, value) in self.0.entries(Key::ADOPTED_PREFIX)? {
            let id = Key::adopted_id(&key).ok_or_else(|| self.0.damaged("a key is too short"))?;
            let what = format::decode_entry(&value).map_err(|why| self.0.damaged(why))?;
            adopted.push(Adopted { id, what });
        }
        Ok(Some(adopted))
    }

    /// Ends the first start: remembers what was adopted, in one go with that fact.
    pub fn finish_first_start(&mut self, adopted: &[Adopted]) -> Result<(), StoreError> {
        self.0.write(|batch| {
            batch.insert(ADOPTED, encode(&()));
            for Adopted { id, what } in adopted {
                batch.insert(Key::adopted(*id), format::encode_entry(what));
            }
        })
    }

    /// Forgets adopted entries. Those that are not there are none to forget.
    pub fn remove_adopted(&mut self, ids: &[u32]) -> Result<(), StoreError> {
        self.0.write(|batch| {
            for id in ids {
                batch.remove(Key::adopted(*id));
            }
        })
    }

    /// When a pause was begun, in seconds since 1970, and how many it lasts.
    pub fn pause(&mut self) -> Result<Option<(u64, u64)>, StoreError> {
        self.get(PAUSE)
    }

    /// Remembers a pause, or that there is none.
    pub fn set_pause(&mut self, pause: Option<(u64, u64)>) -> Result<(), StoreError> {
        self.0.write(|batch| match pause {
            Some(pause) => batch.insert(PAUSE, encode(&pause)),
            None => batch.remove(PAUSE),
        })
    }

    /// What is said for all.
    pub fn settings(&mut self) -> Result<Values, StoreError> {
        let Some(bytes) = self.0.get(SETTINGS)? else { return Ok(Values::new()) };
        format::decode_values(&bytes).map_err(|why| self.0.damaged(why))
    }

    /// A profile.
    pub fn profile(&mut self, id: u32) -> Result<Option<Profile>, StoreError> {
        let value = self.0.get(Key::profile(id))?;
        let profile = value.map(|bytes| read_profile(id, &bytes)).transpose();
        profile.map_err(|why| self.0.damaged(why))
    }

    /// All profiles, by id.
    pub fn profiles(&mut self) -> Result<Vec<Profile>, StoreError> {
        let mut profiles = Vec::new();
        for (key, value) in self.0.entries(Key::PROFILE_PREFIX)? {
            let id = Key::profile_id(&key).ok_or_else(|| self.0.damaged("a key is too short"))?;
            profiles.push(read_profile(id, &value).map_err(|why| self.0.damaged(why))?);
        }
        Ok(profiles)
    }

    /// Networks that have a name, in order.
    pub fn networks(&mut self) -> Result<Vec<KeptNetwork>, StoreError> {
        let Some(bytes) = self.0.get(NETWORKS)? else { return Ok(Vec::new()) };
        read_networks(&bytes).map_err(|why| self.0.damaged(why))
    }

    /// When apps were seen last that have a profile because of it, by its id.
    pub fn seen(&mut self) -> Result<Vec<(u32, u64)>, StoreError> {
        let mut seen = Vec::new();
        for (key, value) in self.0.entries(Key::SEEN_PREFIX)? {
            let id = Key::seen_id(&key).ok_or_else(|| self.0.damaged("a key is too short"))?;
            seen.push((id, decode(&value).map_err(|why| self.0.damaged(why))?));
        }
        Ok(seen)
    }

    /// Changes settings and profiles, all in one go.
    pub fn edit(&mut self, edit: &Edit) -> Result<(), StoreError> {
        let has_networks = edit.networks.is_some() || self.0.get(NETWORKS)?.is_some();
        self.0.write(|batch| {
            batch.set_format(if has_networks { FORMAT_VERSION } else { WITHOUT_NETWORKS });
            if let Some(networks) = &edit.networks {
                batch.insert(NETWORKS, format::encode_networks(networks));
            }
            if let Some(settings) = &edit.settings {
                batch.insert(SETTINGS, format::encode_values(settings));
            }
            for id in &edit.removed {
                batch.remove(Key::profile(*id));
                batch.remove(Key::seen(*id));
            }
            for profile in &edit.profiles {
                let value = profile_bytes(profile);
                batch.insert(Key::profile(profile.id), value);
            }
            for (id, last_seen_s) in &edit.seen {
                match last_seen_s {
                    Some(last_seen_s) => batch.insert(Key::seen(*id), encode(last_seen_s)),
                    None => batch.remove(Key::seen(*id)),
                }
            }
        })
    }

    fn get<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, StoreError> {
        let value = self.0.get(key)?;
        value.map(|bytes| decode(&bytes)).transpose().map_err(|why| self.0.damaged(why))
    }
}

/// The named networks from the bytes that are kept of them.
pub fn read_networks(bytes: &[u8]) -> Result<Vec<KeptNetwork>, postcard::Error> {
    format::decode_networks(bytes)
}

/// The bytes that are kept of them.
pub fn network_bytes(networks: &[KeptNetwork]) -> Vec<u8> {
    format::encode_networks(networks)
}

/// A profile from the bytes that are kept of it.
pub fn read_profile(id: u32, bytes: &[u8]) -> Result<Profile, postcard::Error> {
    format::decode_profile(id, bytes)
}

/// The bytes that are kept of a profile.
pub fn profile_bytes(profile: &Profile) -> Vec<u8> {
    format::encode_profile(profile)
}
