//! `datapath/rest`: the thread on the queue of later packets.
//!
//! Nothing is held here, so that the kernel can be answered in batches: a
//! packet whose flow is known is answered, any other is handed on to the queue
//! where packets may wait.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use seawall_messages::datapath::{self, RestQueueMessage};
use seawall_messages::keeper::{KeeperFacts, Layout};
use seawall_messages::process::Owners;
use seawall_messages::{Flow, Layer};
use seawall_platform::linux::queue::{Answer, Packet, QueueReader};
use seawall_platform::linux::wake::EventWake;
use seawall_runtime::{
    Address, BoundedTable, Failure, Lease, Lender, Published, StartError, Thread, ThreadContext,
};

use crate::answer::{Decision, answer, came_back, shortened};
use crate::error::Error;
use crate::events::{self, PacketCounters};
use crate::flow_of::{Orientation, flow_of};
use crate::new_queue::failure;
use crate::said_of::SaidOf;
use crate::standing::Standing;
use crate::suspects::Suspects;

/// Flows whose verdict does not leave the queue; a forgotten one costs one question.
const MOST_FLOWS: usize = 65_536;

/// After so many packets in one round there are likely more: look again before
/// sleeping. To be woken costs the sender more than another look costs us.
const MORE_WAITS: usize = 1;

/// What an incarnation is made from.
#[derive(Clone)]
pub struct RestQueueArguments {
    /// Where queues, marks and labels lie.
    pub layout: Layout,
    /// Owns the socket and its journal.
    pub reader: Lender<QueueReader>,
    /// Wakes this thread.
    pub wake: Arc<EventWake>,
    /// Whose a connection is, as the kernel noted it.
    pub owners: Arc<dyn Owners>,
    /// The controller.
    pub controller: Address<datapath::Message>,
    /// Which verdicts stand.
    pub standing: Published<Standing>,
    /// What is known of the keeper.
    pub keeper_facts: Published<KeeperFacts>,
    /// True directions of flows older than connection tracking.
    pub orientation: Arc<Orientation>,
    /// Crashes of late, of this thread and of earlier workers.
    pub suspects: Arc<Mutex<Suspects>>,
}

/// The thread.
pub struct RestQueue {
    context: ThreadContext<RestQueueMessage>,
    arguments: RestQueueArguments,
    lease: Lease<QueueReader>,
    poll_fd: OwnedFd,
    known: BoundedTable<Flow, (Decision, SaidOf)>,
    nothing_behind: bool,
    outgoing: Vec<(Packet, Answer)>,
    packets: PacketCounters,
}

impl Thread for RestQueue {
    type Message = RestQueueMessage;
    type Arguments = RestQueueArguments;

    fn start(
        context: ThreadContext<RestQueueMessage>,
        arguments: RestQueueArguments,
    ) -> Result<Self, StartError> {
        let lease = arguments
            .reader
            .lend(context.generation())
            .map_err(|error| StartError(error.to_string()))?;
        let poll_fd = lease
            .with(|reader| reader.as_fd().try_clone_to_owned())
            .map_err(|error| StartError(error.to_string()))?
            .map_err(|error| StartError(format!("can't copy the queue's descriptor: {error}")))?;
        Ok(Self {
            lease,
            poll_fd,
            known: BoundedTable::new(MOST_FLOWS),
            nothing_behind: false,
            outgoing: Vec::new(),
            packets: PacketCounters::new("rest"),
            context,
            arguments,
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut received = Vec::with_capacity(64);
        self.take_over(&mut received).map_err(failure)?;
        let mut more_waits = false;
        while !self.context.is_stopping() {
            if !more_waits {
                self.wait().map_err(failure)?;
            }
            self.context.busy();
            more_waits = self.round(&mut received).map_err(failure)? >= MORE_WAITS;
        }
        Ok(())
    }
}

impl RestQueue {
    fn take_over(&mut self, held: &mut Vec<Packet>) -> Result<(), Error> {
        let now = Instant::now();
        let distrusted = {
            let mut suspects = self.suspects();
            if self.context.generation().0 > 1 {
                suspects.crashed(now);
            }
            suspects.distrusts_held(now)
        };
        self.lease.with(|reader| reader.held(held))?;
        events::took_over("rest", held.len(), distrusted);
        for packet in held.drain(..) {
            if distrusted || packet.crashes >= 2 {
                self.outgoing.push((packet, Answer::Drop));
                events::refused(Layer::Poison);
            } else {
                self.judge(packet, now)?;
            }
        }
        self.send()
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.arguments.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Result<(), Error> {
        self.context.idle();
        self.arguments
            .wake
            .wait(self.poll_fd.as_fd(), None, || self.context.address().depth() > 0)
            .map(drop)
            .map_err(Error::Wait)
    }

    /// One round: lessons, packets, answers. Returns how many packets there were.
    fn round(&mut self, received: &mut Vec<Packet>) -> Result<usize, Error> {
        while let Some(message) = self.context.try_next() {
            match message {
                RestQueueMessage::Learn { flow, judgement, process } => {
                    let said_of = SaidOf::of(&judgement, process);
                    self.known.insert(flow, (Decision::from(&judgement), said_of));
                }
                RestQueueMessage::Forget(flows) => {
                    for flow in &flows {
                        self.known.remove(flow);
                    }
                }
            }
        }
        let count = self.lease.with(|reader| reader.receive(received))??;
        let now = Instant::now();
        self.nothing_behind = self.arguments.keeper_facts.load().nothing_behind;
        for packet in received.drain(..) {
            self.judge(packet, now)?;
        }
        self.send()?;
        Ok(count)
    }

    fn judge(&mut self, packet: Packet, now: Instant) -> Result<(), Error> {
        self.lease.with(|reader| reader.in_hand(Some(packet.slot)))?;
        let answer = match packet.headers {
            None => Answer::Drop,
            Some(_) if came_back(&packet, &self.arguments.layout) => {
                events::rules_suspect();
                self.arguments.controller.offer(datapath::Message::RulesSuspect);
                Answer::Drop
            }
            Some(headers) => {
                let flow = self.arguments.orientation.orient(flow_of(packet.queue, &headers));
                if self.suspects().take(&flow, now) {
                    self.context.poison(u64::from(flow.destination_port().unwrap_or(0)));
                    self.decide(&packet, &flow)
                } else {
                    events::refused(Layer::Quarantine);
                    Answer::Drop
                }
            }
        };
        self.outgoing.push((packet, answer));
        Ok(())
    }

    fn decide(&mut self, packet: &Packet, flow: &Flow) -> Answer {
        let RestQueueArguments { layout, standing, owners, .. } = &self.arguments;
        let (standing, owners) = (*standing.load(), owners.as_ref());
        match self.known.get(flow).copied() {
            Some((decision, said_of))
                if decision.counts_under(standing)
                    && said_of.holds_for(packet, flow, decision.action, owners) =>
            {
                let answer = answer(packet, decision, standing, layout);
                if self.nothing_behind { shortened(answer, decision, standing) } else { answer }
            }
            _ => Answer::HandOn { queue_number: packet.queue.parked().number(layout) },
        }
    }

    fn send(&mut self) -> Result<(), Error> {
        self.suspects().put_down();
        let outgoing = &self.outgoing;
        self.lease.with(|reader| {
            for (packet, answer) in outgoing {
                reader.answer(packet, *answer);
            }
            reader.in_hand(None);
            reader.flush()
        })??;
        for (_, answer) in self.outgoing.drain(..) {
            self.packets.answered(answer);
        }
        Ok(())
    }
}
