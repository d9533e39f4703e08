//! How the store's keys and values look on disk.
//!
//! Format 1. Values are postcard. Fields and variants here are only ever
//! appended, fields as a value of their own behind the first, which an earlier
//! Seawall leaves unread; anything else raises [`FORMAT_VERSION`]. The types are the store's
//! own, so that a change to the vocabulary can't silently change the disk.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_messages::flow::{Direction, Flow, Protocol};
use seawall_messages::process::{App, AppKind, ProcessKey};
use seawall_messages::prompt::{Asker, Choice, Covers, Given, PromptId, PromptState, Target, Uses};
use seawall_messages::rule::is_domain_name;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::book::{Kept, MOST_ANSWERS, MOST_PROMPTS, MOST_TARGETS, MOST_WAITING, Record};

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The id of the next prompt, a `u64`.
pub(super) const NEXT_ID: &str = "next-id";

const PROMPT_PREFIX: &[u8] = b"prompt/";
const ANSWER_PREFIX: &[u8] = b"answer/";

/// Keys of prompts and answers: a prefix, then the id, its first byte first.
pub(super) struct Key;

/// Milliseconds since 1970.
type Time = u64;

#[derive(Serialize, Deserialize)]
struct StoredAsker {
    app_id: Arc<str>,
    kind: AppKind,
    name: Arc<str>,
    icon: Option<Arc<str>>,
    path: Arc<str>,
    /// Its id, and when it started.
    process: Option<(u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct StoredPrompt {
    asker: StoredAsker,
    direction: Direction,
    whole_app: bool,
    /// Protocol, address, port.
    targets: Vec<(u8, IpAddr, Option<u16>)>,
    more_targets: u32,
    opened: Time,
    state: StoredState,
}

/// Behind a [`StoredPrompt`], where a target has a name: the names in the order of the targets.
type StoredNames = Vec<Option<Arc<str>>>;

#[derive(Serialize, Deserialize)]
enum StoredState {
    Waits(Time),
    Missed(Time),
}

#[derive(Serialize, Deserialize)]
struct StoredAnswer {
    asker: StoredAsker,
    direction: Direction,
    choice: StoredChoice,
    covers: StoredCovers,
    uses: StoredUses,
    given: Time,
    until: Option<Time>,
}

#[derive(Serialize, Deserialize)]
enum StoredChoice {
    Allow,
    Block,
}

#[derive(Serialize, Deserialize)]
enum StoredCovers {
    App,
    Address(IpAddr),
    Port(u16),
    AddressPort(IpAddr, Option<u16>),
    Domain(Arc<str>),
    Zone(Arc<str>),
}

#[derive(Serialize, Deserialize)]
enum StoredUses {
    Every,
    These(Vec<Flow>),
    Next,
}

impl Key {
    pub(super) fn prompt(id: PromptId) -> Vec<u8> {
        [PROMPT_PREFIX, &id.0.to_be_bytes()].concat()
    }

    pub(super) fn answer(id: PromptId) -> Vec<u8> {
        [ANSWER_PREFIX, &id.0.to_be_bytes()].concat()
    }
}

/// Reads keys and values, whatever they are: as many as fit the bounds.
pub fn decode_all<'a>(
    records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Kept, String> {
    let mut kept = Kept::default();
    for (key, value) in records {
        decode_into(&mut kept, key, value)?;
    }
    Ok(kept)
}

/// Takes up one record. What nobody knows is of no use, and stays.
pub(super) fn decode_into(kept: &mut Kept, key: &[u8], value: &[u8]) -> Result<(), String> {
    let id = |key: &[u8]| {
        let bytes: [u8; 8] = key.try_into().map_err(|_| "a key has a wrong length".to_owned())?;
        Ok::<_, String>(PromptId(u64::from_be_bytes(bytes)))
    };
    if let Some(key) = key.strip_prefix(PROMPT_PREFIX) {
        let (stored, rest) = decode_first(value).map_err(|error| error.to_string())?;
        let names = match rest {
            [] => StoredNames::new(),
            rest => decode(rest).map_err(|error| error.to_string())?,
        };
        let record = record(stored, names)?;
        if kept.prompts.len() < MOST_PROMPTS {
            kept.prompts.push((id(key)?, record));
        }
    } else if let Some(key) = key.strip_prefix(ANSWER_PREFIX) {
        let given = given(id(key)?, decode(value).map_err(|error| error.to_string())?)?;
        if kept.answers.len() < MOST_ANSWERS {
            kept.answers.push(given);
        }
    } else if key == NEXT_ID.as_bytes() {
        kept.next_id = decode(value).map_err(|error| error.to_string())?;
    }
    Ok(())
}

pub(super) fn prompt(record: &Record) -> Vec<u8> {
    let Record { asker, direction, whole_app, targets, more_targets, opened, state } = record;
    let target = |target: &Target| (target.protocol.0, target.address, target.port);
    let mut value = encode(&StoredPrompt {
        asker: stored_asker(asker),
        direction: *direction,
        whole_app: *whole_app,
        targets: targets.iter().map(target).collect(),
        more_targets: *more_targets,
        opened: milliseconds(*opened),
        state: match state {
            PromptState::Waits { until } => StoredState::Waits(milliseconds(*until)),
            PromptState::Missed { since } => StoredState::Missed(milliseconds(*since)),
        },
    });
    let names: StoredNames = targets.iter().map(|target| target.name.clone()).collect();
    if names.iter().any(Option::is_some) {
        value.extend(encode(&names));
    }
    value
}

pub(super) fn answer(given: &Given) -> Vec<u8> {
    encode(&StoredAnswer {
        asker: stored_asker(&given.asker),
        direction: given.direction,
        choice: match given.choice {
            Choice::Allow => StoredChoice::Allow,
            Choice::Block => StoredChoice::Block,
        },
        covers: match given.covers.clone() {
            Covers::App => StoredCovers::App,
            Covers::Address(address) => StoredCovers::Address(address),
            Covers::Port(port) => StoredCovers::Port(port),
            Covers::AddressPort(address, port) => StoredCovers::AddressPort(address, port),
            Covers::Domain(name) => StoredCovers::Domain(name),
            Covers::Zone(name) => StoredCovers::Zone(name),
        },
        uses: match &given.uses {
            Uses::Every => StoredUses::Every,
            Uses::These(flows) => StoredUses::These(flows.clone()),
            Uses::Next => StoredUses::Next,
        },
        given: milliseconds(given.given),
        until: given.until.map(milliseconds),
    })
}

fn record(stored: StoredPrompt, names: StoredNames) -> Result<Record, String> {
    let names = names.into_iter().chain(std::iter::repeat(None));
    let target = |((protocol, address, port), text): (_, Option<Arc<str>>)| {
        let name = text.map(name).transpose()?;
        Ok::<_, String>(Target { protocol: Protocol(protocol), address, port, name })
    };
    let targets = stored.targets.into_iter().take(MOST_TARGETS).zip(names).map(target);
    Ok(Record {
        asker: asker(stored.asker),
        direction: stored.direction,
        whole_app: stored.whole_app,
        targets: targets.collect::<Result<_, _>>()?,
        more_targets: stored.more_targets,
        opened: time(stored.opened)?,
        state: match stored.state {
            StoredState::Waits(until) => PromptState::Waits { until: time(until)? },
            StoredState::Missed(since) => PromptState::Missed { since: time(since)? },
        },
    })
}

fn given(id: PromptId, stored: StoredAnswer) -> Result<Given, String> {
    Ok(Given {
        id,
        choice: match stored.choice {
            StoredChoice::Allow => Choice::Allow,
            StoredChoice::Block => Choice::Block,
        },
        asker: asker(stored.asker),
        direction: stored.direction,
        covers: match stored.covers {
            StoredCovers::App => Covers::App,
            StoredCovers::Address(address) => Covers::Address(address),
            StoredCovers::Port(port) => Covers::Port(port),
            StoredCovers::AddressPort(address, port) => Covers::AddressPort(address, port),
            StoredCovers::Domain(text) => Covers::Domain(name(text)?),
            StoredCovers::Zone(text) => Covers::Zone(name(text)?),
        },
        uses: match stored.uses {
            StoredUses::Every => Uses::Every,
            StoredUses::These(flows) => Uses::These(flows.into_iter().take(MOST_WAITING).collect()),
            StoredUses::Next => Uses::Next,
        },
        given: time(stored.given)?,
        until: stored.until.map(time).transpose()?,
    })
}

fn stored_asker(asker: &Asker) -> StoredAsker {
    let App { id, kind, name, icon } = asker.app.clone();
    let process = asker.process.map(|key| (key.pid, key.started_ticks));
    StoredAsker { app_id: id, kind, name, icon, path: Arc::clone(&asker.path), process }
}

fn asker(stored: StoredAsker) -> Asker {
    let StoredAsker { app_id, kind, name, icon, path, process } = stored;
    let key = |(pid, started_ticks)| ProcessKey { pid, started_ticks, exec_id: None };
    Asker { app: App { id: app_id, kind, name, icon }, path, process: process.map(key) }
}

fn name(stored: Arc<str>) -> Result<Arc<str>, String> {
    let is_name = is_domain_name(&stored);
    is_name.then_some(stored).ok_or_else(|| "a name of a host is none".to_owned())
}

fn milliseconds(time: SystemTime) -> Time {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// A time that can be reckoned with: what is stored may be damaged.
fn time(stored: Time) -> Result<SystemTime, String> {
    const LATEST: Time = 32_503_680_000_000;
    let is_sensible = stored < LATEST;
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(stored)).filter(|_| is_sensible);
    time.ok_or_else(|| "a time is beyond the year 3000".to_owned())
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data in memory always has a postcard form")
}

/// A value, and what is behind it.
fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), postcard::Error> {
    postcard::take_from_bytes(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}
