//! How the store's keys and values look on disk.
//!
//! Format 1. Values are postcard. Fields and variants here are only ever
//! appended; anything else raises [`FORMAT_VERSION`]. The types are the store's
//! own, so that a change to the vocabulary can't silently change the disk.

use std::net::IpAddr;

use seawall_messages::Protocol;
use seawall_messages::flow::Flow;
use seawall_messages::policy::AdoptedEntry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The format, a `u32`.
pub(super) const FORMAT: &str = "format";
/// Text of the last good policy file.
pub(super) const LAST_GOOD: &str = "last-good";
/// A pause: when it was begun, in seconds since 1970, and how many it lasts.
pub(super) const PAUSE: &str = "pause";
/// There when the first start is done; the entries have keys of their own.
pub(super) const ADOPTED: &str = "first-start-done";

/// Keys of adopted entries: a prefix, then the id, its first byte first.
pub(super) struct Key;

#[derive(Serialize, Deserialize)]
enum StoredEntry {
    Listener { protocol: u8, address: IpAddr, port: u16 },
    Session { flow: Flow },
}

impl Key {
    pub(super) const ADOPTED_PREFIX: &'static str = "adopted/";

    pub(super) fn adopted(id: u32) -> Vec<u8> {
        [Self::ADOPTED_PREFIX.as_bytes(), &id.to_be_bytes()].concat()
    }

    pub(super) fn adopted_id(key: &[u8]) -> Option<u32> {
        let id = key.strip_prefix(Self::ADOPTED_PREFIX.as_bytes())?;
        id.try_into().ok().map(u32::from_be_bytes)
    }
}

pub(super) fn encode_entry(entry: &AdoptedEntry) -> Vec<u8> {
    encode(&match entry {
        AdoptedEntry::Listener { protocol, address, port } => {
            StoredEntry::Listener { protocol: protocol.0, address: *address, port: *port }
        }
        AdoptedEntry::Session { flow } => StoredEntry::Session { flow: *flow },
    })
}

pub(super) fn decode_entry(bytes: &[u8]) -> Result<AdoptedEntry, postcard::Error> {
    Ok(match decode(bytes)? {
        StoredEntry::Listener { protocol, address, port } => {
            AdoptedEntry::Listener { protocol: Protocol(protocol), address, port }
        }
        StoredEntry::Session { flow } => AdoptedEntry::Session { flow },
    })
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data in memory always has a postcard form")
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}
