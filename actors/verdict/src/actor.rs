//! The shell around [`decide`]: loads the snapshot of the moment, answers, counts.

use seawall_messages::verdict::{MAX_BATCH, Message, Request};
use seawall_messages::{Judgement, Snapshot};
use seawall_runtime::{Component, Context, Failure, Published, StartError};

use crate::decide::decide;
use crate::error::Error;
use crate::events::{BatchRefused, Judged, Judgements};

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// The policy in force.
    pub policy: Published<Snapshot>,
}

/// The component `verdict`.
pub struct Verdict {
    context: Context<Message>,
    policy: Published<Snapshot>,
    judgements: Judgements,
}

impl Component for Verdict {
    type Message = Message;
    type Arguments = Arguments;
    // A new connection waits for it to wake.
    const DRIVES_SOCKETS: bool = false;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        Ok(Self { context, policy: arguments.policy, judgements: Judgements::fetch() })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let snapshot = self.policy.load();
        match message {
            Message::Judge { request, reply } => reply.send(self.judge(&snapshot, &request)),
            Message::JudgeAll { requests, reply } => match self.judge_all(&snapshot, &requests) {
                Ok(judgements) => reply.send(judgements),
                // The asker learns of it by the reply that is dropped.
                Err(error) => BatchRefused { error }.emit(),
            },
        }
        Ok(())
    }
}

impl Verdict {
    /// One snapshot for all: a batch is never half old, half new.
    fn judge_all(
        &self,
        snapshot: &Snapshot,
        requests: &[Request],
    ) -> Result<Vec<Judgement>, Error> {
        if requests.len() > MAX_BATCH {
            return Err(Error::BatchTooLarge { connections: requests.len() });
        }
        Ok(requests.iter().map(|request| self.judge(snapshot, request)).collect())
    }

    fn judge(&self, snapshot: &Snapshot, request: &Request) -> Judgement {
        let flow = &request.flow;
        if let Some(port) = flow.destination_port() {
            self.context.poison(u64::from(port));
        }
        let judgement = decide(snapshot, flow);
        self.judgements.emit(&Judged { flow, judgement: &judgement });
        judgement
    }
}
