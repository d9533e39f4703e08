//! `seawall explain`: what would become of a connection, and why.

mod words;

use std::sync::Arc;

use hyper::Method;
use seawall_messages::explain::{Explain, Explanation, Known, StepOutcome, StepTaken};
use seawall_messages::{Action, Direction, Flow, Transport};

pub(crate) use self::words::{Target, port, protocol, target, whom};
use super::Outcome;
use crate::cli::ExplainArguments;
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Cell, Style, Table};

pub(super) fn perform(arguments: ExplainArguments) -> Result<Outcome, ClientError> {
    let ExplainArguments { whom, target, protocol, inbound, common } = arguments;
    let port = match port(protocol, target.port) {
        Ok(port) => port,
        Err(problem) => {
            output::complaint(problem);
            return Ok(Outcome::Misused);
        }
    };
    let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
    let request = Explain { whom, direction, protocol, remote: target.address, port };
    let client = Client::new(&common.run_dir);
    let mut answer: Explanation =
        client.send(Method::POST, "/v1/explain", Some(&request), SLOW, Repeat::Safe)?;
    if target.port.is_none() && port.is_some() {
        let assumed = format!("no port was named: {} is taken", words::USUAL_PORT);
        answer.notes.push(assumed);
    }
    if common.json {
        output::json(&answer);
    } else {
        print(&answer);
    }
    Ok(Outcome::Done)
}

fn print(answer: &Explanation) {
    let (style, word) = match answer.asks {
        true => (Style::Warning, "ASKED: it waits for your answer"),
        false => word(answer.judgement.action),
    };
    let reason = format!(": {}", answer.judgement.reason.text);
    output::styled_line(&[(style, word), (Style::Plain, &reason)]);
    for (what, text) in facts(answer) {
        output::line(format_args!("  {what:10} {}", output::one_line(&text)));
    }
    output::line("");
    table(&answer.steps).print();
    for note in &answer.notes {
        output::line(format_args!("note: {}", output::one_line(note)));
    }
}

fn word(action: Action) -> (Style, &'static str) {
    match action {
        Action::Allow => (Style::Good, "PERMITTED"),
        Action::Reject => (Style::Bad, "DENIED, and answered with an error"),
        Action::Drop => (Style::Bad, "DENIED, in silence"),
    }
}

fn facts(answer: &Explanation) -> Vec<(&'static str, String)> {
    let mut facts = vec![("connection", connection(&answer.flow))];
    facts.push(("app", format!("{} ({})", answer.app.name, answer.app.id)));
    if let Some(process) = &answer.process {
        let running = match answer.known {
            Known::Process if process.key.pid > 0 => format!(", process {}", process.key.pid),
            _ => String::new(),
        };
        let path = if process.path.is_empty() { "not known" } else { &process.path };
        facts.push(("path", format!("{path}{running}")));
    }
    facts.push(("settings", settings(answer)));
    facts.push(("policy", format!("generation {}", answer.judgement.generation.0)));
    facts
}

/// Whose settings hold, the nearest first.
fn settings(answer: &Explanation) -> String {
    let named = |what: &str, name: &Option<Arc<str>>| {
        name.as_ref().map(|name| format!("{what} \"{name}\""))
    };
    let layers = [
        named("[[app]]", &answer.section),
        named("the profile", &answer.profile),
        named("of what started it [[app]]", &answer.parent_section),
        named("of what started it the profile", &answer.parent_profile),
        named("[[network]]", &answer.network),
    ];
    let layers: Vec<_> = layers.into_iter().flatten().collect();
    match layers.as_slice() {
        [] => "[filter]".to_owned(),
        [one] => format!("{one}, and [filter] where that says nothing"),
        several => format!("{}, and [filter] where they say nothing", several.join(", ")),
    }
}

/// Without the caller's port, which stands for any.
fn connection(flow: &Flow) -> String {
    let Flow { direction, protocol, initiator, responder, transport } = flow;
    let called = match transport {
        Transport::Ports { responder: port, .. } => {
            std::net::SocketAddr::new(*responder, *port).to_string()
        }
        Transport::Icmp { .. } => format!("{responder} (echo)"),
        Transport::Portless | Transport::Truncated => responder.to_string(),
    };
    format!("{} {protocol}, {initiator} > {called}", direction.as_str())
}

fn table(steps: &[StepTaken]) -> Table<3> {
    let mut table = Table::new(["STEP", "OUTCOME", "WHAT IT SAW"]).flowing();
    for step in steps {
        let style = match step.outcome {
            StepOutcome::Permits => Style::Good,
            StepOutcome::Denies => Style::Bad,
            StepOutcome::Asks => Style::Warning,
            StepOutcome::Passes => Style::Plain,
            StepOutcome::NotReached => Style::Faint,
        };
        table.row([
            Cell::from(step.step.title()),
            Cell::styled(style, step.outcome.as_str()),
            Cell::from(&step.saw),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use seawall_messages::Protocol;

    use super::*;

    #[test]
    fn a_connection_is_said_without_the_port_that_stands_for_any() {
        let flow = |transport| Flow {
            direction: Direction::Outbound,
            protocol: Protocol::TCP,
            initiator: "fd00::1".parse().expect("an address"),
            responder: "fd00::2".parse().expect("an address"),
            transport,
        };
        let cases = [
            (Transport::Ports { initiator: 0, responder: 7 }, "fd00::1 > [fd00::2]:7"),
            (Transport::Icmp { kind: 8, code: 0, identifier: 0 }, "fd00::1 > fd00::2 (echo)"),
            (Transport::Portless, "fd00::1 > fd00::2"),
        ];
        for (transport, expected) in cases {
            assert_eq!(connection(&flow(transport)), format!("outbound TCP, {expected}"));
        }
    }
}
