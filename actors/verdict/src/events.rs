//! What `verdict` reports. One counter handle for each action and layer,
//! fetched once: judging must not hash labels.

use metrics::{Counter, counter, describe_counter};
use seawall_messages::{Action, Flow, Judgement, Layer};

use crate::error::Error;

const JUDGEMENTS: &str = "seawall_verdict_judgements_total";

const ACTIONS: [Action; 3] = [Action::Allow, Action::Reject, Action::Drop];

/// The layers that [`crate::decide`] speaks for; others belong to the datapath.
const LAYERS: [Layer; 12] = [
    Layer::AlwaysPasses,
    Layer::AdoptedSession,
    Layer::BlockInbound,
    Layer::BlockInternet,
    Layer::BlockLan,
    Layer::BlockLocal,
    Layer::OutgoingRule,
    Layer::IncomingRule,
    Layer::InvalidAddress,
    Layer::Loopback,
    Layer::AdoptedListener,
    Layer::DefaultAction,
];

const REFUSED: &str = "seawall_verdict_refused_batches_total";

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_counter!(
        JUDGEMENTS,
        "Connections judged, by what became of them and the step that decided"
    );
    describe_counter!(REFUSED, "Batches of connections left unjudged because they were too large");
}

/// A connection was judged.
pub(crate) struct Judged<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) judgement: &'a Judgement,
}

/// The counters of [`Judged`].
pub(crate) struct Judgements(Vec<((Action, Layer), Counter)>);

impl Judgements {
    pub(crate) fn fetch() -> Self {
        let pairs = ACTIONS.into_iter().flat_map(|action| LAYERS.map(|layer| (action, layer)));
        Self(
            pairs
                .map(|(action, layer)| {
                    let labels = [("action", action.as_str()), ("layer", layer.as_str())];
                    ((action, layer), counter!(JUDGEMENTS, &labels))
                })
                .collect(),
        )
    }

    pub(crate) fn emit(&self, event: &Judged<'_>) {
        let Judgement { action, reason, generation, .. } = event.judgement;
        if let Some((_, counter)) = self.0.iter().find(|(key, _)| *key == (*action, reason.layer)) {
            counter.increment(1);
        }
        tracing::debug!(
            flow = %event.flow,
            action = action.as_str(),
            layer = reason.layer.as_str(),
            generation = generation.0,
            "Connection judged"
        );
    }
}

/// A batch was left unanswered: a defect of the asker.
pub(crate) struct BatchRefused {
    pub(crate) error: Error,
}

impl BatchRefused {
    pub(crate) fn emit(&self) {
        counter!(REFUSED).increment(1);
        tracing::error!(error = %self.error, "Batch refused");
    }
}
