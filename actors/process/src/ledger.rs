//! Who owned which connection of late, and what it moved. Pure: answers,
//! counts and time go in, sums and rates come out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::policy::{AppMatch, SeenApp};
use seawall_messages::process::{App, AppKind, Attribution, Traffic};
use seawall_messages::{Flow, Protocol};
use seawall_runtime::BoundedTable;

pub(crate) use self::socket::Counter;
use self::socket::{Socket, since};
use crate::actor::Counting;
use crate::finder::Found;

mod lists;
mod socket;

/// Connections whose owner is remembered.
const MOST_FLOWS: usize = 20_000;
/// Sockets whose traffic is followed: as many as a hash map of 65,536 places holds.
const MOST_SOCKETS: usize = 57_344;
/// Room that is never given back.
const FEW_SOCKETS: usize = 1_024;
/// Apps whose traffic is added up. What more there are count as one.
const MOST_APPS: usize = 2_048;
/// Sockets that closed before anybody told of a connection of theirs: lists are told
/// of connections a moment after they were decided.
const MOST_CLOSED: usize = 16_384;
/// Apps that have metrics of their own; what more there are count as one there.
const MOST_MEASURED_APPS: usize = 200;
const OTHERS: &str = "others";
/// How long it is before an app that is seen again is told of again.
const TOLD_FOR: Duration = Duration::from_hours(24);
/// A socket that moves nothing for so long may have closed.
const RESTS: Duration = Duration::from_secs(120);

/// What is known. Outlives an incarnation: counts that began anew would count
/// what open sockets moved a second time.
pub struct Ledger {
    flows: BoundedTable<Flow, Entry>,
    sockets: HashMap<Counter, Socket>,
    /// What those had moved, as far as it is counted already.
    closed: BoundedTable<Counter, Traffic>,
    /// What traffic is counted by.
    counting: Counting,
    apps: HashMap<Arc<str>, Totals>,
    /// Apps that nobody was told of yet.
    untold: Vec<Arc<str>>,
    /// Counts what moves; see [`Self::moves`].
    number: u64,
}

#[derive(Clone)]
struct Entry {
    attribution: Attribution,
    counter: Option<Counter>,
}

struct Totals {
    app: App,
    /// What metrics call it.
    label: Arc<str>,
    path: Arc<str>,
    traffic: Traffic,
    /// The number of its last change.
    changed: u64,
    /// When it was last told of.
    told: Option<Instant>,
}

/// What a socket leaves behind.
pub(crate) struct Closed {
    /// The datagram connections that it had.
    pub(crate) flows: Vec<Flow>,
    /// What it moved that wasn't counted yet, with what metrics call its app.
    pub(crate) counted: Option<(Arc<str>, Traffic)>,
}

impl Default for Ledger {
    fn default() -> Self {
        let mut ledger = Self {
            flows: BoundedTable::new(MOST_FLOWS),
            sockets: HashMap::new(),
            closed: BoundedTable::new(MOST_CLOSED),
            counting: Counting::Sockets,
            apps: HashMap::new(),
            untold: Vec::new(),
            number: 1,
        };
        // There is always one that takes what is too many.
        ledger.account(&Attribution::unidentified());
        ledger
    }
}

impl Ledger {
    /// From now on traffic is counted like that.
    pub(crate) fn count(&mut self, counting: Counting) {
        self.counting = counting;
    }

    /// A connection's owner was found.
    pub(crate) fn note(&mut self, flow: Flow, found: &Found, now: Instant) {
        let app = self.account(&found.attribution);
        self.tell_again(&app, now);
        let by_connection = self.counting == Counting::Connections;
        let connection = by_connection.then_some(Counter::Connection(flow));
        // Of datagrams it has to be learnt when their socket closes, counted or not.
        let is_followed = self.counting == Counting::Sockets || flow.protocol != Protocol::TCP;
        let socket = found.cookie.filter(|_| is_followed).map(Counter::Socket);
        for counter in [connection, socket].into_iter().flatten() {
            self.follow(counter, Arc::clone(&app), now);
            if let Some(socket) = self.sockets.get_mut(&counter) {
                socket.note(flow);
            }
        }
        let counter = connection.or(socket);
        self.flows.insert(flow, Entry { attribution: found.attribution.clone(), counter });
    }

    /// Follows a socket, closed or not, while there is room.
    fn follow(&mut self, counter: Counter, app: Arc<str>, now: Instant) {
        if !self.sockets.contains_key(&counter) && self.sockets.len() < MOST_SOCKETS {
            let was_closed = self.closed.get(&counter).copied();
            self.sockets.insert(counter, Socket::new(app, was_closed, now));
        }
    }

    /// Who owns the connection, if that was found before.
    pub(crate) fn recall(&mut self, flow: &Flow) -> Option<Attribution> {
        self.flows.get(flow).map(|entry| entry.attribution.clone())
    }

    /// The sockets to look at: those that are open, and once more those that closed some time ago.
    pub(crate) fn sockets(&self, now: Instant) -> Vec<u64> {
        let cookie = |(counter, socket): (&Counter, &Socket)| match counter {
            Counter::Socket(cookie) if socket.lingers(now) != Some(true) => Some(*cookie),
            Counter::Socket(_) | Counter::Connection(_) => None,
        };
        self.sockets.iter().filter_map(cookie).collect()
    }

    /// The connections to look at, where they are counted one by one.
    pub(crate) fn connections(&self) -> HashSet<Flow> {
        let flow = |counter: &Counter| match counter {
            Counter::Socket(_) => None,
            Counter::Connection(flow) => Some(*flow),
        };
        self.sockets.keys().filter_map(flow).collect()
    }

    /// Of the connections, only these are still tracked.
    pub(crate) fn ended_but(&mut self, tracked: &HashSet<Flow>, now: Instant) {
        for (counter, socket) in &mut self.sockets {
            if let Counter::Connection(flow) = counter {
                let is_open = tracked.contains(flow);
                socket.closed = if is_open { None } else { socket.closed.or(Some(now)) };
            }
        }
    }

    /// What a socket moved so far, since it was made. Gives what metrics call its app, and
    /// what is new.
    pub(crate) fn looked(
        &mut self,
        counter: Counter,
        traffic: Traffic,
        now: Instant,
    ) -> Option<(Arc<str>, Traffic)> {
        let socket = self.sockets.get_mut(&counter)?;
        let new = since(traffic, socket.counted);
        if new != Traffic::default() {
            socket.moved = now;
        }
        socket.counted = traffic;
        let before = socket.rates;
        socket.work_out_rates(now);
        let app = Arc::clone(&socket.app);
        if new != Traffic::default() || socket.rates != before {
            self.number += 1;
            socket.changed = self.number;
            if let Some(totals) = self.apps.get_mut(&app) {
                totals.changed = self.number;
            }
        }
        self.add(&app, new).map(|label| (label, new))
    }

    /// A socket of that protocol closed that moved so much, and that `owner` owns, if that is known.
    pub(crate) fn closed(
        &mut self,
        counter: Counter,
        protocol: Protocol,
        traffic: Traffic,
        owner: Option<&Attribution>,
        now: Instant,
    ) -> Closed {
        if let Some(socket) = self.sockets.get_mut(&counter) {
            socket.closed.get_or_insert(now);
            let flows = socket.flows.iter().copied().collect();
            // The kernel's count may have been pushed out by others'.
            let is_counted = traffic != Traffic::default();
            let counted = if is_counted { self.looked(counter, traffic, now) } else { None };
            return Closed { flows, counted };
        }
        let counted = owner.and_then(|owner| {
            let app = self.account(owner);
            self.add(&app, traffic).map(|label| (label, traffic))
        });
        let traffic = counted.as_ref().map(|(_, traffic)| *traffic).unwrap_or_default();
        self.closed.insert(counter, traffic);
        // A datagram may be waiting for its verdict, and its connection be another socket's by now:
        // then nobody tells of this one.
        let may_move_more = protocol != Protocol::TCP && self.sockets.len() < MOST_SOCKETS / 2;
        if let Some(owner) = owner.filter(|_| may_move_more) {
            let app = self.account(owner);
            self.sockets.insert(counter, Socket::closed_lately(app, traffic, now));
        }
        Closed { flows: Vec::new(), counted }
    }

    /// Whether the socket is known to have closed.
    pub(crate) fn has_closed(&mut self, cookie: u64) -> bool {
        let counter = Counter::Socket(cookie);
        match self.sockets.get(&counter) {
            Some(socket) => socket.closed.is_some(),
            None => self.closed.get(&counter).is_some(),
        }
    }

    /// The datagram sockets that aren't known to have closed, each with one of their connections.
    pub(crate) fn datagram_sockets(&self) -> Vec<(u64, Flow)> {
        let open = self.sockets.iter().filter(|(_, socket)| socket.closed.is_none());
        let named = open.filter_map(|(counter, socket)| match counter {
            Counter::Socket(cookie) => Some((*cookie, *socket.flows.iter().next()?)),
            Counter::Connection(_) => None,
        });
        named.collect()
    }

    /// The datagram connections that a socket has, or had.
    pub(crate) fn had(&self, cookie: u64) -> Vec<Flow> {
        let socket = self.sockets.get(&Counter::Socket(cookie));
        socket.map(|socket| socket.flows.iter().copied().collect()).unwrap_or_default()
    }

    /// Forgets sockets that closed some time ago. Of some nobody tells that
    /// they closed: where there are many, those that moved nothing for long go, too.
    /// Gives how many are left.
    pub(crate) fn expire(&mut self, now: Instant) -> usize {
        let are_many = self.sockets.len() > MOST_SOCKETS / 2;
        self.sockets.retain(|counter, socket| match socket.lingers(now) {
            Some(lingers) => {
                if !lingers {
                    self.closed.insert(*counter, socket.counted);
                }
                lingers
            }
            None => !are_many || now.duration_since(socket.moved) < RESTS,
        });
        // What a storm took is given back when it is over.
        if self.sockets.capacity() > 4 * self.sockets.len().max(FEW_SOCKETS) {
            self.sockets.shrink_to(2 * self.sockets.len());
        }
        self.sockets.len()
    }

    /// Apps that were seen since they were last told of, those that nobody knows aside.
    pub(crate) fn seen(&self) -> Vec<SeenApp> {
        let totals = self.untold.iter().filter_map(|id| self.apps.get(id));
        let known = totals.filter(|totals| totals.app.kind != AppKind::Unidentified);
        let seen = known.filter_map(|Totals { app, path, .. }| {
            Some(SeenApp { name: Arc::clone(&app.name), app: AppMatch::of_app(app, path)? })
        });
        seen.collect()
    }

    /// They were told of.
    pub(crate) fn told(&mut self, now: Instant) {
        for id in self.untold.drain(..) {
            if let Some(totals) = self.apps.get_mut(&id) {
                totals.told = Some(now);
            }
        }
    }

    /// An app that has a connection after a day without a word of it is told of again.
    fn tell_again(&mut self, id: &Arc<str>, now: Instant) {
        let Some(totals) = self.apps.get_mut(id) else { return };
        if totals.told.is_some_and(|told| now.saturating_duration_since(told) >= TOLD_FOR) {
            totals.told = None;
            self.untold.push(Arc::clone(id));
        }
    }

    /// Adds to an app's traffic. Gives what metrics call it.
    fn add(&mut self, app: &Arc<str>, new: Traffic) -> Option<Arc<str>> {
        let totals = self.apps.get_mut(app)?;
        totals.traffic = totals.traffic.plus(new);
        if new != Traffic::default() {
            self.number += 1;
            totals.changed = self.number;
        }
        Some(Arc::clone(&totals.label))
    }

    /// The app that a connection counts for.
    fn account(&mut self, attribution: &Attribution) -> Arc<str> {
        let known = attribution.process.as_ref().map(|process| &process.app.id);
        if let Some(id) = known.filter(|id| self.apps.contains_key(*id)) {
            return Arc::clone(id);
        }
        let app = attribution.app();
        let id = Arc::clone(&app.id);
        if self.apps.contains_key(&id) {
            return id;
        }
        if self.apps.len() >= MOST_APPS {
            return Arc::clone(&App::unidentified().id);
        }
        let path = attribution.process.as_ref().map(|process| Arc::clone(&process.path));
        let is_measured = self.apps.len() < MOST_MEASURED_APPS;
        let label = if is_measured { Arc::clone(&id) } else { Arc::from(OTHERS) };
        let path = path.unwrap_or_default();
        let totals =
            Totals { app, label, path, traffic: Traffic::default(), changed: 0, told: None };
        self.apps.insert(Arc::clone(&id), totals);
        self.untold.push(Arc::clone(&id));
        id
    }
}

#[cfg(test)]
mod tests;
