//! The user's answers that count for a time, as `prompt` publishes them: a pure look-up for `verdict`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Asker, Choice, PromptId, Question, Target};
use crate::flow::{Direction, Flow};
use crate::rule::is_in_zone;

/// How far the clock may be set back before an answer counts no more: nobody knows how long it has lasted.
const SLACK: Duration = Duration::from_secs(60);

/// An answer, and what it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The prompt that it was given to.
    pub id: PromptId,
    /// What was chosen.
    pub choice: Choice,
    /// For whom. Other processes of the app are meant, too, but where it lasts as long as one.
    pub asker: Asker,
    /// For connections in that direction.
    pub direction: Direction,
    /// And to where.
    pub covers: Covers,
    /// Which of them.
    pub uses: Uses,
    /// When it was given.
    pub given: SystemTime,
    /// When it ends; `None`: with the process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<SystemTime>,
}

/// Where the connections lead that an answer covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Anywhere.
    App,
    /// To this address.
    Address(IpAddr),
    /// To this port.
    Port(u16),
    /// To this address and port; or without a port, where the protocol has none.
    AddressPort(IpAddr, Option<u16>),
    /// To this name, as [`Target::name`].
    Domain(Arc<str>),
    /// To this name and all below it.
    Zone(Arc<str>),
}

/// Which connections an answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// All that it covers.
    Every,
    /// Those that waited when it was given.
    These(Vec<Flow>),
    /// The next one. `prompt` alone says which that is.
    Next,
}

/// All answers that count for a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Counts publications: what waits is asked about again when it has changed.
    pub version: u64,
    /// Oldest first.
    pub given: Vec<Given>,
}

impl Covers {
    /// Whether a connection to there is covered.
    pub fn covers(&self, target: &Target) -> bool {
        let Target { address, port, name, .. } = target;
        match self {
            Self::App => true,
            Self::Address(own) => own == address,
            Self::Port(own) => *port == Some(*own),
            Self::AddressPort(own, own_port) => own == address && own_port == port,
            Self::Domain(own) => name.as_ref() == Some(own),
            Self::Zone(own) => name.as_ref().is_some_and(|name| is_in_zone(name, own)),
        }
    }
}

impl Given {
    /// Whether it is not over.
    pub fn counts_at(&self, now: SystemTime) -> bool {
        now + SLACK >= self.given && self.until.is_none_or(|until| now < until)
    }

    /// Whether it is about connections of this asker.
    pub fn is_for(&self, asker: &Asker) -> bool {
        self.asker.app.id == asker.app.id
            && (self.until.is_some() || self.asker.process == asker.process)
    }

    /// Whether it speaks for the connection, whichever uses it has.
    pub fn speaks_for(&self, question: &Question, now: SystemTime) -> bool {
        self.direction == question.flow.direction
            && self.is_for(&question.asker)
            && self.counts_at(now)
            && (self.names(&question.flow) || self.covers.covers(&question.target()))
    }

    /// Whether it is for this very connection, by whatever name that is known by now.
    fn names(&self, flow: &Flow) -> bool {
        matches!(&self.uses, Uses::These(flows) if flows.contains(flow))
    }
}

impl Answers {
    /// The latest answer that covers the connection. One for the next connection is left to `prompt`.
    pub fn to(&self, question: &Question, now: SystemTime) -> Option<&Given> {
        self.given.iter().rev().find(|given| {
            let is_meant = match &given.uses {
                Uses::Every => true,
                Uses::These(flows) => flows.contains(&question.flow),
                Uses::Next => false,
            };
            is_meant && given.speaks_for(question, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Protocol, Transport};
    use crate::process::{App, AppKind, ProcessKey};

    fn asker(app: &str, pid: u32) -> Asker {
        let app = App { id: Arc::from(app), kind: AppKind::Path, name: Arc::from(app), icon: None };
        let process = Some(ProcessKey { pid, started_ticks: 1, exec_id: None });
        Asker { app, path: Arc::from("/bin/x"), process }
    }

    fn flow(remote: &str, port: u16) -> Flow {
        Flow {
            direction: Direction::Outbound,
            protocol: Protocol::TCP,
            initiator: "10.0.0.1".parse().expect("an address"),
            responder: remote.parse().expect("an address"),
            transport: Transport::Ports { initiator: 40_000, responder: port },
        }
    }

    fn question(app: &str, pid: u32, flow: &Flow) -> Question {
        Question { asker: asker(app, pid), flow: *flow, name: None }
    }

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn given(covers: Covers, uses: Uses, until: Option<u64>) -> Given {
        Given {
            id: PromptId(1),
            choice: Choice::Allow,
            asker: asker("x", 7),
            direction: Direction::Outbound,
            covers,
            uses,
            given: at(1_000),
            until: until.map(at),
        }
    }

    #[test]
    fn an_answer_covers_what_it_says_and_no_more() {
        use Covers::{Address, AddressPort, App, Port};
        let there = [9, 9, 9, 9].into();
        let (here, other) = (flow("9.9.9.9", 443), flow("9.9.9.9", 80));
        let elsewhere = flow("9.9.9.8", 443);
        let inbound = Flow { direction: Direction::Inbound, ..here };
        let mapped = flow("::ffff:9.9.9.9", 443);
        // Covers: the same place, another port, another address, the other direction.
        let cases = [
            (App, [true, true, true, false]),
            (Address(there), [true, true, false, false]),
            (Port(443), [true, false, true, false]),
            (AddressPort(there, Some(443)), [true, false, false, false]),
            (AddressPort(there, None), [false, false, false, false]),
        ];
        for (covers, expected) in cases {
            let answers =
                Answers { version: 1, given: vec![given(covers, Uses::Every, Some(2_000))] };
            let meant = |question: Question| answers.to(&question, at(1_500)).is_some();
            let found = [here, other, elsewhere, inbound].map(|it| meant(question("x", 7, &it)));
            assert_eq!(found, expected);
            assert_eq!(meant(question("x", 7, &mapped)), expected[0]);
            assert_eq!(meant(question("x", 8, &here)), expected[0], "another process of the app");
            assert!(!meant(question("y", 7, &here)), "another app");
        }
    }

    #[test]
    fn an_answer_about_a_name_covers_connections_of_that_name() {
        let domain = Covers::Domain("www.example.com.".into());
        let zone = Covers::Zone("example.com.".into());
        // The name of a connection; whether the domain and the zone cover it.
        let cases = [
            (Some("www.example.com."), true, true),
            (Some("cdn.example.com."), false, true),
            (Some("a.www.example.com."), false, true),
            (Some("example.com."), false, true),
            (Some("badexample.com."), false, false),
            (Some("example.org."), false, false),
            (Some("com."), false, false),
            (None, false, false),
        ];
        for (name, by_domain, by_zone) in cases {
            let name = name.map(Arc::from);
            let asked = Question { name, ..question("x", 7, &flow("9.9.9.9", 443)) };
            for (covers, expected) in [(&domain, by_domain), (&zone, by_zone)] {
                let given = vec![given(covers.clone(), Uses::Every, Some(2_000))];
                let answers = Answers { version: 1, given };
                assert_eq!(answers.to(&asked, at(1_500)).is_some(), expected, "{asked:?}");
            }
        }
    }

    #[test]
    fn an_answer_counts_for_its_time() {
        let answer = |until| given(Covers::App, Uses::Every, until);
        // When it ends, now, whether it counts.
        let cases = [
            (Some(2_000), 1_000, true),
            (Some(2_000), 1_999, true),
            (Some(2_000), 2_000, false),
            (Some(2_000), 950, true),
            (Some(2_000), 900, false),
            (None, 900_000, true),
        ];
        for (until, now, expected) in cases {
            assert_eq!(answer(until).counts_at(at(now)), expected, "{until:?} {now}");
        }
        let until_it_ends = answer(None);
        let flow = flow("9.9.9.9", 1);
        assert!(until_it_ends.speaks_for(&question("x", 7, &flow), at(1_001)));
        assert!(!until_it_ends.speaks_for(&question("x", 8, &flow), at(1_001)));
    }

    #[test]
    fn what_is_said_once_is_for_what_waited_and_the_latest_answer_counts() {
        let (first, second) = (flow("9.9.9.9", 443), flow("9.9.9.9", 80));
        let these = given(Covers::App, Uses::These(vec![first]), Some(2_000));
        let next = given(Covers::App, Uses::Next, Some(2_000));
        let block =
            Given { choice: Choice::Block, ..given(Covers::Port(443), Uses::Every, Some(2_000)) };
        let said = |given: &[&Given], flow: &Flow| {
            let answers =
                Answers { version: 1, given: given.iter().map(|it| (*it).clone()).collect() };
            answers.to(&question("x", 7, flow), at(1_001)).map(|given| given.choice)
        };
        assert_eq!(said(&[&these], &first), Some(Choice::Allow));
        assert_eq!(said(&[&these], &second), None);
        let domain = Given { covers: Covers::Domain("www.example.com.".into()), ..these.clone() };
        assert_eq!(said(&[&domain], &first), Some(Choice::Allow), "its name was forgotten since");
        assert_eq!(said(&[&next], &first), None, "that is for `prompt` to say");
        assert_eq!(said(&[&these, &block], &first), Some(Choice::Block));
        assert_eq!(said(&[&block, &these], &first), Some(Choice::Allow));
    }
}
