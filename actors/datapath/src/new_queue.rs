//! `datapath/new`: the thread on the queue of first packets.
//!
//! Packets are held in the kernel while their flow has no verdict; what is
//! held lies in the journal, so nothing here has to survive.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::datapath::{self, Connection, NewQueueMessage, RestQueueMessage};
use seawall_messages::keeper::Layout;
use seawall_messages::process::Owners;
use seawall_messages::prompt::Answers;
use seawall_messages::{Layer, verdict};
use seawall_platform::linux::queue::{Answer, Packet, QueueReader};
use seawall_platform::linux::wake::EventWake;
use seawall_runtime::{
    Address, AnswerSink, Failure, Lease, Lender, Published, StartError, Thread, ThreadContext,
};

use crate::error::Error;
use crate::events::{self, FlowCounters, PacketCounters};
use crate::flow_of::{Orientation, flow_of};
use crate::parking::{Effect, ParkedCount, Parking};
use crate::spin::Spin;
use crate::standing::Standing;
use crate::suspects::Suspects;

/// Decided flows that are told to the controller at once.
const REPORT_BATCH: usize = 256;
/// How long a decided flow may wait to be told.
const REPORT_AFTER: Duration = Duration::from_millis(250);
/// After so many packets in one round there are likely more: look again before sleeping.
const MORE_WAITS: usize = 8;

/// What an incarnation is made from.
#[derive(Clone)]
pub struct NewQueueArguments {
    /// Where queues, marks and labels lie.
    pub layout: Layout,
    /// Owns the socket and its journal.
    pub reader: Lender<QueueReader>,
    /// Wakes this thread.
    pub wake: Arc<EventWake>,
    /// Whose a connection is, as the kernel noted it.
    pub owners: Arc<dyn Owners>,
    /// Who decides.
    pub verdict: Address<verdict::Message>,
    /// The thread that meets later packets.
    pub rest: Address<RestQueueMessage>,
    /// The controller.
    pub controller: Address<datapath::Message>,
    /// Which verdicts stand.
    pub standing: Published<Standing>,
    /// True directions of flows older than connection tracking.
    pub orientation: Arc<Orientation>,
    /// Crashes of late, of this thread and of earlier workers.
    pub suspects: Arc<Mutex<Suspects>>,
    /// What the user answered: where it changes, what waits for the user is asked about again.
    pub user_answers: Published<Answers>,
    /// Where to say how much waits.
    pub parked: Arc<ParkedCount>,
}

/// The thread.
pub struct NewQueue {
    context: ThreadContext<NewQueueMessage>,
    arguments: NewQueueArguments,
    lease: Lease<QueueReader>,
    poll_fd: OwnedFd,
    answers: Arc<dyn AnswerSink<verdict::Answer>>,
    parking: Parking,
    spin: Spin,
    effects: Vec<Effect>,
    outgoing: Vec<(Packet, Answer)>,
    reports: Vec<Connection>,
    oldest_report: Option<Instant>,
    packets: PacketCounters,
    flows: FlowCounters,
}

impl Thread for NewQueue {
    type Message = NewQueueMessage;
    type Arguments = NewQueueArguments;

    fn start(
        context: ThreadContext<NewQueueMessage>,
        arguments: NewQueueArguments,
    ) -> Result<Self, StartError> {
        let lease = arguments
            .reader
            .lend(context.generation())
            .map_err(|error| StartError(error.to_string()))?;
        let poll_fd = lease
            .with(|reader| reader.as_fd().try_clone_to_owned())
            .map_err(|error| StartError(error.to_string()))?
            .map_err(|error| StartError(format!("can't copy the queue's descriptor: {error}")))?;
        let answers =
            context.address().answers(|token, answer| NewQueueMessage::Answer { token, answer });
        Ok(Self {
            lease,
            poll_fd,
            answers,
            parking: Parking::new(arguments.layout),
            spin: Spin::default(),
            effects: Vec::new(),
            outgoing: Vec::new(),
            reports: Vec::new(),
            oldest_report: None,
            packets: PacketCounters::new("new"),
            flows: FlowCounters::new(),
            context,
            arguments,
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        self.take_over().map_err(failure)?;
        let mut received = Vec::with_capacity(64);
        let mut more_waits = false;
        while !self.context.is_stopping() {
            let readable = more_waits || self.wait().map_err(failure)?;
            self.context.busy();
            more_waits = self.round(readable, &mut received).map_err(failure)? >= MORE_WAITS;
        }
        Ok(())
    }
}

impl NewQueue {
    /// Judges again what a predecessor held, or drops it where it may be what killed it.
    fn take_over(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let distrusted = {
            let mut suspects = self.suspects();
            if self.context.generation().0 > 1 {
                suspects.crashed(now);
            }
            suspects.distrusts_held(now)
        };
        let mut held = Vec::new();
        self.lease.with(|reader| reader.held(&mut held))?;
        events::took_over("new", held.len(), distrusted);
        for packet in held.drain(..) {
            if distrusted || packet.crashes >= 2 {
                self.outgoing.push((packet, Answer::Drop));
                events::refused(Layer::Poison);
            } else {
                self.judge(packet, now)?;
                self.perform();
            }
        }
        self.put_down()?;
        self.send()
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.arguments.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_down(&mut self) -> Result<(), Error> {
        self.suspects().put_down();
        Ok(self.lease.with(|reader| reader.in_hand(None))?)
    }

    /// Waits for something to do. Whether that is, or may be, in the queue.
    fn wait(&mut self) -> Result<bool, Error> {
        self.context.idle();
        let now = Instant::now();
        let report_due =
            self.oldest_report.map(|since| (since + REPORT_AFTER).saturating_duration_since(now));
        let at_most = match (self.parking.next_tick(now), report_due) {
            (Some(tick), Some(report)) => Some(tick.min(report)),
            (one, other) => one.or(other),
        };
        let spin = if self.parking.flows() > 0 { self.spin.at_most() } else { Duration::ZERO };
        let context = &self.context;
        self.arguments
            .wake
            .wait_spinning(spin, self.poll_fd.as_fd(), at_most, || context.address().depth() > 0)
            .map_err(Error::Wait)
    }

    /// One round: answers, packets, deadlines; then everything that follows
    /// from them. Returns how many packets there were.
    fn round(&mut self, readable: bool, received: &mut Vec<Packet>) -> Result<usize, Error> {
        let now = Instant::now();
        while let Some(message) = self.context.try_next() {
            match message {
                NewQueueMessage::Answer { token, answer } => {
                    let standing = *self.arguments.standing.load();
                    self.parking.answered(token, answer, standing, now, &mut self.effects);
                }
                NewQueueMessage::Forget(flows) => self.parking.forget(&flows),
                // It woke this thread, which looks in each round.
                NewQueueMessage::AnswersChanged => {}
            }
        }
        self.perform();
        let mut count = 0;
        if readable {
            count = self.lease.with(|reader| reader.receive(received))??;
            for packet in received.drain(..) {
                self.judge(packet, now)?;
            }
            self.put_down()?;
        }
        let standing = *self.arguments.standing.load();
        if self.parking.asked().0 > 0 {
            let answers = self.arguments.user_answers.load().version;
            self.parking.look_at_asked(answers, standing, now, &mut self.effects);
        }
        self.parking.tick(standing, now, &mut self.effects);
        self.perform();
        self.send()?;
        self.report(now);
        let (asked_flows, asked_packets) = self.parking.asked();
        self.arguments.parked.set(self.parking.flows(), self.parking.packets(), asked_flows);
        self.flows.parked(self.parking.flows(), self.parking.packets());
        self.flows.asked(asked_flows, asked_packets);
        Ok(count)
    }

    fn judge(&mut self, packet: Packet, now: Instant) -> Result<(), Error> {
        self.lease.with(|reader| reader.in_hand(Some(packet.slot)))?;
        let Some(headers) = packet.headers else {
            self.outgoing.push((packet, Answer::Drop));
            return Ok(());
        };
        let flow = self.arguments.orientation.orient(flow_of(packet.queue, &headers));
        let standing = *self.arguments.standing.load();
        if !self.suspects().take(&flow, now) {
            self.parking.quarantined(packet, flow, standing, &mut self.effects);
            return Ok(());
        }
        self.context.poison(u64::from(flow.destination_port().unwrap_or(0)));
        let owners = self.arguments.owners.as_ref();
        self.parking.packet(packet, flow, owners, standing, now, &mut self.effects);
        Ok(())
    }

    /// Carries out what the flow table wants. Asking may fail at once, which is an effect of its own.
    fn perform(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Answer(packet, answer) => self.outgoing.push((packet, answer)),
                Effect::Ask(token, request) => self.ask(token, request),
                Effect::Learn(flow, judgement, process) => {
                    let lesson = RestQueueMessage::Learn { flow, judgement, process };
                    self.arguments.rest.offer(lesson);
                }
                Effect::Decided { flow, judgement, uid, owner, interface, permanent, waited } => {
                    self.flows.decided(&flow, &judgement, waited);
                    // What is decided at once waits for nobody.
                    if !waited.is_zero() {
                        self.spin.answered(waited);
                    }
                    self.oldest_report.get_or_insert_with(Instant::now);
                    self.reports.push(Connection {
                        live: judgement.action == verdict::Action::Allow,
                        flow,
                        action: judgement.action,
                        reason: judgement.reason,
                        permanent,
                        generation: judgement.generation,
                        decided: SystemTime::now(),
                        uid,
                        owner,
                        interface,
                        used_by: None,
                    });
                }
                Effect::RulesSuspect => {
                    events::rules_suspect();
                    self.arguments.controller.offer(datapath::Message::RulesSuspect);
                }
                Effect::Quarantine(flow) => {
                    events::quarantined(&flow);
                    self.suspects().quarantine(&flow, Instant::now());
                }
                Effect::Refused(layer) => events::refused(layer),
            }
        }
        self.effects = effects;
    }

    fn ask(&mut self, token: u64, request: verdict::Request) {
        let asked = self.arguments.verdict.ask_into(Arc::clone(&self.answers), token, |reply| {
            verdict::Message::Judge { request, reply }
        });
        if asked.is_err() {
            self.parking.not_asked(token, Instant::now());
        }
    }

    fn send(&mut self) -> Result<(), Error> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let outgoing = &self.outgoing;
        self.lease.with(|reader| {
            for (packet, answer) in outgoing {
                reader.answer(packet, *answer);
            }
            reader.flush()
        })??;
        for (_, answer) in self.outgoing.drain(..) {
            self.packets.answered(answer);
        }
        Ok(())
    }

    fn report(&mut self, now: Instant) {
        let due = self.oldest_report.is_some_and(|since| now.duration_since(since) >= REPORT_AFTER);
        if due || self.reports.len() >= REPORT_BATCH {
            self.oldest_report = None;
            let reports = std::mem::take(&mut self.reports);
            self.arguments.controller.offer(datapath::Message::Decided(reports));
        }
    }
}

pub(crate) fn failure(error: Error) -> Failure {
    Failure(error.chain())
}
