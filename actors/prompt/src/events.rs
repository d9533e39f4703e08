//! What `prompt` reports: one type for each event, log line and metric together.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use seawall_messages::prompt::{AnswerPrompt, Outcome, PromptId, Question};

use crate::error::chain;
use crate::store::StoreError;

const WAITING: &str = "seawall_prompt_waiting_prompts";
const MISSED: &str = "seawall_prompt_missed_prompts";
const QUESTIONS: &str = "seawall_prompt_questions_total";
const ANSWERS: &str = "seawall_prompt_answers_total";
const STORE_FAILURES: &str = "seawall_prompt_store_failures_total";

/// Describes the metrics to the recorder; once a process.
pub fn describe_metrics() {
    describe_gauge!(WAITING, "Prompts that connections wait for");
    describe_gauge!(MISSED, "Prompts that nobody answered in time");
    describe_counter!(
        QUESTIONS,
        "Connections that the user should be asked about, by what became of them here"
    );
    describe_counter!(ANSWERS, "Answers of the user, by what was chosen");
    describe_counter!(STORE_FAILURES, "Writes of the state of prompts that failed");
    // There from the start: the first failure counts as one, too.
    counter!(STORE_FAILURES).absolute(0);
}

/// The user should be asked about a connection.
pub(crate) struct Asked<'a> {
    pub(crate) question: &'a Question,
    pub(crate) outcome: Outcome,
}

impl Asked<'_> {
    pub(crate) fn emit(&self) {
        let outcome = match self.outcome {
            Outcome::Waits { .. } => "waits",
            Outcome::Answered(_) => "answered",
            Outcome::Full => "full",
        };
        counter!(QUESTIONS, "outcome" => outcome).increment(1);
        let app = &*self.question.asker.app.id;
        let target = self.question.target();
        tracing::debug!(app, %target, outcome, "The user is to be asked");
    }
}

/// How many prompts there are.
pub(crate) fn counted((waiting, missed): (usize, usize)) {
    gauge!(WAITING).set(waiting as f64);
    gauge!(MISSED).set(missed as f64);
}

/// Nobody answered in time.
pub(crate) struct Missed {
    pub(crate) prompts: usize,
}

impl Missed {
    pub(crate) fn emit(&self) {
        if self.prompts > 0 {
            tracing::info!(prompts = self.prompts, "Prompts missed, what waited was denied");
        }
    }
}

/// The user answered.
pub(crate) struct Answered<'a> {
    pub(crate) answer: &'a AnswerPrompt,
    pub(crate) waited: usize,
}

impl Answered<'_> {
    pub(crate) fn emit(&self) {
        let AnswerPrompt { id, choice, extent, lasting } = self.answer;
        counter!(ANSWERS, "choice" => choice.as_str()).increment(1);
        tracing::info!(
            prompt = id.0,
            choice = choice.as_str(),
            ?extent,
            ?lasting,
            waited = self.waited,
            "Prompt answered"
        );
    }
}

/// A prompt, or an answer, is no more wanted.
pub(crate) struct Dismissed {
    pub(crate) id: PromptId,
}

impl Dismissed {
    pub(crate) fn emit(&self) {
        counter!(ANSWERS, "choice" => "dismiss").increment(1);
        tracing::info!(prompt = self.id.0, "Prompt or answer dismissed");
    }
}

/// Durable state can't be read or written; what waits goes on waiting.
pub(crate) struct StoreFailed<'a> {
    pub(crate) error: &'a StoreError,
}

impl StoreFailed<'_> {
    pub(crate) fn emit(&self) {
        counter!(STORE_FAILURES).increment(1);
        tracing::error!(error = chain(self.error), "State of prompts not stored");
    }
}

/// Live connections don't follow an answer yet.
pub(crate) struct NotRenewed<'a> {
    pub(crate) error: &'a seawall_runtime::AskError,
}

impl NotRenewed<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(error = %self.error, "Live connections don't follow the user's answer yet");
    }
}
