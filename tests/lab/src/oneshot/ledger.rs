//! What Seawall said of short-lived programs' connections, against who they were.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use seawall_messages::datapath::Connection;
use seawall_messages::flow::{Direction, Protocol};
use seawall_messages::process::Method;
use serde::Serialize;

use super::Shot;
use crate::seawall::{attribution, initiator_port, process};

/// Wrong and missing answers told of in full.
const TOLD: usize = 20;

type Tuple = (Protocol, SocketAddr, u16);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    method: Method,
    path: Option<String>,
}

/// Collects what `connections` lists over time: it forgets, and short-lived programs are many.
#[derive(Debug, Default)]
pub struct Ledger {
    said: HashMap<Tuple, Vec<Said>>,
}

/// How the answers fare.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judged {
    /// Programs asked for.
    pub programs: usize,
    /// Whose connection was called another program's at any time.
    pub wrong: usize,
    /// Whose connection was listed, and always as nobody's.
    pub unknown: usize,
    /// Whose connection was never listed.
    pub unlisted: usize,
    /// Whose connection was called theirs, and nobody else's.
    pub right: usize,
    /// How the right ones were found.
    pub methods: BTreeMap<&'static str, usize>,
    /// Some of those that weren't right, in full.
    pub examples: Vec<String>,
}

impl Judged {
    /// Both added up.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.programs += other.programs;
        self.wrong += other.wrong;
        self.unknown += other.unknown;
        self.unlisted += other.unlisted;
        self.right += other.right;
        for (method, count) in other.methods {
            *self.methods.entry(method).or_default() += count;
        }
        self.examples.extend(other.examples);
        self.examples.truncate(TOLD);
        self
    }
}

impl Ledger {
    /// Takes in a list.
    pub fn note(&mut self, connections: &[Connection]) {
        for connection in connections {
            let flow = &connection.flow;
            let (Some(from_port), Some(port)) = (initiator_port(flow), flow.destination_port())
            else {
                continue;
            };
            let Some(attribution) = attribution(connection) else { continue };
            if flow.direction == Direction::Inbound {
                continue;
            }
            let tuple = (flow.protocol, SocketAddr::new(flow.responder, port), from_port);
            let path = process(connection).map(|process| process.path.to_string());
            let said = Said { method: attribution.method, path };
            let known = self.said.entry(tuple).or_default();
            if !known.contains(&said) {
                known.push(said);
            }
        }
    }

    /// Programs whose connection was not listed yet.
    pub fn unlisted(&self, shots: &[Shot]) -> usize {
        shots.iter().filter(|shot| self.of(shot).is_none()).count()
    }

    /// Programs whose connection was not listed with an owner yet.
    pub fn unowned(&self, shots: &[Shot]) -> usize {
        let owned = |said: &Vec<Said>| said.iter().any(|said| said.path.is_some());
        shots.iter().filter(|shot| !self.of(shot).is_some_and(owned)).count()
    }

    /// Compares. A connection counts as wrong if anybody else was ever named.
    pub fn judge(&self, shots: &[Shot]) -> Judged {
        let mut judged = Judged { programs: shots.len(), ..Judged::default() };
        for shot in shots {
            let said = self.of(shot).map(Vec::as_slice).unwrap_or_default();
            let is_right = |path: &str| std::path::Path::new(path) == shot.executable.as_path();
            let mut named =
                said.iter().filter_map(|said| Some((said.method, said.path.as_deref()?)));
            let named_wrong = named.clone().any(|(_, path)| !is_right(path));
            if said.is_empty() {
                judged.unlisted += 1;
            } else if named_wrong {
                judged.wrong += 1;
            } else if let Some((method, _)) = named.next() {
                judged.right += 1;
                *judged.methods.entry(method.as_str()).or_default() += 1;
                continue;
            } else {
                judged.unknown += 1;
            }
            // What is wrong is told first.
            let at = if named_wrong { 0 } else { judged.examples.len() };
            judged.examples.insert(at, format!("{shot:?} was said to be {said:?}"));
            judged.examples.truncate(TOLD);
        }
        judged
    }

    fn of(&self, shot: &Shot) -> Option<&Vec<Said>> {
        self.said.get(&(shot.deed.protocol(), shot.to, shot.from_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oneshot::{Deed, Way};

    fn shot(from_port: u16) -> Shot {
        Shot {
            deed: Deed::SendTo,
            way: Way::Exec,
            from_port,
            to: ([10, 0, 0, 1], 7001).into(),
            executable: "app-01".into(),
            outcome: "ok".to_owned(),
        }
    }

    #[test]
    fn right_wrong_unknown_and_unlisted_are_told_apart() {
        let said = |method, path: Option<&str>| Said { method, path: path.map(str::to_owned) };
        let cases = [
            (vec![said(Method::Send, Some("app-01"))], (1, 0, 0, 0)),
            (
                vec![said(Method::Unidentified, None), said(Method::Send, Some("app-01"))],
                (1, 0, 0, 0),
            ),
            (
                vec![said(Method::Send, Some("app-02")), said(Method::Send, Some("app-01"))],
                (0, 1, 0, 0),
            ),
            (vec![said(Method::Unidentified, None)], (0, 0, 1, 0)),
            (vec![], (0, 0, 0, 1)),
        ];
        for (said, expected) in cases {
            let shot = shot(40_001);
            let tuple = (Protocol::UDP, shot.to, shot.from_port);
            let ledger = Ledger { said: HashMap::from([(tuple, said.clone())]) };
            let judged = ledger.judge(&[shot]);
            let Judged { right, wrong, unknown, unlisted, .. } = judged;
            assert_eq!((right, wrong, unknown, unlisted), expected, "{said:?}");
        }
    }
}
