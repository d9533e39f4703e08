//! The list of connections decided of late, and what of it changed since when.
//! Pure: decisions, looks and time go in, lists and changes come out.
//!
//! Each change gives its connection the next number, so who follows along asks for
//! all above the last number it saw. Nothing is kept for those who ask, and a slow
//! one gets each connection once, as it is by then; there is no queue to overflow.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use seawall_messages::datapath::{Connection, ConnectionChanges, Cursor};
use seawall_messages::{Action, Flow, Judgement, Layer, Lifetime, PolicyGeneration, Reason};

/// Connections that are remembered: as many as a hash map of 16,384 places holds. Of them, after
/// [`MAKE_ROOM`] went, there are still more than one list shows.
const MOST_LISTED: usize = 14_336;
/// Of those, how many go when room is needed.
const MAKE_ROOM: usize = MOST_LISTED / 4;
/// Connections in one list, and of an earlier worker's that are taken up.
const MOST_ANSWERED: usize = 10_000;
/// Changes in one answer: a megabyte of JSON, and no long work for who finds owners.
const MOST_CHANGES: usize = 1_000;
/// The kernel tracks a connection only when its first packet is through.
const MAY_BE_UNTRACKED: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Row {
    connection: Connection,
    /// The number of its decision. Lists are in that order: the wall clock may be set back.
    decided: u64,
    changed: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Listing {
    feed: u64,
    number: u64,
    rows: HashMap<Flow, Row>,
}

impl Listing {
    /// Empty. `feed` tells its numbers from those of an earlier one.
    pub(crate) fn new(feed: u64) -> Self {
        Self { feed, number: 0, rows: HashMap::new() }
    }

    /// Whether some must go for so many more.
    pub(crate) fn lacks_room_for(&self, more: usize) -> bool {
        self.rows.len() + more > MOST_LISTED
    }

    /// A connection was decided. One that passes is taken for open until a look
    /// says otherwise; of loopback none will.
    pub(crate) fn decided(&mut self, connection: Connection) {
        let is_local = connection.flow.responder.is_loopback();
        let live = connection.action == Action::Allow && !is_local;
        // A later packet that was decided by itself makes its connection no newer.
        let is_same = |row: &&Row| row.connection.live || !connection.permanent;
        let known = self.rows.get(&connection.flow).filter(is_same);
        let place = known.map(|row| row.decided).filter(|place| *place > 0);
        let place = place.unwrap_or(self.number + 1);
        self.put(Connection { live, ..connection }, place);
    }

    /// Whether that flow was decided of late.
    pub(crate) fn knows(&self, flow: &Flow) -> bool {
        self.rows.contains_key(flow)
    }

    /// The user whose connection it is, as the kernel told or noted it.
    pub(crate) fn uid_of(&self, flow: &Flow) -> Option<u32> {
        let connection = &self.rows.get(flow)?.connection;
        connection.uid.or_else(|| Some(connection.owner?.uid))
    }

    /// The interface that leads to its other end, as its packets told.
    pub(crate) fn interface_of(&self, flow: &Flow) -> Option<u32> {
        self.rows.get(flow)?.connection.interface
    }

    /// A connection was judged again.
    pub(crate) fn judged(&mut self, flow: &Flow, judgement: &Judgement) {
        let Some(Row { connection, decided, .. }) = self.rows.get(flow) else { return };
        let decided = *decided;
        let now = Connection {
            action: judgement.action,
            reason: judgement.reason.clone(),
            permanent: judgement.lifetime == Lifetime::Flow,
            generation: judgement.generation,
            live: connection.live && judgement.action == Action::Allow,
            ..connection.clone()
        };
        self.put(now, decided);
    }

    /// What the kernel tracks was looked at: open flows, each with whether it has a
    /// standing verdict. Those that nobody told of were decided by an earlier worker.
    pub(crate) fn looked(
        &mut self,
        tracked: &HashMap<Flow, bool>,
        generation: PolicyGeneration,
        now: SystemTime,
    ) {
        let mut number = self.number;
        for row in self.rows.values_mut() {
            let Connection { flow, action, decided, .. } = row.connection;
            let is_tracked = action == Action::Allow && tracked.contains_key(&flow);
            let is_new = now.duration_since(decided).is_ok_and(|age| age < MAY_BE_UNTRACKED);
            if row.connection.live != is_tracked && (is_tracked || !is_new) {
                number += 1;
                row.connection.live = is_tracked;
                row.changed = number;
            }
        }
        self.number = number;
        for (flow, is_settled) in tracked {
            if *is_settled && self.rows.len() < MOST_ANSWERED && !self.rows.contains_key(flow) {
                self.put(inherited(*flow, generation), 0);
            }
        }
    }

    /// The newest connections. Of those that an earlier worker decided, the open ones.
    pub(crate) fn newest(&self) -> Vec<Connection> {
        let is_listed =
            |row: &&Row| row.connection.live || row.connection.reason.layer != Layer::Inherited;
        let mut list: Vec<&Row> = self.rows.values().filter(is_listed).collect();
        list.sort_by_key(|row| Reverse(row.decided));
        list.into_iter().take(MOST_ANSWERED).map(|row| row.connection.clone()).collect()
    }

    /// What changed since.
    pub(crate) fn changes(&self, since: Cursor) -> ConnectionChanges {
        let anew = since.feed != self.feed || since.number > self.number;
        let from = if anew { 0 } else { since.number };
        let mut rows: Vec<&Row> = self.rows.values().filter(|row| row.changed > from).collect();
        rows.sort_unstable_by_key(|row| row.changed);
        let more = rows.len() > MOST_CHANGES;
        rows.truncate(MOST_CHANGES);
        let number = match rows.last() {
            Some(last) if more => last.changed,
            _ => self.number,
        };
        ConnectionChanges {
            cursor: Cursor { feed: self.feed, number },
            anew,
            more,
            connections: rows.into_iter().map(|row| row.connection.clone()).collect(),
        }
    }

    fn put(&mut self, connection: Connection, decided: u64) {
        self.number += 1;
        let flow = connection.flow;
        if self.rows.len() >= MOST_LISTED && !self.rows.contains_key(&flow) {
            self.make_room();
        }
        self.rows.insert(flow, Row { connection, decided, changed: self.number });
    }

    /// Forgets what is over, oldest first, and then what is oldest. Who follows
    /// along drops by itself what is over; of an open one that goes it must hear.
    fn make_room(&mut self) {
        let mut oldest: Vec<(bool, u64)> =
            self.rows.values().map(|row| (row.connection.live, row.changed)).collect();
        oldest.sort_unstable();
        let Some(last) = oldest.get(MAKE_ROOM.saturating_sub(1)).copied() else { return };
        self.rows.retain(|_, row| (row.connection.live, row.changed) > last);
        if last.0 {
            self.feed += 1;
        }
    }
}

/// A live flow that an earlier worker decided.
fn inherited(flow: Flow, generation: PolicyGeneration) -> Connection {
    Connection {
        flow,
        action: Action::Allow,
        reason: Reason::plain(Layer::Inherited, "Decided before the worker last started"),
        permanent: true,
        generation,
        decided: SystemTime::UNIX_EPOCH,
        live: true,
        uid: None,
        owner: None,
        interface: None,
        used_by: None,
    }
}

#[cfg(test)]
mod tests;
