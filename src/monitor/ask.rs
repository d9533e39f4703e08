//! Asks Seawall in threads of their own, so that keys never wait for an answer: one
//! follows along, the other has rules written.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use seawall_messages::api::{Changes, Components, Status};
use seawall_messages::datapath::Cursor;
use seawall_messages::policy::NewRule;
use seawall_runtime::ComponentState;

use super::model::{Health, Input};
use crate::client::{Client, ClientError};
use crate::verbs::describe;

/// Questions and answers that wait: there is never more than one of each kind.
const ROOM: usize = 4;

/// What is to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// Up to where connections were told; `None` to leave them out.
    pub(super) since: Option<(Cursor, u64)>,
    /// Whether to ask how Seawall stands, too.
    pub(super) health: bool,
}

/// The threads. They end with the program.
pub(super) struct Asker {
    news: SyncSender<News>,
    rules: SyncSender<NewRule>,
    answers: Receiver<Input>,
    /// Whether the last question is under way.
    pub(super) waits: bool,
}

impl Asker {
    /// Starts them.
    pub(super) fn start(run_dir: &Path) -> std::io::Result<Self> {
        let (answered, answers) = sync_channel(ROOM);
        let (news, questions) = sync_channel::<News>(ROOM);
        let (client, to) = (Client::new(run_dir), answered.clone());
        std::thread::Builder::new().name("monitor-news".to_owned()).spawn(move || {
            while let Ok(question) = questions.recv() {
                for input in ask(&client, question) {
                    if to.send(input).is_err() {
                        return;
                    }
                }
            }
        })?;
        let (rules, wanted) = sync_channel::<NewRule>(ROOM);
        let client = Client::new(run_dir);
        std::thread::Builder::new().name("monitor-rules".to_owned()).spawn(move || {
            while let Ok(rule) = wanted.recv() {
                let outcome = client.add_rule(&rule).map(Box::new);
                let outcome = outcome.map_err(|error| describe(&error));
                if answered.send(Input::Rule(outcome)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { news, rules, answers, waits: false })
    }

    /// Asks for what is new, unless that is under way.
    pub(super) fn ask(&mut self, question: News) {
        if !self.waits {
            self.waits = self.news.try_send(question).is_ok();
        }
    }

    /// Has a rule written. Gives what to say where that can't be asked for.
    pub(super) fn add(&self, rule: NewRule) -> Option<Input> {
        let refused = self.rules.try_send(rule).err()?;
        let why = match refused {
            TrySendError::Full(_) => "other rules are still being written",
            TrySendError::Disconnected(_) => "nobody is left who writes rules",
        };
        Some(Input::Rule(Err(why.to_owned())))
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&mut self) -> Option<Input> {
        let input = self.answers.try_recv().ok()?;
        if !matches!(input, Input::Rule(_) | Input::Health(_)) {
            self.waits = false;
        }
        Some(input)
    }
}

/// The answers to a question; the last of them is no [`Input::Health`].
fn ask(client: &Client, question: News) -> Vec<Input> {
    let lost = |error: ClientError| Input::Lost(describe(&error));
    let mut answers = Vec::new();
    if question.health {
        match health(client) {
            Ok(health) => answers.push(Input::Health(health)),
            Err(error) => return vec![lost(error)],
        }
    }
    answers.push(match question.since {
        None => Input::Rest,
        Some((cursor, moves)) => match changes(client, cursor, moves) {
            Ok(changes) => Input::Changes(Box::new(changes)),
            Err(error) => lost(error),
        },
    });
    answers
}

/// What changed since.
pub(super) fn changes(client: &Client, since: Cursor, moves: u64) -> Result<Changes, ClientError> {
    let Cursor { feed, number } = since;
    client.get(&format!("/v1/changes?feed={feed}&number={number}&moves={moves}"))
}

fn health(client: &Client) -> Result<Health, ClientError> {
    let status: Status = client.get("/v1/status")?;
    let components: Components = client.get("/v1/components")?;
    let runs =
        |component: &&seawall_runtime::ComponentStatus| component.state == ComponentState::Running;
    Ok(Health {
        protection: status.protection,
        reasons: status.reasons,
        running: components.components.iter().filter(runs).count(),
        components: components.components.len(),
        asked: status.datapath.asked_flows,
    })
}
