//! Verdicts that packets to come will need: of flows that stay in the queue or
//! were denied, of services that a page calls thirty times, and of wherever the
//! policy makes no difference.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use seawall_messages::process::{Owner, Owners, ProcessKey};
use seawall_messages::{Breadth, Direction, Flow, Judgement, Protocol, Reach, Scope, Transport};
use seawall_platform::linux::queue::Packet;
use seawall_runtime::BoundedTable;

use crate::answer::Decision;
use crate::said_of::SaidOf;
use crate::standing::Standing;

/// Verdicts remembered: denied flows that try again, and flows that never leave the queue.
const MOST_FLOWS: usize = 32_768;
/// Services whose last judgement is remembered.
const MOST_SERVICES: usize = 8_192;
/// Scopes, or ports of one, whose last judgement is remembered.
const MOST_SCOPES: usize = 1_024;
/// How long a judgement speaks for further callers of the same service: a page
/// that opens thirty connections asks once, and nobody notices a restart.
const SERVICE_LIFETIME: Duration = Duration::from_secs(1);

/// Connections to one service: of a process, or of all.
type Callers = (Flow, Option<ProcessKey>);

/// Connections to anywhere as far away, at one port or any: of a process, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Anywhere {
    from: IpAddr,
    protocol: Protocol,
    scope: Scope,
    port: Option<u16>,
    process: Option<ProcessKey>,
}

#[derive(Clone, Debug)]
struct Remembered {
    judgement: Judgement,
    until: Option<Instant>,
}

/// Why a packet's flow has no verdict here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// None is remembered, or none that counts any more.
    New,
    /// What was remembered was said of another program, and is forgotten.
    Anothers,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    flows: BoundedTable<Flow, (Remembered, SaidOf)>,
    services: BoundedTable<Callers, Remembered>,
    scopes: BoundedTable<Anywhere, Remembered>,
}

impl Remembered {
    fn holds(&self, standing: Standing, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
            && Decision::from(&self.judgement).counts_under(standing)
    }
}

impl Memory {
    /// Nothing is remembered.
    pub(crate) fn new() -> Self {
        Self {
            flows: BoundedTable::new(MOST_FLOWS),
            services: BoundedTable::new(MOST_SERVICES),
            scopes: BoundedTable::new(MOST_SCOPES),
        }
    }

    /// The flow's verdict, and of whom it was said, if it counts and was said of whoever sends this packet.
    pub(crate) fn of_flow(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        owners: &dyn Owners,
        standing: Standing,
        now: Instant,
    ) -> Result<(&Judgement, SaidOf), Unknown> {
        let (remembered, said_of) = self.flows.get(flow).ok_or(Unknown::New)?;
        let unknown = if !remembered.holds(standing, now) {
            Some(Unknown::New)
        } else if !said_of.holds_for(packet, flow, remembered.judgement.action, owners) {
            Some(Unknown::Anothers)
        } else {
            None
        };
        if let Some(unknown) = unknown {
            self.flows.remove(flow);
            return Err(unknown);
        }
        let (remembered, said_of) = self.flows.get(flow).ok_or(Unknown::New)?;
        Ok((&remembered.judgement, *said_of))
    }

    /// Remembers a flow's verdict, for good or until then.
    pub(crate) fn learn_flow(
        &mut self,
        flow: Flow,
        judgement: Judgement,
        said_of: SaidOf,
        until: Option<Instant>,
    ) {
        self.flows.insert(flow, (Remembered { judgement, until }, said_of));
    }

    /// Forgets the flow's verdict.
    pub(crate) fn forget_flow(&mut self, flow: &Flow) {
        self.flows.remove(flow);
    }

    /// What `verdict` said a moment ago of another caller of the same service, or
    /// of one of its like: of one of the same process, or where that doesn't matter.
    pub(crate) fn of_service(
        &mut self,
        flow: &Flow,
        process: Option<ProcessKey>,
        standing: Standing,
        now: Instant,
    ) -> Option<Judgement> {
        let holds = |it: &&Remembered| it.holds(standing, now);
        let of_service = self.services.get(&(flow.service()?, process)).filter(holds);
        if let Some(remembered) = of_service {
            return Some(remembered.judgement.clone());
        }
        let at_port = Anywhere::of(flow, process)?;
        let whatever_port = Anywhere { port: None, ..at_port };
        [whatever_port, at_port]
            .iter()
            .find_map(|place| Some(self.scopes.get(place).filter(holds)?.judgement.clone()))
    }

    /// Remembers what was said of a connection for those whom it speaks for.
    pub(crate) fn learn_service(
        &mut self,
        flow: &Flow,
        owner: Option<Owner>,
        judgement: &Judgement,
        now: Instant,
    ) {
        let process = match (judgement.reach, owner) {
            (Reach::Service, _) => None,
            (Reach::Process, Some(owner)) => Some(owner.process),
            (Reach::Process, None) | (Reach::Flow, _) => return,
        };
        if let Some(service) = flow.service() {
            let remembered =
                Remembered { judgement: judgement.clone(), until: Some(now + SERVICE_LIFETIME) };
            let place = Anywhere::of(flow, process);
            match (judgement.breadth, place) {
                (Breadth::Service, _) | (_, None) => {
                    self.services.insert((service, process), remembered);
                }
                (Breadth::Port, Some(place)) => self.scopes.insert(place, remembered),
                (Breadth::Scope, Some(place)) => {
                    self.scopes.insert(Anywhere { port: None, ..place }, remembered);
                }
            }
        }
    }
}

impl Anywhere {
    /// Where the flow leads, and its port. `None`: nobody speaks for it from afar.
    fn of(flow: &Flow, process: Option<ProcessKey>) -> Option<Self> {
        let Transport::Ports { responder: port, .. } = flow.transport else { return None };
        let is_to_another = flow.initiator.to_canonical() != flow.responder.to_canonical();
        let scope = Scope::of(flow.responder);
        let is_wide = flow.direction == Direction::Outbound
            && is_to_another
            && matches!(scope, Scope::SiteLocal | Scope::Global);
        is_wide.then_some(Self {
            from: flow.initiator,
            protocol: flow.protocol,
            scope,
            port: Some(port),
            process,
        })
    }
}
