//! What is told of connections and apps to those who list them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use seawall_messages::Flow;
use seawall_messages::process::{
    AppMoves, AppUse, FlowUse, Method, Moves, Process, Rates, SocketMoves, Traffic,
};

use super::{Entry, Ledger, Totals};

/// An app while its connections are gone through.
struct Gathered {
    of: AppUse,
    pids: BTreeSet<u32>,
    methods: BTreeMap<Method, usize>,
}

impl Ledger {
    /// A connection's owner and traffic.
    pub(crate) fn flow_use(&mut self, flow: &Flow, now: Instant) -> Option<FlowUse> {
        let entry = self.flows.get(flow)?.clone();
        let socket = entry.counter.and_then(|counter| self.sockets.get(&counter));
        Some(FlowUse {
            attribution: entry.attribution,
            traffic: socket.map(|socket| socket.counted),
            rates: socket.map(|socket| socket.rates_at(now)),
            socket: entry.counter.map(|counter| counter.name()),
        })
    }

    /// Sockets and apps that moved something since that number, or rest now. With 0, all.
    pub(crate) fn moves(&self, since: u64, now: Instant) -> Moves {
        let mut rates: HashMap<&str, Rates> = HashMap::new();
        let mut sockets = Vec::new();
        for (counter, socket) in &self.sockets {
            let own = socket.rates_at(now);
            let of = rates.entry(&socket.app).or_default();
            of.sent_bytes_per_s += own.sent_bytes_per_s;
            of.received_bytes_per_s += own.received_bytes_per_s;
            if socket.changed > since {
                let traffic = socket.counted;
                sockets.push(SocketMoves { socket: counter.name(), traffic, rates: own });
            }
        }
        let apps = self.apps.values().filter(|totals| totals.changed > since || since == 0);
        let moves = |totals: &Totals| AppMoves {
            app: totals.app.clone(),
            path: Arc::clone(&totals.path),
            traffic: totals.traffic,
            rates: rates.get(&*totals.app.id).copied().unwrap_or_default(),
        };
        Moves { number: self.number, sockets, apps: apps.map(moves).collect() }
    }

    /// Apps on the network, busiest first. `open`: the connections that are open.
    pub(crate) fn apps(&self, open: &[Flow], now: Instant) -> Vec<AppUse> {
        let open: HashSet<&Flow> = open.iter().collect();
        let mut uses: HashMap<Arc<str>, Gathered> = self
            .apps
            .iter()
            .map(|(id, totals)| (Arc::clone(id), Gathered::nothing_yet(totals)))
            .collect();
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

    /// The process that fits and started last, of those whose connections are remembered.
    pub(crate) fn latest(&self, fits: &dyn Fn(&Process) -> bool) -> Option<Arc<Process>> {
        let processes = self.flows.values().filter_map(|entry| entry.attribution.process.as_ref());
        let latest = processes
            .filter(|process| fits(process))
            .max_by_key(|process| (process.key.started_ticks, process.key.pid));
        latest.cloned()
    }
}

impl Gathered {
    fn nothing_yet(totals: &Totals) -> Self {
        let of = AppUse {
            app: totals.app.clone(),
            pids: Vec::new(),
            path: Arc::clone(&totals.path),
            open: 0,
            connections: 0,
            traffic: totals.traffic,
            rates: Rates::default(),
            methods: Vec::new(),
        };
        Self { of, pids: BTreeSet::new(), methods: BTreeMap::new() }
    }

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
