//! What is asked of `verdict`, played by the test, and what comes back.

use seawall_messages::api::ErrorBody;
use seawall_messages::explain::{Explanation, Known, Whom};
use seawall_messages::policy::PolicyGeneration;
use seawall_messages::process::App;
use seawall_messages::verdict::{Action, Judgement, Layer, Lifetime, Message, Reach, Reason};
use seawall_runtime::{Component, Context, Failure, StartError};

use super::World;

/// Plays `verdict`: permits what anybody opens, and knows no process.
pub(super) struct Explainer;

impl Component for Explainer {
    type Message = Message;
    type Arguments = ();

    async fn start(_: Context<Message>, (): ()) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let Message::Explain { flow, whom, reply, .. } = message else {
            panic!("nobody asks that")
        };
        let judgement = Judgement {
            action: Action::Allow,
            lifetime: Lifetime::Flow,
            reason: Reason::plain(Layer::DefaultAction, "it is permitted"),
            generation: PolicyGeneration(1),
            reach: Reach::Flow,
            breadth: seawall_messages::Breadth::Service,
        };
        reply.send(match whom {
            Whom::Pid(pid) => Err(format!("there is no process {pid}")),
            _ => Ok(Explanation {
                asks: false,
                flow,
                app: App::unidentified(),
                process: None,
                known: Known::Nothing,
                section: None,
                profile: None,
                parent_section: None,
                parent_profile: None,
                network: None,
                judgement,
                steps: Vec::new(),
                notes: Vec::new(),
            }),
        });
        Ok(())
    }
}

fn ask(world: &World, body: &str) -> (u16, String) {
    world.send(&format!(
        "POST /v1/explain HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_connection_is_explained_from_this_machines_address() {
    let world = World::start();
    let body =
        r#"{"whom":"nobody","direction":"outbound","protocol":6,"remote":"127.0.0.1","port":80}"#;
    let (status, answer) = ask(&world, body);
    assert_eq!(status, 200, "{answer}");
    let explained: Explanation = serde_json::from_str(&answer).expect("an explanation");
    assert_eq!(explained.flow.to_string(), "outbound TCP 127.0.0.1:0 > 127.0.0.1:80");
    assert_eq!(explained.notes, Vec::<String>::new());
}

#[test]
fn what_can_not_be_explained_is_an_error_with_its_reason() {
    let world = World::start();
    let cases = [
        (
            r#"{"whom":{"pid":7},"direction":"inbound","protocol":6,"remote":"127.0.0.1","port":80}"#,
            409,
            "no process 7",
        ),
        (
            r#"{"whom":"nobody","direction":"inbound","protocol":6,"remote":"127.0.0.1"}"#,
            400,
            "port",
        ),
        (r#"{"whom":"nobody","direction":"inbound","protocol":6,"remote":"name"}"#, 422, "IP"),
        ("{", 400, "JSON"),
    ];
    for (body, expected, words) in cases {
        let (status, answer) = ask(&world, body);
        assert_eq!(status, expected, "{body}: {answer}");
        let error: ErrorBody = serde_json::from_str(&answer).expect("an error");
        assert!(error.error.contains(words), "{body}: {}", error.error);
    }
}
