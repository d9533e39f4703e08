//! What the datapath tells the world: each event is a log line and a counter.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use seawall_messages::verdict::Action;
use seawall_messages::{Flow, Judgement, Layer};
use seawall_platform::linux::queue::Answer;

const ACTIONS: [Action; 3] = [Action::Allow, Action::Reject, Action::Drop];

/// Says what the metrics mean. Once, where the recorder is installed.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("seawall_datapath_packets_total", "Packets answered, by queue and answer");
    describe_counter!(
        "seawall_datapath_verdicts_total",
        "Flows decided, by action and the layer that decided"
    );
    describe_counter!(
        "seawall_datapath_refused_packets_total",
        "Packets dropped without a verdict of their own, by reason"
    );
    describe_counter!(
        "seawall_datapath_rules_suspect_total",
        "Packets that came back although the rules should have let them go on"
    );
    describe_counter!(
        "seawall_datapath_cut_flows_total",
        "Live flows cut because a new policy forbids them"
    );
    describe_histogram!(
        "seawall_datapath_first_packet_seconds",
        Unit::Seconds,
        "Time from the first packet of a flow to its verdict"
    );
    describe_gauge!("seawall_datapath_parked_flows", "Flows that wait for a verdict");
    describe_gauge!("seawall_datapath_parked_packets", "Packets that wait for a verdict");
    describe_gauge!("seawall_datapath_asked_flows", "Flows that wait for the user's answer");
    describe_gauge!("seawall_datapath_asked_packets", "Packets that wait for the user's answer");
    // There from the start: the first one counts, too.
    for layer in [Layer::Quarantine, Layer::Overload, Layer::Poison] {
        counter!("seawall_datapath_refused_packets_total", "reason" => layer.as_str()).absolute(0);
    }
    for action in [Action::Reject, Action::Drop] {
        let layer = Layer::Unanswered.as_str();
        counter!("seawall_datapath_verdicts_total", "action" => action.as_str(), "layer" => layer)
            .absolute(0);
    }
    counter!("seawall_datapath_rules_suspect_total").absolute(0);
}

/// Packet counters of one thread, fetched once.
pub(crate) struct PacketCounters {
    accept: Counter,
    drop: Counter,
    repeat: Counter,
    hand_on: Counter,
}

impl PacketCounters {
    /// For the queue of that name.
    pub(crate) fn new(queue: &'static str) -> Self {
        let of = |answer: &'static str| counter!("seawall_datapath_packets_total", "queue" => queue, "answer" => answer);
        Self {
            accept: of("accept"),
            drop: of("drop"),
            repeat: of("repeat"),
            hand_on: of("hand_on"),
        }
    }

    /// A packet was answered.
    pub(crate) fn answered(&self, answer: Answer) {
        match answer {
            Answer::Accept => self.accept.increment(1),
            Answer::Drop => self.drop.increment(1),
            Answer::Repeat { .. } => self.repeat.increment(1),
            Answer::HandOn { .. } => self.hand_on.increment(1),
        }
    }
}

/// Counters of decided flows, fetched once.
pub(crate) struct FlowCounters {
    verdicts: Vec<(Action, Layer, Counter)>,
    first_packet: Histogram,
    parked_flows: Gauge,
    parked_packets: Gauge,
    asked_flows: Gauge,
    asked_packets: Gauge,
}

impl FlowCounters {
    pub(crate) fn new() -> Self {
        Self {
            verdicts: Vec::new(),
            first_packet: histogram!("seawall_datapath_first_packet_seconds"),
            parked_flows: gauge!("seawall_datapath_parked_flows"),
            parked_packets: gauge!("seawall_datapath_parked_packets"),
            asked_flows: gauge!("seawall_datapath_asked_flows"),
            asked_packets: gauge!("seawall_datapath_asked_packets"),
        }
    }

    /// A flow was decided.
    pub(crate) fn decided(&mut self, flow: &Flow, judgement: &Judgement, waited: Duration) {
        let (action, layer) = (judgement.action, judgement.reason.layer);
        self.first_packet.record(waited.as_secs_f64());
        match self.verdicts.iter().find(|known| (known.0, known.1) == (action, layer)) {
            Some((_, _, known)) => known.increment(1),
            None => {
                debug_assert!(ACTIONS.contains(&action));
                let fresh = counter!(
                    "seawall_datapath_verdicts_total",
                    "action" => action.as_str(),
                    "layer" => layer.as_str()
                );
                fresh.increment(1);
                self.verdicts.push((action, layer, fresh));
            }
        }
        tracing::debug!(%flow, action = action.as_str(), layer = layer.as_str(), "Flow decided");
    }

    /// How much waits.
    pub(crate) fn parked(&self, flows: usize, packets: usize) {
        #[allow(clippy::cast_precision_loss, reason = "both are far below 2^52")]
        {
            self.parked_flows.set(flows as f64);
            self.parked_packets.set(packets as f64);
        }
    }

    /// How much waits for the user.
    pub(crate) fn asked(&self, flows: usize, packets: usize) {
        #[allow(clippy::cast_precision_loss, reason = "both are far below 2^52")]
        {
            self.asked_flows.set(flows as f64);
            self.asked_packets.set(packets as f64);
        }
    }
}

/// A packet was dropped without a verdict of its own.
pub(crate) fn refused(layer: Layer) {
    counter!("seawall_datapath_refused_packets_total", "reason" => layer.as_str()).increment(1);
    tracing::debug!(reason = layer.as_str(), "Packet dropped without a verdict");
}

/// A flow crashed `verdict` twice.
pub(crate) fn quarantined(flow: &Flow) {
    tracing::warn!(%flow, "Its judgement crashed a component twice; its service is denied a while");
}

/// A packet came back with our flag set.
pub(crate) fn rules_suspect() {
    counter!("seawall_datapath_rules_suspect_total").increment(1);
    tracing::warn!("A packet came back that the rules should have let go on; checking the rules");
}

/// Held packets of a predecessor were taken over.
pub(crate) fn took_over(queue: &'static str, held: usize, dropped: bool) {
    if held > 0 && dropped {
        tracing::warn!(queue, held, "Held packets dropped after repeated crashes");
    } else if held > 0 {
        tracing::info!(queue, held, "Held packets taken over");
    }
}

/// A policy is in force, for live flows too.
pub(crate) fn policy_in_force(generation: u64, epoch: u8, live: usize, cut: usize, took: Duration) {
    counter!("seawall_datapath_cut_flows_total").increment(cut as u64);
    tracing::info!(
        generation,
        epoch,
        live,
        cut,
        took_ms = took.as_secs_f64() * 1000.0,
        "Policy in force"
    );
}

/// A policy could not be put in force yet.
pub(crate) fn policy_delayed(problem: &str) {
    tracing::error!(problem, "Policy not in force yet; trying again");
}

/// Forbidden connections whose sockets stay: a kernel without SOCK_DESTROY, say.
pub(crate) fn not_cut(connections: usize, problem: &str) {
    tracing::warn!(
        connections,
        problem,
        "Forbidden connections could not be cut: they end with their next packet"
    );
}
