//! What is known of connections and apps: answers go in, what happened comes out.
//!
//! Bounded: what is over is forgotten after a while, and the oldest of it sooner
//! where there is much.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_messages::api::Changes;
use seawall_messages::datapath::{Connection, Cursor};
use seawall_messages::process::{App, Moves, Process, ProcessKey, Rates, Traffic};
use seawall_messages::{Action, Flow};

/// How long a connection that ended stays to be seen.
const ENDED_STAYS: Duration = Duration::from_secs(10);
/// How long a denial stays to be seen: long enough to find out why.
const DENIED_STAYS: Duration = Duration::from_secs(600);
/// Connections that are over, at most.
const MOST_OVER: usize = 5_000;
/// Rates that are not renewed for so long are those of something that is gone.
const RATES_LAST: Duration = Duration::from_secs(10);
/// Points of a graph, one a second.
const GRAPH_POINTS: usize = 60;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It is new.
    Appeared,
    /// It has another verdict.
    Changed,
    /// It is over.
    Ended,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// As it was told last.
    pub(crate) connection: Connection,
    /// When it was heard that it ended.
    pub(crate) ended: Option<SystemTime>,
    /// The list that told of it.
    feed: u64,
}

/// An app.
#[derive(Clone, Debug)]
pub(crate) struct AppEntry {
    /// Which one.
    pub(crate) app: App,
    /// Path of one of its processes.
    pub(crate) path: Arc<str>,
    /// Since Seawall started.
    pub(crate) traffic: Traffic,
    /// How fast.
    pub(crate) rates: Rates,
    /// Bytes a second, of late.
    pub(crate) graph: VecDeque<f64>,
    renewed: SystemTime,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Up to where it was told.
    pub(crate) cursor: Cursor,
    /// The number of the last moves.
    pub(crate) moves: u64,
    /// Connections.
    pub(crate) connections: HashMap<Flow, Entry>,
    /// Apps by their id.
    pub(crate) apps: HashMap<Arc<str>, AppEntry>,
    /// Bytes a second of all apps, of late.
    pub(crate) graph: VecDeque<f64>,
    sockets: HashMap<u64, HashSet<Flow>>,
    processes: HashMap<ProcessKey, Arc<Process>>,
}

impl Known {
    /// Takes an answer. Says what happened, in order.
    pub(crate) fn take(
        &mut self,
        changes: Changes,
        now: SystemTime,
    ) -> Vec<(Happened, Connection)> {
        let Changes { list, moves } = changes;
        let mut happened = Vec::new();
        let is_first = self.cursor == Cursor::default();
        for connection in list.connections {
            self.put(connection, list.cursor.feed, is_first, now, &mut happened);
        }
        self.cursor = list.cursor;
        if !list.more {
            self.end_what_is_not_told(now, &mut happened);
        }
        if let Some(moves) = moves {
            self.move_on(moves, now);
        }
        if !list.more {
            self.forget(now);
        }
        happened
    }

    /// A second has passed: the graphs go on.
    pub(crate) fn tick(&mut self, now: SystemTime) {
        let mut all = 0.0;
        for app in self.apps.values_mut() {
            if now.duration_since(app.renewed).unwrap_or_default() > RATES_LAST {
                app.rates = Rates::default();
            }
            let rate = sum(app.rates);
            all += rate;
            push(&mut app.graph, rate);
        }
        push(&mut self.graph, all);
    }

    /// How fast all of it is.
    pub(crate) fn rates(&self) -> Rates {
        self.apps.values().fold(Rates::default(), |all, app| Rates {
            sent_bytes_per_s: all.sent_bytes_per_s + app.rates.sent_bytes_per_s,
            received_bytes_per_s: all.received_bytes_per_s + app.rates.received_bytes_per_s,
        })
    }

    fn put(
        &mut self,
        mut connection: Connection,
        feed: u64,
        is_first: bool,
        now: SystemTime,
        happened: &mut Vec<(Happened, Connection)>,
    ) {
        self.share_process(&mut connection);
        let flow = connection.flow;
        let is_over = connection.action == Action::Allow && !connection.live;
        let before = self.connections.get(&flow).map(|entry| &entry.connection);
        let was_open = before.is_some_and(|before| before.live);
        if before.is_none() && is_over && is_first {
            return;
        }
        let is_another = before.is_none_or(|before| before.decided != connection.decided);
        let is_new = match before {
            None => true,
            Some(before) => is_another && !before.live,
        };
        if is_new {
            happened.push((Happened::Appeared, connection.clone()));
        } else if before.is_some_and(|before| before.action != connection.action) {
            happened.push((Happened::Changed, connection.clone()));
        }
        if is_over && (is_new || was_open) {
            happened.push((Happened::Ended, connection.clone()));
        }
        if let Some(socket) = connection.used_by.as_ref().and_then(|used_by| used_by.socket) {
            self.sockets.entry(socket).or_default().insert(flow);
        }
        let ended = is_over.then_some(now);
        let mut entry = Entry { connection, ended, feed };
        if ended.is_some() {
            entry.rest();
        }
        self.connections.insert(flow, entry);
    }

    /// One description for all connections of a process.
    fn share_process(&mut self, connection: &mut Connection) {
        let Some(process) =
            connection.used_by.as_mut().and_then(|used_by| used_by.attribution.process.as_mut())
        else {
            return;
        };
        match self.processes.get(&process.key) {
            Some(known) if known == process => *process = Arc::clone(known),
            _ => {
                self.processes.insert(process.key, Arc::clone(process));
            }
        }
    }

    /// After a list that began anew was told to its end: what it didn't name is over.
    fn end_what_is_not_told(
        &mut self,
        now: SystemTime,
        happened: &mut Vec<(Happened, Connection)>,
    ) {
        let feed = self.cursor.feed;
        for entry in self.connections.values_mut() {
            if entry.feed != feed && entry.connection.live {
                entry.connection.live = false;
                entry.ended = Some(now);
                entry.rest();
                happened.push((Happened::Ended, entry.connection.clone()));
            }
        }
    }

    fn move_on(&mut self, moves: Moves, now: SystemTime) {
        self.moves = moves.number;
        for told in moves.sockets {
            for flow in self.sockets.get(&told.socket).into_iter().flatten() {
                if let Some(entry) = self.connections.get_mut(flow)
                    && let Some(used_by) = &mut entry.connection.used_by
                {
                    used_by.traffic = Some(told.traffic);
                    if entry.ended.is_none() {
                        used_by.rates = Some(told.rates);
                    }
                }
            }
        }
        for told in moves.apps {
            let id = Arc::clone(&told.app.id);
            let graph = self.apps.remove(&id).map(|known| known.graph).unwrap_or_default();
            let entry = AppEntry {
                app: told.app,
                path: told.path,
                traffic: told.traffic,
                rates: told.rates,
                graph,
                renewed: now,
            };
            self.apps.insert(id, entry);
        }
    }

    /// Forgets what has been over for a while.
    fn forget(&mut self, now: SystemTime) {
        let before = self.connections.len();
        let age = |since: SystemTime| now.duration_since(since).unwrap_or_default();
        self.connections.retain(|_, entry| match entry.over_since() {
            None => true,
            Some(since) if entry.ended.is_some() => age(since) < ENDED_STAYS,
            Some(since) => age(since) < DENIED_STAYS,
        });
        let mut over: Vec<SystemTime> =
            self.connections.values().filter_map(Entry::over_since).collect();
        if over.len() > MOST_OVER {
            over.sort_unstable();
            let oldest = over.get(over.len() - MOST_OVER).copied();
            self.connections.retain(|_, entry| {
                entry.over_since().is_none_or(|since| oldest.is_some_and(|oldest| since >= oldest))
            });
        }
        if self.connections.len() != before {
            let connections = &self.connections;
            self.sockets.retain(|_, flows| {
                flows.retain(|flow| connections.contains_key(flow));
                !flows.is_empty()
            });
            self.processes.retain(|_, process| Arc::strong_count(process) > 1);
        }
    }
}

impl Entry {
    /// Whose it is; unidentified where that isn't known.
    pub(crate) fn app(&self) -> Option<&App> {
        let process = self.process()?;
        Some(&process.app)
    }

    /// The process that owns it.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.connection.used_by.as_ref()?.attribution.process.as_deref()
    }

    /// How fast.
    pub(crate) fn rates(&self) -> Rates {
        self.connection.used_by.as_ref().and_then(|used_by| used_by.rates).unwrap_or_default()
    }

    /// What it moved, where that is counted.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        self.connection.used_by.as_ref().and_then(|used_by| used_by.traffic)
    }

    fn over_since(&self) -> Option<SystemTime> {
        match self.ended {
            Some(ended) => Some(ended),
            None if self.connection.action != Action::Allow => Some(self.connection.decided),
            None => None,
        }
    }

    fn rest(&mut self) {
        if let Some(used_by) = &mut self.connection.used_by {
            used_by.rates = None;
        }
    }
}

/// Both ways together.
pub(crate) fn sum(rates: Rates) -> f64 {
    rates.sent_bytes_per_s + rates.received_bytes_per_s
}

fn push(graph: &mut VecDeque<f64>, value: f64) {
    if graph.len() >= GRAPH_POINTS {
        graph.pop_front();
    }
    graph.push_back(value);
}

#[cfg(test)]
mod tests;
