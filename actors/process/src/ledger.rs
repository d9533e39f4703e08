//! Who owned which connection of late, and what it moved. Pure: answers,
//! counts and time go in, sums and rates come out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::Flow;
use seawall_messages::process::{App, AppUse, Attribution, FlowUse, Method, Rates, Traffic};
use seawall_runtime::BoundedTable;

use crate::finder::Found;

/// Connections whose owner is remembered.
const MOST_FLOWS: usize = 20_000;
/// Sockets whose traffic is followed.
const MOST_SOCKETS: usize = 65_536;
/// Apps whose traffic is added up. What more there are count as one.
const MOST_APPS: usize = 2_048;
/// A closed socket goes on sending for a while: what it had left, and its farewell.
const LINGERS: Duration = Duration::from_secs(20);
/// A socket that moves nothing for so long may have closed.
const RESTS: Duration = Duration::from_secs(120);
/// The shortest time that rates are worked out over: of less they would jump.
const RATES_OVER: Duration = Duration::from_millis(500);
/// Rates are those of the time between the last two looks, unless that is longer ago.
const RATES_LAST: Duration = Duration::from_secs(15);

/// What is known.
pub(crate) struct Ledger {
    flows: BoundedTable<Flow, Entry>,
    sockets: HashMap<u64, Socket>,
    apps: HashMap<Arc<str>, Totals>,
}

#[derive(Clone)]
struct Entry {
    attribution: Attribution,
    cookie: Option<u64>,
}

struct Socket {
    app: Arc<str>,
    counted: Traffic,
    rates: Rates,
    /// When it was last seen to have moved something.
    moved: Instant,
    /// What was counted when rates were last worked out, and when that was.
    basis: (Traffic, Instant),
    closed: Option<Instant>,
    flows: HashSet<Flow>,
}

struct Totals {
    app: App,
    path: Arc<str>,
    traffic: Traffic,
}

/// An app while its connections are gone through.
struct Gathered {
    of: AppUse,
    pids: BTreeSet<u32>,
    methods: BTreeMap<Method, usize>,
}

/// Connections of one unconnected socket that are remembered with it.
const MOST_FLOWS_PER_SOCKET: usize = 4_096;

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { flows: BoundedTable::new(MOST_FLOWS), sockets: HashMap::new(), apps: HashMap::new() }
    }

    /// A connection's owner was found.
    pub(crate) fn note(&mut self, flow: Flow, found: &Found, now: Instant) {
        let app = self.account(&found.attribution);
        if let Some(cookie) = found.cookie {
            let room = self.sockets.len() < MOST_SOCKETS;
            if let Some(socket) = self.sockets.get_mut(&cookie) {
                socket.note(flow);
            } else if room {
                let socket = Socket {
                    app,
                    counted: Traffic::default(),
                    rates: Rates::default(),
                    moved: now,
                    basis: (Traffic::default(), now),
                    closed: None,
                    flows: HashSet::from([flow]),
                };
                self.sockets.insert(cookie, socket);
            }
        }
        let entry = Entry { attribution: found.attribution.clone(), cookie: found.cookie };
        self.flows.insert(flow, entry);
    }

    /// Who owns the connection, if that was found before.
    pub(crate) fn recall(&mut self, flow: &Flow) -> Option<Attribution> {
        self.flows.get(flow).map(|entry| entry.attribution.clone())
    }

    /// The sockets to look at.
    pub(crate) fn sockets(&self) -> Vec<u64> {
        self.sockets.keys().copied().collect()
    }

    /// What a socket moved so far, since it was made. Gives its app, and what is new.
    pub(crate) fn looked(
        &mut self,
        cookie: u64,
        traffic: Traffic,
        now: Instant,
    ) -> Option<(Arc<str>, Traffic)> {
        let socket = self.sockets.get_mut(&cookie)?;
        let new = since(traffic, socket.counted);
        if new != Traffic::default() {
            socket.moved = now;
        }
        socket.counted = traffic;
        socket.work_out_rates(now);
        if let Some(totals) = self.apps.get_mut(&socket.app) {
            totals.traffic = totals.traffic.plus(new);
        }
        Some((Arc::clone(&socket.app), new))
    }

    /// A socket closed. Gives the connections that it had.
    pub(crate) fn closed(&mut self, cookie: u64, now: Instant) -> Vec<Flow> {
        let Some(socket) = self.sockets.get_mut(&cookie) else { return Vec::new() };
        socket.closed.get_or_insert(now);
        socket.flows.iter().copied().collect()
    }

    /// The connections that a socket has, or had.
    pub(crate) fn had(&self, cookie: u64) -> Vec<Flow> {
        let socket = self.sockets.get(&cookie);
        socket.map(|socket| socket.flows.iter().copied().collect()).unwrap_or_default()
    }

    /// What a socket moved that no connection was noted of.
    pub(crate) fn count(&mut self, attribution: &Attribution, traffic: Traffic) {
        let app = self.account(attribution);
        if let Some(totals) = self.apps.get_mut(&app) {
            totals.traffic = totals.traffic.plus(traffic);
        }
    }

    /// Whether the socket's traffic is followed.
    pub(crate) fn follows(&self, cookie: u64) -> bool {
        self.sockets.contains_key(&cookie)
    }

    /// Forgets sockets that closed some time ago. Of some nobody tells that
    /// they closed: where there are many, those that moved nothing for long go, too.
    pub(crate) fn expire(&mut self, now: Instant) {
        let are_many = self.sockets.len() > MOST_SOCKETS / 2;
        self.sockets.retain(|_, socket| match socket.closed {
            Some(closed) => now.duration_since(closed) < LINGERS,
            None => !are_many || now.duration_since(socket.moved) < RESTS,
        });
    }

    /// A connection's owner and traffic.
    pub(crate) fn flow_use(&mut self, flow: &Flow, now: Instant) -> Option<FlowUse> {
        let entry = self.flows.get(flow)?.clone();
        let socket = entry.cookie.and_then(|cookie| self.sockets.get(&cookie));
        Some(FlowUse {
            attribution: entry.attribution,
            traffic: socket.map(|socket| socket.counted),
            rates: socket.map(|socket| socket.rates_at(now)),
        })
    }

    /// Apps on the network, busiest first. `open`: the connections that are open.
    pub(crate) fn apps(&self, open: &[Flow], now: Instant) -> Vec<AppUse> {
        let open: HashSet<&Flow> = open.iter().collect();
        let mut uses: HashMap<Arc<str>, Gathered> =
            self.apps.iter().map(|(id, totals)| (Arc::clone(id), totals.start())).collect();
        for (flow, entry) in self.flows.entries() {
            let id = &entry.attribution.app().id;
            if let Some(of) = uses.get_mut(id) {
                of.add(entry, open.contains(flow));
            }
        }
        for socket in self.sockets.values() {
            if let Some(Gathered { of, .. }) = uses.get_mut(&socket.app) {
                let rates = socket.rates_at(now);
                of.rates.sent_bytes_per_s += rates.sent_bytes_per_s;
                of.rates.received_bytes_per_s += rates.received_bytes_per_s;
            }
        }
        let mut list: Vec<AppUse> = uses
            .into_values()
            .map(Gathered::finish)
            .filter(|of| of.connections > 0 || of.traffic != Traffic::default())
            .collect();
        let speed = |of: &AppUse| of.rates.sent_bytes_per_s + of.rates.received_bytes_per_s;
        list.sort_by(|one, other| {
            let by_speed = speed(other).total_cmp(&speed(one));
            by_speed.then(other.open.cmp(&one.open)).then(one.app.id.cmp(&other.app.id))
        });
        list
    }

    /// The app that a connection counts for.
    fn account(&mut self, attribution: &Attribution) -> Arc<str> {
        let app = attribution.app();
        let id = Arc::clone(&app.id);
        if self.apps.contains_key(&id) {
            return id;
        }
        if self.apps.len() >= MOST_APPS {
            return Arc::clone(&App::unidentified().id);
        }
        let path = attribution.process.as_ref().map(|process| Arc::clone(&process.path));
        let totals = Totals { app, path: path.unwrap_or_default(), traffic: Traffic::default() };
        self.apps.insert(Arc::clone(&id), totals);
        id
    }
}

impl Socket {
    fn note(&mut self, flow: Flow) {
        if self.flows.len() < MOST_FLOWS_PER_SOCKET {
            self.flows.insert(flow);
        }
    }

    fn work_out_rates(&mut self, now: Instant) {
        let (before, when) = self.basis;
        let time = now.duration_since(when);
        if time >= RATES_OVER {
            let new = since(self.counted, before);
            self.rates = Rates {
                sent_bytes_per_s: new.sent_bytes as f64 / time.as_secs_f64(),
                received_bytes_per_s: new.received_bytes as f64 / time.as_secs_f64(),
            };
            self.basis = (self.counted, now);
        }
    }

    fn rates_at(&self, now: Instant) -> Rates {
        if now.duration_since(self.basis.1) > RATES_LAST { Rates::default() } else { self.rates }
    }
}

impl Totals {
    fn start(&self) -> Gathered {
        let of = AppUse {
            app: self.app.clone(),
            pids: Vec::new(),
            path: Arc::clone(&self.path),
            open: 0,
            connections: 0,
            traffic: self.traffic,
            rates: Rates::default(),
            methods: Vec::new(),
        };
        Gathered { of, pids: BTreeSet::new(), methods: BTreeMap::new() }
    }
}

impl Gathered {
    fn add(&mut self, entry: &Entry, is_open: bool) {
        self.of.connections += 1;
        *self.methods.entry(entry.attribution.method).or_insert(0) += 1;
        if is_open {
            self.of.open += 1;
            let process = entry.attribution.process.as_ref();
            self.pids.extend(process.map(|process| process.key.pid));
        }
    }

    fn finish(self) -> AppUse {
        AppUse {
            pids: self.pids.into_iter().collect(),
            methods: self.methods.into_iter().collect(),
            ..self.of
        }
    }
}

/// What came since an earlier count. Where the count began anew, all of it.
fn since(now: Traffic, before: Traffic) -> Traffic {
    let less = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    Traffic {
        sent_bytes: less(now.sent_bytes, before.sent_bytes),
        received_bytes: less(now.received_bytes, before.received_bytes),
        sent_packets: less(now.sent_packets, before.sent_packets),
        received_packets: less(now.received_packets, before.received_packets),
    }
}

#[cfg(test)]
mod tests;
