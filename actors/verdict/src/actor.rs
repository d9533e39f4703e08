//! The shell around [`Judge`]: answers at once where it can, and in a task where
//! `process` has to be asked, so that no question waits for another's answer.

use std::sync::Arc;

use seawall_messages::explain::{Explanation, Whom};
use seawall_messages::process;
use seawall_messages::prompt::{self, Answers};
use seawall_messages::verdict::{Answer, MAX_BATCH, Message, Request};
use seawall_messages::{Flow, Judgement, Snapshot};
use seawall_runtime::{Address, Component, Context, Failure, Published, Reply, StartError};
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::events::{BatchRefused, QuestionRefused};
use crate::judge::{Judge, MAX_BATCHES, MAX_EXPLANATIONS, MAX_QUESTIONS};

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// The policy in force.
    pub policy: Published<Snapshot>,
    /// Says whose a connection is. Only asked where the policy has apps.
    pub process: Address<process::Message>,
    /// Has the user asked.
    pub prompt: Address<prompt::Message>,
    /// What the user answered.
    pub answers: Published<Answers>,
}

/// The component `verdict`.
pub struct Verdict {
    context: Context<Message>,
    judge: Arc<Judge>,
    questions: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    explanations: Arc<Semaphore>,
}

impl Component for Verdict {
    type Message = Message;
    type Arguments = Arguments;
    // A new connection waits for it to wake.
    const DRIVES_SOCKETS: bool = false;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        Ok(Self {
            context,
            judge: Arc::new(Judge::new(arguments)),
            questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
            batches: Arc::new(Semaphore::new(MAX_BATCHES)),
            explanations: Arc::new(Semaphore::new(MAX_EXPLANATIONS)),
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Judge { request, reply } => self.judge(request, reply),
            Message::JudgeAll { requests, reply } => self.judge_all(requests, reply),
            Message::Explain { flow, whom, interface, reply } => {
                self.explain(flow, whom, interface, reply);
            }
        }
        Ok(())
    }
}

impl Verdict {
    fn judge(&self, request: Request, reply: Reply<Answer>) {
        self.check_poison(&request.flow);
        if let Some(judgement) = self.judge.at_once(&request) {
            return reply.send(Answer::Judged(judgement));
        }
        let Ok(permit) = self.questions.clone().try_acquire_owned() else {
            // The asker learns of it by the reply that is dropped.
            return QuestionRefused { error: Error::TooManyQuestions }.emit();
        };
        let judge = self.judge.clone();
        tokio::spawn(async move {
            reply.send(judge.once_known(request).await);
            drop(permit);
        });
    }

    /// Where a batch isn't answered, the asker learns of it by the reply that is dropped.
    fn judge_all(&self, requests: Vec<Request>, reply: Reply<Vec<Judgement>>) {
        if requests.len() > MAX_BATCH {
            let error = Error::BatchTooLarge { connections: requests.len() };
            return BatchRefused { error }.emit();
        }
        for request in &requests {
            self.check_poison(&request.flow);
        }
        if let Some(judgements) = self.judge.all_at_once(&requests) {
            return reply.send(judgements);
        }
        let Ok(permit) = self.batches.clone().try_acquire_owned() else {
            return BatchRefused { error: Error::TooManyBatches }.emit();
        };
        let judge = self.judge.clone();
        tokio::spawn(async move {
            if let Ok(judgements) = judge.all_once_known(&requests).await {
                reply.send(judgements);
            }
            drop(permit);
        });
    }

    /// Aside, with a bound of its own: no connection waits for it.
    fn explain(
        &self,
        flow: Flow,
        whom: Whom,
        interface: Option<u32>,
        reply: Reply<Result<Explanation, String>>,
    ) {
        let Ok(permit) = self.explanations.clone().try_acquire_owned() else {
            return reply.send(Err(Error::TooManyExplanations.to_string()));
        };
        let judge = self.judge.clone();
        tokio::spawn(async move {
            reply.send(judge.explained(&flow, &whom, interface).await);
            drop(permit);
        });
    }

    /// In the component's own hands: a poisoned question crashes it, not a task.
    fn check_poison(&self, flow: &Flow) {
        if let Some(port) = flow.destination_port() {
            self.context.poison(u64::from(port));
        }
    }
}
