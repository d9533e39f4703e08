//! What the user is asked, with `prompt` played by the test.

use std::time::SystemTime;

use seawall_messages::Direction;
use seawall_messages::policy::AddedRule;
use seawall_messages::process::App;
use seawall_messages::prompt::{
    Asker, Lasting, Message, Prompt, PromptId, PromptState, Prompts, Refusal, Taken,
};
use seawall_runtime::{Component, Context, Failure, StartError};

use super::World;

/// Plays `prompt`: there is a prompt 1.
pub(super) struct Asking;

impl Component for Asking {
    type Message = Message;
    type Arguments = ();

    async fn start(_: Context<Message>, (): ()) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::List { reply } => reply.send(prompts()),
            Message::Answer { answer, reply } => reply.send(match (answer.id.0, answer.lasting) {
                (1, Lasting::Always) => {
                    let (rule, list) = ("+ *".to_owned(), "outgoing_rules".to_owned());
                    Ok(Taken {
                        waited: 1,
                        rule: Some(AddedRule { rule, list, was_there: false, behind: None }),
                    })
                }
                (1, Lasting::UntilAppEnds) => Err(Refusal::Invalid("nobody's".to_owned())),
                (1, Lasting::Seconds(_)) => Err(Refusal::Failed("read-only".to_owned())),
                (1, Lasting::Once) => Ok(Taken { waited: 1, rule: None }),
                _ => Err(Refusal::Unknown(answer.id)),
            }),
            Message::Dismiss { id, reply } => {
                reply.send(if id.0 == 1 { Ok(()) } else { Err(Refusal::Unknown(id)) });
            }
            _ => {}
        }
        Ok(())
    }
}

fn prompts() -> Prompts {
    let asker = Asker { app: App::unidentified(), path: "".into(), process: None };
    let prompt = Prompt {
        id: PromptId(1),
        asker,
        direction: Direction::Outbound,
        whole_app: true,
        targets: Vec::new(),
        more_targets: 3,
        state: PromptState::Missed { since: SystemTime::UNIX_EPOCH },
        waiting: 0,
        opened: SystemTime::UNIX_EPOCH,
    };
    Prompts { prompts: vec![prompt], answers: Vec::new() }
}

#[test]
fn what_waits_is_told_answered_and_dismissed() {
    let world = World::start();
    assert_eq!(world.get::<Prompts>("/v1/prompts"), prompts());
    let answer = |id: u32, lasting: &str| {
        let body = format!(r#"{{"id":{id},"choice":"allow","extent":"app","lasting":{lasting}}}"#);
        world.post("/v1/prompts/answer", &body)
    };
    let cases = [
        (1, r#""once""#, 200),
        (1, r#""always""#, 200),
        (1, r#""until_app_ends""#, 400),
        (1, r#"{"seconds":60}"#, 409),
        (2, r#""once""#, 404),
        (1, r#""sometimes""#, 422),
    ];
    for (id, lasting, expected) in cases {
        let (status, body) = answer(id, lasting);
        assert_eq!(status, expected, "{id} {lasting}: {body}");
    }
    let (_, body) = answer(1, r#""always""#);
    let taken: Taken = serde_json::from_str(&body).expect("an answer");
    assert_eq!(taken.rule.expect("a rule").rule, "+ *");
    for (id, expected) in [(1, 200), (2, 404)] {
        let (status, body) = world.post("/v1/prompts/dismiss", &format!(r#"{{"id":{id}}}"#));
        assert_eq!(status, expected, "{body}");
    }
}
