//! Asks Seawall in threads of their own, so that keys never wait for an answer: one
//! follows along, the other has rules written and prompts answered.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use seawall_messages::api::{Changes, Components, Status};
use seawall_messages::datapath::Cursor;
use seawall_messages::prompt::Prompts;
use seawall_runtime::ComponentState;

use super::input::{Change, Health, Input};
use crate::client::{Client, ClientError};
use crate::verbs::{describe, prompts};

/// Questions and answers that wait: there is never more than one of each kind.
const ROOM: usize = 4;

/// What is to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// Up to where connections were told; `None` to leave them out.
    pub(super) since: Option<(Cursor, u64)>,
    /// Whether to ask how Seawall stands, too.
    pub(super) health: bool,
    /// Whether to ask what waits for the user, too.
    pub(super) prompts: bool,
}

/// The threads. They end with the program.
pub(super) struct Asker {
    news: SyncSender<News>,
    changes: SyncSender<Change>,
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
        let (changes, wanted) = sync_channel::<Change>(ROOM);
        let client = Client::new(run_dir);
        std::thread::Builder::new().name("monitor-changes".to_owned()).spawn(move || {
            while let Ok(wanted) = wanted.recv() {
                if answered.send(change(&client, &wanted)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { news, changes, answers, waits: false })
    }

    /// Asks for what is new, unless that is under way.
    pub(super) fn ask(&mut self, question: News) {
        if !self.waits {
            self.waits = self.news.try_send(question).is_ok();
        }
    }

    /// Has something changed. Gives what to say where that can't be asked for.
    pub(super) fn change(&self, change: Change) -> Option<Input> {
        let refused = self.changes.try_send(change).err()?;
        let (change, why) = match refused {
            TrySendError::Full(change) => (change, "other changes are still under way"),
            TrySendError::Disconnected(change) => (change, "nobody is left who changes anything"),
        };
        Some(match change {
            Change::AddRule(_) => Input::Rule(Err(why.to_owned())),
            Change::Answer(_) | Change::Dismiss(_) => Input::Answered(Err(why.to_owned())),
        })
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&mut self) -> Option<Input> {
        let input = self.answers.try_recv().ok()?;
        let more_comes = matches!(
            input,
            Input::Rule(_) | Input::Answered(_) | Input::Health(_) | Input::Prompts(_)
        );
        self.waits &= more_comes;
        Some(input)
    }
}

/// Has something changed, and says what became of it.
fn change(client: &Client, wanted: &Change) -> Input {
    let answered = |outcome: Result<String, ClientError>| {
        Input::Answered(outcome.map_err(|error| describe(&error)))
    };
    match wanted {
        Change::AddRule(rule) => {
            let added = client.add_rule(rule).map(Box::new);
            Input::Rule(added.map_err(|error| describe(&error)))
        }
        Change::Answer(answer) => answered(
            prompts::give(answer, client).map(|taken| prompts::words::taken(answer, &taken)),
        ),
        Change::Dismiss(id) => {
            answered(prompts::dismiss(*id, client).map(|_| "dismissed".to_owned()))
        }
    }
}

/// The answers to a question; the last of them is what changed, [`Input::Rest`] or [`Input::Lost`].
fn ask(client: &Client, question: News) -> Vec<Input> {
    let lost = |error: ClientError| Input::Lost(describe(&error));
    let mut answers = Vec::new();
    if question.health {
        match health(client) {
            Ok(health) => answers.push(Input::Health(health)),
            Err(error) => return vec![lost(error)],
        }
    }
    if question.prompts {
        match client.get::<Prompts>("/v1/prompts") {
            Ok(told) => answers.push(Input::Prompts(Box::new(told))),
            Err(error) => {
                answers.push(lost(error));
                return answers;
            }
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
