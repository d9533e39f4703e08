//! What the programs tell of: processes that are new on the network, sockets that closed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::{Map, MapData, RingBuf};
use seawall_ebpf_abi::{Closed, EventHead, Plain, ProcessRecord, Taken, event};

use super::NotesError;
use super::load::describe;
use super::system::failed;

/// The reading end of the ring buffer.
pub struct Events {
    ring: RingBuf<MapData>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process is on the network that was not before.
    Process(Box<ProcessRecord>),
    /// A socket closed.
    Closed(Closed),
    /// Another process uses ends that were a socket's.
    Taken(Taken),
}

impl Events {
    pub(super) fn open(map: &OwnedFd) -> Result<Self, NotesError> {
        let error = |error: &dyn std::error::Error| NotesError::Object(describe(error));
        let copy = map.try_clone().map_err(failed("keep a map"))?;
        let data = MapData::from_fd(copy).map_err(|source| error(&source))?;
        let ring = RingBuf::try_from(Map::RingBuf(data)).map_err(|source| error(&source))?;
        Ok(Self { ring })
    }

    /// The next event that nobody took. What nobody knows the kind of is passed over.
    pub fn take(&mut self) -> Option<Event> {
        while let Some(item) = self.ring.next() {
            if let Some(event) = parse(&item) {
                return Some(event);
            }
        }
        None
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn parse(bytes: &[u8]) -> Option<Event> {
    let head = EventHead::from_bytes(bytes)?;
    let body = bytes.get(size_of::<EventHead>()..)?;
    match head.kind {
        event::PROCESS => {
            ProcessRecord::from_bytes(body).map(|record| Event::Process(Box::new(record)))
        }
        event::CLOSED => Closed::from_bytes(body).map(Event::Closed),
        event::TAKEN => Taken::from_bytes(body).map(Event::Taken),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_and_short_ones_are_none() {
        let head = |kind| EventHead { kind, padding: 0 };
        let closed = Closed { owner: Default::default(), ..Closed::default() };
        let bytes = [head(event::CLOSED).as_bytes(), closed.as_bytes()].concat();
        assert_eq!(parse(&bytes), Some(Event::Closed(closed)));
        assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(parse(&[head(99).as_bytes(), closed.as_bytes()].concat()), None);
        assert_eq!(parse(&[]), None);
    }
}
