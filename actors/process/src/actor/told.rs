//! What the kernel tells of on its own: processes, sockets that close, and ends that get another owner.

use std::time::Instant;

use seawall_messages::process::{Attribution, Question, Traffic};
use seawall_messages::{Flow, Protocol, datapath};
use seawall_platform::linux::ebpf::{self, Event, abi};
use seawall_platform::linux::sockets::Closings;
use seawall_runtime::LeaseError;

use super::Processes;
use crate::error::Error;
use crate::events;
use crate::ledger::Counter;

/// Events taken in one go: the rest at the next message.
const MOST_EVENTS: usize = 8_192;

impl Processes {
    /// Takes what the kernel told of.
    pub(super) fn take_events(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let mut parted = Vec::new();
        self.take_noted(&mut parted, now)?;
        self.take_closed(&mut parted, now)?;
        self.part(parted);
        Ok(())
    }

    /// What its programs told of.
    fn take_noted(&mut self, parted: &mut Vec<Flow>, now: Instant) -> Result<(), LeaseError> {
        let Some(lease) = &self.events else { return Ok(()) };
        let mut taken = Vec::new();
        lease.with(|events| {
            while taken.len() < MOST_EVENTS
                && let Some(event) = events.take()
            {
                taken.push(event);
            }
        })?;
        for event in taken {
            match event {
                Event::Process(record) => self.finder.roster.learn(record, now),
                Event::Closed(closed) => self.closed(&closed, parted, now)?,
                Event::Taken(taken) => self.taken(&taken, parted, now)?,
            }
        }
        Ok(())
    }

    /// What its socket tables told of.
    fn take_closed(&mut self, parted: &mut Vec<Flow>, now: Instant) -> Result<(), LeaseError> {
        let Some(lease) = &self.closed else { return Ok(()) };
        let Closings { mut cookies, missed } = match lease.with(|closed| closed.take())? {
            Ok(closings) => closings,
            Err(error) => {
                events::closings_failed(&error);
                return Ok(());
            }
        };
        if missed {
            let open = self.ledger.with(|ledger| ledger.datagram_sockets())?;
            let gone =
                open.iter().filter(|(cookie, flow)| !self.finder.may_still_have(flow, *cookie));
            cookies.extend(gone.map(|(cookie, _)| *cookie));
        }
        self.ledger.with(|ledger| {
            for cookie in cookies {
                let counter = Counter::Socket(cookie);
                let nothing = Traffic::default();
                parted.extend(ledger.closed(counter, Protocol::UDP, nothing, None, now).flows);
            }
        })
    }

    fn closed(
        &mut self,
        closed: &abi::Closed,
        parted: &mut Vec<Flow>,
        now: Instant,
    ) -> Result<(), LeaseError> {
        let owner = ebpf::owner_of(&closed.owner);
        // The owner of a TCP socket isn't told again: it is known since it connected.
        let process = self.finder.roster.of_known(&owner.process);
        let owner =
            process.map(|process| Attribution { method: owner.method, process: Some(process) });
        let traffic = ebpf::traffic_of(&closed.traffic);
        let counter = Counter::Socket(closed.owner.cookie);
        let protocol = Protocol(closed.tuple.protocol);
        let left = self
            .ledger
            .with(|ledger| ledger.closed(counter, protocol, traffic, owner.as_ref(), now))?;
        if let Some((app, moved)) = left.counted {
            events::moved(&app, moved);
        }
        parted.extend(left.flows);
        Ok(())
    }

    /// Another process sends from ends that were a socket's: the connection is its own from here on.
    fn taken(
        &mut self,
        taken: &abi::Taken,
        parted: &mut Vec<Flow>,
        now: Instant,
    ) -> Result<(), LeaseError> {
        let snapshot = self.policy();
        for flow in self.ledger.with(|ledger| ledger.had(taken.former))? {
            if ebpf::is_of(&taken.tuple, &flow) {
                let owner = Some(ebpf::owner_of(&taken.owner));
                let found = self.finder.find(&Question { flow, owner, uid: None }, &snapshot);
                self.ledger.with(|ledger| ledger.note(flow, &found, now))?;
                parted.push(flow);
            }
        }
        Ok(())
    }

    /// Only where somebody else's connection would get another verdict.
    pub(super) fn part(&self, flows: Vec<Flow>) {
        if !flows.is_empty() && self.arguments.policy.load().asks_for_apps() {
            self.arguments.datapath.offer(datapath::Message::SocketsClosed(flows));
        }
    }
}
