//! What `verdict` reports. One counter handle for each action and layer,
//! fetched once: judging must not hash labels.

use metrics::{Counter, counter, describe_counter};
use seawall_messages::{Action, Flow, Judgement, Layer};

use crate::error::{Error, chain};

const JUDGEMENTS: &str = "seawall_verdict_judgements_total";

const ACTIONS: [Action; 3] = [Action::Allow, Action::Reject, Action::Drop];

/// The layers that judgements here speak for; others belong to the datapath.
const LAYERS: [Layer; 18] = [
    Layer::AlwaysPasses,
    Layer::AdoptedSession,
    Layer::Paused,
    Layer::BlockInbound,
    Layer::BlockInternet,
    Layer::BlockLan,
    Layer::BlockLocal,
    Layer::OutgoingRule,
    Layer::IncomingRule,
    Layer::InvalidAddress,
    Layer::Loopback,
    Layer::AdoptedListener,
    Layer::BuiltIn,
    Layer::DefaultAction,
    Layer::Answered,
    Layer::NobodyAnswered,
    Layer::OpenBefore,
    Layer::Unanswered,
];

const IDENTIFIED: &str = "seawall_verdict_identified_total";
const UNASKED: &str = "seawall_verdict_unasked_total";
const REFUSED: &str = "seawall_verdict_refused_batches_total";
const TOO_MANY: &str = "seawall_verdict_refused_questions_total";

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_counter!(
        JUDGEMENTS,
        "Connections judged, by what became of them and the step that decided"
    );
    describe_counter!(
        IDENTIFIED,
        "Connections whose owner mattered, by where it was learnt: remembered, asked for, or not at all"
    );
    describe_counter!(
        UNASKED,
        "Connections denied because the user should be asked and `prompt` gave no answer"
    );
    describe_counter!(
        REFUSED,
        "Batches of connections left unjudged because they were too large or too many"
    );
    describe_counter!(
        TOO_MANY,
        "Connections left unjudged because too many waited for their owners to be known"
    );
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
        Self(pairs.map(|(action, layer)| ((action, layer), counter_of(action, layer))).collect())
    }

    pub(crate) fn emit(&self, event: &Judged<'_>) {
        let Judgement { action, reason, generation, .. } = event.judgement;
        match self.0.iter().find(|(key, _)| *key == (*action, reason.layer)) {
            Some((_, counter)) => counter.increment(1),
            // Never left out, whatever the list above says.
            None => counter_of(*action, reason.layer).increment(1),
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

fn counter_of(action: Action, layer: Layer) -> Counter {
    counter!(JUDGEMENTS, &[("action", action.as_str()), ("layer", layer.as_str())])
}

/// Where an owner was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From an earlier answer.
    Cache,
    /// From `process`, now.
    Asked,
    /// Nowhere: `process` didn't answer.
    Failed,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Asked => "asked",
            Self::Failed => "failed",
        }
    }
}

/// The owners of so many connections were looked for.
pub(crate) struct Identified {
    pub(crate) from: Source,
    pub(crate) connections: usize,
}

/// The counters of [`Identified`].
pub(crate) struct Identifications {
    cache: Counter,
    asked: Counter,
    failed: Counter,
}

impl Identifications {
    pub(crate) fn fetch() -> Self {
        let fetch = |from: Source| counter!(IDENTIFIED, "from" => from.as_str());
        Self {
            cache: fetch(Source::Cache),
            asked: fetch(Source::Asked),
            failed: fetch(Source::Failed),
        }
    }

    pub(crate) fn emit(&self, event: &Identified) {
        let counter = match event.from {
            Source::Cache => &self.cache,
            Source::Asked => &self.asked,
            Source::Failed => &self.failed,
        };
        counter.increment(event.connections as u64);
    }
}

/// `process` gave no answer: what depends on whose a connection is can't pass.
pub(crate) struct Unidentified {
    pub(crate) connections: usize,
    pub(crate) error: Error,
    /// Whether the last answer before was one: a silence is told once.
    pub(crate) is_first: bool,
}

impl Unidentified {
    pub(crate) fn emit(&self) {
        let Self { connections, error, is_first } = self;
        let error = chain(error);
        match is_first {
            true => {
                tracing::warn!(connections, error, "Owners not known, nothing of theirs passes")
            }
            false => tracing::debug!(connections, error, "Owners still not known"),
        }
    }
}

/// `prompt` gave no answer: the user can't be asked, and the connection is denied.
pub(crate) struct Unasked<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) error: Error,
    /// Whether `prompt` answered before: a silence is told once.
    pub(crate) is_first: bool,
}

impl Unasked<'_> {
    pub(crate) fn emit(&self) {
        counter!(UNASKED).increment(1);
        let Self { flow, error, is_first } = self;
        let error = chain(error);
        match is_first {
            true => tracing::warn!(%flow, error, "The user can't be asked, it is denied"),
            false => tracing::debug!(%flow, error, "The user still can't be asked"),
        }
    }
}

/// A question was left unanswered, because too many wait for owners.
pub(crate) struct QuestionRefused {
    pub(crate) error: Error,
}

impl QuestionRefused {
    pub(crate) fn emit(&self) {
        counter!(TOO_MANY).increment(1);
        tracing::debug!(error = %self.error, "Question refused");
    }
}

/// A batch was left unanswered: a defect of the asker, or it asks too often.
pub(crate) struct BatchRefused {
    pub(crate) error: Error,
}

impl BatchRefused {
    pub(crate) fn emit(&self) {
        counter!(REFUSED).increment(1);
        tracing::error!(error = %self.error, "Batch refused");
    }
}
