//! Connections that the user decides.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use seawall_messages::process::Attribution;
use seawall_messages::prompt::{self, Asker, Outcome};
use seawall_messages::verdict::{Answer, Lifetime, Request, Waiting};
use seawall_messages::{Flow, Judgement, Layer, Reason, Snapshot};
use tokio::time::Instant;

use super::{Judge, ONE, ask, may_change_hands};
use crate::asking::{by_answer, open_before};
use crate::error::Error;
use crate::events::Unasked;
use crate::holds::lifetime;

/// A connection that the policy has the user asked about.
pub(super) struct Asked {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) request: Request,
    pub(super) attribution: Attribution,
    /// What holds while nobody answers.
    pub(super) unanswered: Judgement,
}

impl Judge {
    /// What the user said of it, or that the user is asked now.
    pub(super) async fn asked(&self, asked: &Asked, end: Instant) -> Answer {
        let Asked { snapshot, request, attribution, unanswered } = asked;
        let flow = &request.flow;
        if request.is_open {
            return Answer::Judged(self.without_asking(snapshot, request, attribution, unanswered));
        }
        if let Some(judgement) = self.answered(snapshot, request, attribution, unanswered) {
            return Answer::Judged(judgement);
        }
        let question = to_user(flow, attribution);
        let question = |reply| prompt::Message::Ask { question: question.clone(), reply };
        let outcome = ask(&self.prompt, ONE.each, end, &question, Error::NotAsked).await;
        let is_first = !self.is_prompt_silent.swap(outcome.is_err(), Ordering::Relaxed);
        Answer::Judged(match outcome {
            Ok(Outcome::Waits { answers, at_most }) => {
                let generation = snapshot.generation;
                return Answer::Waits(Waiting { generation, answers, at_most });
            }
            Ok(Outcome::Answered(choice)) => {
                by_answer(unanswered, flow, choice, lasts(snapshot, request, attribution))
            }
            Ok(Outcome::Full) => {
                let text = "as many connections of this app wait for the user's answer as may";
                let reason = Reason::plain(Layer::NobodyAnswered, text);
                Judgement { reason, ..unanswered.clone() }
            }
            Err(error) => {
                Unasked { flow, error, is_first }.emit();
                let reason = Reason::plain(Layer::Unanswered, "the user can't be asked just now");
                Judgement { reason, ..unanswered.clone() }
            }
        })
    }

    /// The judgement of a connection that is open: what the user said of it, or else it goes on.
    pub(super) fn without_asking(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        attribution: &Attribution,
        unanswered: &Judgement,
    ) -> Judgement {
        self.answered(snapshot, request, attribution, unanswered).unwrap_or_else(|| {
            open_before(unanswered, &request.flow, lasts(snapshot, request, attribution))
        })
    }

    /// What the user said of it before, if it counts.
    fn answered(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        attribution: &Attribution,
        unanswered: &Judgement,
    ) -> Option<Judgement> {
        let (answers, flow) = (self.answers.load(), &request.flow);
        let given = answers.to(&to_user(flow, attribution), SystemTime::now())?;
        let lasts = lasts(snapshot, request, attribution);
        Some(by_answer(unanswered, flow, given.choice, lasts))
    }

    /// What an answer that counts now means for a connection that would be asked about.
    pub(super) fn note_of_answer(&self, flow: &Flow, attribution: &Attribution) -> Option<String> {
        let answers = self.answers.load();
        let given = answers.to(&to_user(flow, attribution), SystemTime::now())?;
        let (id, choice) = (given.id.0, given.choice.as_str());
        Some(format!("nobody is asked now: the answer to prompt {id} counts, which is {choice}"))
    }
}

/// How long what the user said of a connection lasts.
fn lasts(snapshot: &Snapshot, request: &Request, attribution: &Attribution) -> Lifetime {
    match attribution.process.is_none() && may_change_hands(&request.flow) {
        true => Lifetime::Once,
        false => lifetime(snapshot, &request.flow),
    }
}

/// What the user is asked about a connection. No connection has a name yet.
fn to_user(flow: &Flow, attribution: &Attribution) -> prompt::Question {
    prompt::Question { asker: Asker::of(attribution), flow: *flow, name: None }
}
