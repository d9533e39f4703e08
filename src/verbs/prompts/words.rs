//! Prompts and answers in words. Pure.

use std::time::SystemTime;

use seawall_messages::Direction;
use seawall_messages::prompt::{
    AnswerPrompt, Choice, Covers, Given, Lasting, Prompt, PromptState, Taken, Uses,
};
use seawall_messages::rule::written_name;

use crate::output::{self, Style};

/// How it stands, and for how long.
pub(crate) fn state(prompt: &Prompt, now: SystemTime) -> (Style, String) {
    match prompt.state {
        PromptState::Waits { until } => {
            (Style::Warning, format!("waits, {} left", span_to(until, now)))
        }
        PromptState::Missed { since } => {
            (Style::Faint, format!("missed {} ago", span_to(now, since)))
        }
    }
}

/// Who asks: name, file, process.
pub(crate) fn asker(prompt: &Prompt) -> String {
    let asker = &prompt.asker;
    let path = match asker.path.is_empty() {
        true => String::new(),
        false => format!(" ({})", asker.path),
    };
    let process = asker.process.map(|process| format!(" {}", process.pid)).unwrap_or_default();
    format!("{}{path}{process}", asker.app.name)
}

/// What it is about.
pub(crate) fn what(prompt: &Prompt) -> String {
    let targets: Vec<String> = prompt.targets.iter().map(ToString::to_string).collect();
    let list = targets.join(", ");
    let more = match prompt.more_targets {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let whole = if prompt.whole_app { "the whole app: " } else { "" };
    format!("{whole}{} {list}{more}", preposition(prompt.direction))
}

/// What an answer covers.
pub(crate) fn covered(given: &Given) -> String {
    let what = place(&given.covers, given.direction);
    let uses = match &given.uses {
        Uses::Every => String::new(),
        Uses::These(flows) => format!(", {} connections that waited", flows.len()),
        Uses::Next => ", the next connection".to_owned(),
    };
    format!("{} {what}{uses}", given.choice.as_str())
}

/// Where the connections lead that are covered.
pub(crate) fn place(covers: &Covers, direction: Direction) -> String {
    let what = match covers {
        Covers::App if direction == Direction::Inbound => {
            return "whatever others open towards it".to_owned();
        }
        Covers::App => return "whatever it opens".to_owned(),
        Covers::Address(address) | Covers::AddressPort(address, None) => address.to_string(),
        Covers::Port(port) => format!("port {port}"),
        Covers::AddressPort(address, Some(port)) => {
            std::net::SocketAddr::new(*address, *port).to_string()
        }
        Covers::Domain(name) => written_name(name).to_owned(),
        Covers::Zone(name) => format!("{} and all below it", written_name(name)),
    };
    format!("{} {what}", preposition(direction))
}

/// How long an answer still counts.
pub(crate) fn until(given: &Given, now: SystemTime) -> String {
    match (given.until, given.asker.process) {
        (Some(until), _) => format!("{} left", span_to(until, now)),
        (None, Some(process)) => format!("process {} ends", process.pid),
        (None, None) => String::new(),
    }
}

/// What an answer did.
pub(crate) fn taken(answer: &AnswerPrompt, taken: &Taken) -> String {
    let does = match answer.choice {
        Choice::Allow => "allowed",
        Choice::Block => "blocked",
    };
    let waited = match taken.waited {
        0 => "nothing waits for it now".to_owned(),
        1 => "1 connection waited for it".to_owned(),
        count => format!("{count} connections waited for it"),
    };
    match (&taken.rule, answer.lasting) {
        (Some(rule), _) => format!("{does}: `{}` in {}; {waited}", rule.rule, rule.list),
        (None, Lasting::Once) if taken.waited == 0 => {
            format!("{does} once: the next such connection within a minute")
        }
        (None, _) => format!("{does}; {waited}"),
    }
}

fn preposition(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "from",
        Direction::Outbound | Direction::Forwarded => "to",
    }
}

fn span_to(later: SystemTime, earlier: SystemTime) -> String {
    output::span(later.duration_since(earlier).unwrap_or_default().as_secs())
}

#[cfg(test)]
pub(crate) fn sample() -> Prompt {
    use seawall_messages::Protocol;
    use seawall_messages::process::{App, AppKind, ProcessKey};
    use seawall_messages::prompt::{Asker, PromptId, Target};

    let app = App {
        id: "path:/usr/bin/curl".into(),
        kind: AppKind::Path,
        name: "curl".into(),
        icon: None,
    };
    let process = Some(ProcessKey { pid: 7, started_ticks: 1, exec_id: None });
    let target = Target {
        protocol: Protocol::TCP,
        address: [9, 9, 9, 9].into(),
        port: Some(443),
        name: None,
    };
    Prompt {
        id: PromptId(3),
        asker: Asker { app, path: "/usr/bin/curl".into(), process },
        direction: Direction::Outbound,
        whole_app: false,
        targets: vec![target],
        more_targets: 0,
        state: PromptState::Waits { until: SystemTime::UNIX_EPOCH },
        waiting: 1,
        opened: SystemTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seawall_messages::policy::AddedRule;
    use seawall_messages::prompt::{Extent, PromptId};

    use super::*;

    #[test]
    fn a_prompt_says_who_asks_for_what() {
        let prompt = sample();
        assert_eq!(asker(&prompt), "curl (/usr/bin/curl) 7");
        assert_eq!(what(&prompt), "to 9.9.9.9:443 TCP");
        let whole = Prompt { whole_app: true, more_targets: 5, ..sample() };
        assert_eq!(what(&whole), "the whole app: to 9.9.9.9:443 TCP and 5 more");
        let inbound = Prompt { direction: Direction::Inbound, ..sample() };
        assert_eq!(what(&inbound), "from 9.9.9.9:443 TCP");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(90);
        let missed =
            Prompt { state: PromptState::Missed { since: SystemTime::UNIX_EPOCH }, ..sample() };
        assert_eq!(state(&missed, now).1, format!("missed {} ago", output::span(90)));
    }

    #[test]
    fn an_answer_says_what_it_did() {
        let answer = |choice, lasting| AnswerPrompt {
            id: PromptId(1),
            choice,
            extent: Extent::App,
            lasting,
        };
        let rule = AddedRule {
            rule: "- *".to_owned(),
            list: "app[1].outgoing_rules".to_owned(),
            was_there: false,
            behind: None,
        };
        let cases = [
            (
                answer(Choice::Allow, Lasting::Once),
                0,
                None,
                "allowed once: the next such connection within a minute",
            ),
            (answer(Choice::Block, Lasting::Once), 1, None, "blocked; 1 connection waited for it"),
            (
                answer(Choice::Block, Lasting::Always),
                2,
                Some(rule),
                "blocked: `- *` in app[1].outgoing_rules; 2 connections waited for it",
            ),
        ];
        for (answer, waited, rule, expected) in cases {
            assert_eq!(taken(&answer, &Taken { waited, rule }), expected);
        }
    }

    #[test]
    fn an_answer_that_counts_says_what_it_covers() {
        let given = |covers, uses, until| Given {
            id: PromptId(1),
            choice: Choice::Allow,
            asker: sample().asker,
            direction: Direction::Outbound,
            covers,
            uses,
            given: SystemTime::UNIX_EPOCH,
            until,
        };
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let cases = [
            (
                given(Covers::App, Uses::Every, Some(end)),
                "allow whatever it opens",
                format!("{} left", output::span(60)),
            ),
            (
                given(Covers::Port(53), Uses::Every, None),
                "allow to port 53",
                "process 7 ends".to_owned(),
            ),
            (
                given(Covers::Domain("www.example.com.".into()), Uses::Every, Some(end)),
                "allow to www.example.com",
                format!("{} left", output::span(60)),
            ),
            (
                given(Covers::Zone("example.com.".into()), Uses::Every, Some(end)),
                "allow to example.com and all below it",
                format!("{} left", output::span(60)),
            ),
            (
                given(Covers::AddressPort([9, 9, 9, 9].into(), Some(443)), Uses::Next, Some(end)),
                "allow to 9.9.9.9:443, the next connection",
                format!("{} left", output::span(60)),
            ),
        ];
        for (given, what, ends) in cases {
            assert_eq!(covered(&given), what);
            assert_eq!(until(&given, SystemTime::UNIX_EPOCH), ends);
        }
    }
}
