//! How the store's keys and values look on disk.
//!
//! Values are postcard. Fields and variants here are only ever appended; anything
//! else raises [`FORMAT_VERSION`]. The types are the store's own, so that a
//! change to the vocabulary can't silently change the disk.
//!
//! - Format 1: the last good file, adopted entries, a pause.
//! - Format 2: settings and profiles, too. A store is raised to it when the first
//!   of them is written: an earlier Seawall, which would read over them and be
//!   more open than was said, refuses it then; and one that comes back after an
//!   upgrade that failed reads what it wrote.
//! - Format 3: named networks, too; raised likewise when the first of them is written.

use std::net::IpAddr;
use std::str::FromStr;

use seawall_messages::Protocol;
use seawall_messages::flow::Flow;
use seawall_messages::network::NetworkMatch;
use seawall_messages::policy::{AdoptedEntry, Fingerprint, KeptNetwork, Pattern, Profile};
use seawall_messages::setting::{Value, Values};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The newest format that is read.
pub(super) const FORMAT_VERSION: u32 = 3;

/// The one of a store in which no network was ever named.
pub(super) const WITHOUT_NETWORKS: u32 = 2;

/// The one that a new store has.
pub(super) const FIRST_FORMAT: u32 = 1;

/// Text of the last good policy file.
pub(super) const LAST_GOOD: &str = "last-good";
/// A pause: when it was begun, in seconds since 1970, and how many it lasts.
pub(super) const PAUSE: &str = "pause";
/// What is said for all: pairs of key and value.
pub(super) const SETTINGS: &str = "settings";
/// All named networks.
pub(super) const NETWORKS: &str = "networks";
/// There when the first start is done; the entries have keys of their own.
pub(super) const ADOPTED: &str = "first-start-done";

/// Keys of entries: a prefix, then the id, its first byte first.
pub(super) struct Key;

/// A profile; its id is in the key.
#[derive(Serialize, Deserialize)]
struct StoredProfile {
    name: String,
    created_s: u64,
    matches: Vec<StoredMatch>,
    settings: StoredValues,
}

/// The words of a fingerprint in the order of [`Fingerprint`]'s fields.
#[derive(Serialize, Deserialize)]
struct StoredMatch([Option<String>; 6]);

/// A named network; the words of `match` in the order of [`NetworkMatch`]'s fields.
#[derive(Serialize, Deserialize)]
struct StoredNetwork {
    name: String,
    looks: [Option<String>; 5],
    settings: StoredValues,
}

/// Keys and values, ascending.
type StoredValues = Vec<(String, StoredValue)>;

#[derive(Serialize, Deserialize)]
enum StoredValue {
    Switch(bool),
    Number(u64),
    Word(String),
    Rules(Vec<String>),
}

#[derive(Serialize, Deserialize)]
enum StoredEntry {
    Listener { protocol: u8, address: IpAddr, port: u16 },
    Session { flow: Flow },
}

impl Key {
    pub(super) const ADOPTED_PREFIX: &'static str = "adopted/";
    pub(super) const PROFILE_PREFIX: &'static str = "profile/";

    pub(super) const SEEN_PREFIX: &'static str = "seen/";

    pub(super) fn seen(id: u32) -> Vec<u8> {
        [Self::SEEN_PREFIX.as_bytes(), &id.to_be_bytes()].concat()
    }

    pub(super) fn seen_id(key: &[u8]) -> Option<u32> {
        let id = key.strip_prefix(Self::SEEN_PREFIX.as_bytes())?;
        id.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn profile(id: u32) -> Vec<u8> {
        [Self::PROFILE_PREFIX.as_bytes(), &id.to_be_bytes()].concat()
    }

    pub(super) fn profile_id(key: &[u8]) -> Option<u32> {
        let id = key.strip_prefix(Self::PROFILE_PREFIX.as_bytes())?;
        id.try_into().ok().map(u32::from_be_bytes)
    }

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

pub(super) fn encode_profile(profile: &Profile) -> Vec<u8> {
    encode(&StoredProfile {
        name: profile.name.to_string(),
        created_s: profile.created_s,
        matches: profile.matches.iter().map(to_stored).collect(),
        settings: to_stored_values(&profile.settings),
    })
}

pub(super) fn decode_profile(id: u32, bytes: &[u8]) -> Result<Profile, postcard::Error> {
    let StoredProfile { name, created_s, matches, settings } = decode(bytes)?;
    Ok(Profile {
        id,
        name: name.into(),
        matches: matches.into_iter().map(from_stored).collect(),
        settings: from_stored_values(settings),
        problems: Vec::new(),
        created_s,
    })
}

pub(super) fn encode_networks(networks: &[KeptNetwork]) -> Vec<u8> {
    let stored = |KeptNetwork { name, looks, settings }: &KeptNetwork| {
        let NetworkMatch { gateway, gateway_mac, subnet, interface, ssid } = looks;
        let looks = [
            gateway.map(|it| it.to_string()),
            gateway_mac.map(|it| it.to_string()),
            subnet.map(|it| it.to_string()),
            interface.as_ref().map(|it| it.to_string()),
            ssid.as_ref().map(|it| it.to_string()),
        ];
        StoredNetwork { name: name.to_string(), looks, settings: to_stored_values(settings) }
    };
    encode(&networks.iter().map(stored).collect::<Vec<_>>())
}

pub(super) fn decode_networks(bytes: &[u8]) -> Result<Vec<KeptNetwork>, postcard::Error> {
    let stored: Vec<StoredNetwork> = decode(bytes)?;
    stored.into_iter().map(from_stored_network).collect()
}

fn from_stored_network(
    StoredNetwork { name, looks, settings }: StoredNetwork,
) -> Result<KeptNetwork, postcard::Error> {
    fn read<T: FromStr>(text: Option<String>) -> Result<Option<T>, postcard::Error> {
        text.map(|text| text.parse().map_err(|_| postcard::Error::SerdeDeCustom)).transpose()
    }
    let [gateway, gateway_mac, subnet, interface, ssid] = looks;
    let looks = NetworkMatch {
        gateway: read(gateway)?,
        gateway_mac: read(gateway_mac)?,
        subnet: read(subnet)?,
        interface: interface.map(Into::into),
        ssid: read(ssid)?,
    };
    Ok(KeptNetwork { name: name.into(), looks, settings: from_stored_values(settings) })
}

pub(super) fn encode_values(values: &Values) -> Vec<u8> {
    encode(&to_stored_values(values))
}

pub(super) fn decode_values(bytes: &[u8]) -> Result<Values, postcard::Error> {
    decode(bytes).map(from_stored_values)
}

fn to_stored(of: &Fingerprint) -> StoredMatch {
    let text = |pattern: &Option<Pattern>| pattern.as_ref().map(|it| it.as_str().to_owned());
    let Fingerprint { path, command_line, parent, tag, cgroup, sha256 } = of;
    StoredMatch([
        text(path),
        text(command_line),
        text(parent),
        text(tag),
        text(cgroup),
        sha256.as_ref().map(|hash| hash.to_string()),
    ])
}

fn from_stored(
    StoredMatch([path, command_line, parent, tag, cgroup, sha256]): StoredMatch,
) -> Fingerprint {
    let pattern = |text: Option<String>| text.map(|text| Pattern::new(&text));
    Fingerprint {
        path: pattern(path),
        command_line: pattern(command_line),
        parent: pattern(parent),
        tag: pattern(tag),
        cgroup: pattern(cgroup),
        sha256: sha256.map(Into::into),
    }
}

fn to_stored_values(values: &Values) -> StoredValues {
    let stored = |value: &Value| match value {
        Value::Switch(on) => StoredValue::Switch(*on),
        Value::Number(number) => StoredValue::Number(*number),
        Value::Word(word) => StoredValue::Word(word.clone()),
        Value::Rules(rules) => StoredValue::Rules(rules.clone()),
    };
    values.iter().map(|(key, value)| (key.clone(), stored(value))).collect()
}

fn from_stored_values(values: StoredValues) -> Values {
    let value = |stored| match stored {
        StoredValue::Switch(on) => Value::Switch(on),
        StoredValue::Number(number) => Value::Number(number),
        StoredValue::Word(word) => Value::Word(word),
        StoredValue::Rules(rules) => Value::Rules(rules),
    };
    values.into_iter().map(|(key, stored)| (key, value(stored))).collect()
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data in memory always has a postcard form")
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}
