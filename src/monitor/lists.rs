//! What the two lists show, from what is known: filtered, sorted, counted. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use seawall_messages::process::{App, Rates, Traffic};
use seawall_messages::{Action, Flow};

use super::known::{Entry, Known, sum};

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// What is fastest now.
    #[default]
    Rate,
    /// What moved most.
    Bytes,
    /// By name or address.
    Name,
    /// What was decided last.
    Newest,
}

impl Sort {
    /// The next one, as the key goes through them.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Rate => Self::Bytes,
            Self::Bytes => Self::Name,
            Self::Name => Self::Newest,
            Self::Newest => Self::Rate,
        }
    }

    /// In a word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Name => "name",
            Self::Newest => "newest",
        }
    }
}

/// A line of the list of apps.
#[derive(Clone, Debug)]
pub(crate) struct AppRow {
    /// Which app; `None` for all of them.
    pub(crate) app: Option<App>,
    /// Path of one of its processes.
    pub(crate) path: Arc<str>,
    /// Open connections that pass the filter.
    pub(crate) open: usize,
    /// Denials of late that pass the filter.
    pub(crate) denied: usize,
    /// Since Seawall started.
    pub(crate) traffic: Traffic,
    /// How fast.
    pub(crate) rates: Rates,
    newest: SystemTime,
}

/// The lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    /// Apps; the first line is that of all.
    pub(crate) apps: Vec<AppRow>,
    /// Connections of the chosen app.
    pub(crate) connections: Vec<Flow>,
}

/// What the user asked to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Of this app only, by its id.
    pub(crate) app: Option<Arc<str>>,
    /// With this text somewhere, in small letters.
    pub(crate) filter: String,
    /// What comes first.
    pub(crate) sort: Sort,
}

impl AppRow {
    /// Its id, as [`Wish::app`].
    pub(crate) fn id(&self) -> Option<Arc<str>> {
        self.app.as_ref().map(|app| Arc::clone(&app.id))
    }

    fn of(app: Option<App>) -> Self {
        Self {
            app,
            path: Arc::from(""),
            open: 0,
            denied: 0,
            traffic: Traffic::default(),
            rates: Rates::default(),
            newest: SystemTime::UNIX_EPOCH,
        }
    }

    fn count(&mut self, entry: &Entry) {
        self.open += usize::from(entry.connection.live);
        self.denied += usize::from(entry.connection.action != Action::Allow);
        self.newest = self.newest.max(entry.connection.decided);
    }
}

/// The id of the app that a connection counts for.
pub(crate) fn app_id(entry: &Entry) -> &str {
    entry.app().map_or("unidentified", |app| &app.id)
}

/// Works the lists out.
pub(crate) fn lists(known: &Known, wish: &Wish) -> Lists {
    let mut all = AppRow::of(None);
    let mut apps: HashMap<&str, AppRow> = HashMap::new();
    let mut connections: Vec<&Entry> = Vec::new();
    for entry in known.connections.values().filter(|entry| passes(entry, &wish.filter)) {
        let id = app_id(entry);
        all.count(entry);
        let start = || AppRow::of(Some(entry.app().cloned().unwrap_or_else(App::unidentified)));
        apps.entry(id).or_insert_with(start).count(entry);
        if wish.app.as_deref().is_none_or(|wanted| wanted == id) {
            connections.push(entry);
        }
    }
    for entry in known.apps.values() {
        all.traffic = all.traffic.plus(entry.traffic);
        // Of one whose connections are all gone, what it still moves is shown.
        if wish.filter.is_empty() && sum(entry.rates) > 0.0 {
            apps.entry(&entry.app.id).or_insert_with(|| AppRow::of(Some(entry.app.clone())));
        }
        if let Some(row) = apps.get_mut(&*entry.app.id) {
            row.path = Arc::clone(&entry.path);
            row.traffic = entry.traffic;
            row.rates = entry.rates;
        }
    }
    all.rates = known.rates();
    let mut rows: Vec<AppRow> = apps.into_values().collect();
    rows.sort_by(|one, other| compare_apps(one, other, wish.sort));
    rows.insert(0, all);
    connections.sort_by(|one, other| compare(one, other, wish.sort));
    let connections = connections.into_iter().map(|entry| entry.connection.flow).collect();
    Lists { apps: rows, connections }
}

fn compare_apps(one: &AppRow, other: &AppRow, sort: Sort) -> Ordering {
    let name = |row: &AppRow| row.app.as_ref().map(|app| (app.name.to_lowercase(), app.id.clone()));
    let bytes = |row: &AppRow| row.traffic.sent_bytes.saturating_add(row.traffic.received_bytes);
    let by = match sort {
        Sort::Rate => sum(other.rates).total_cmp(&sum(one.rates)),
        Sort::Bytes => bytes(other).cmp(&bytes(one)),
        Sort::Name => Ordering::Equal,
        Sort::Newest => other.newest.cmp(&one.newest),
    };
    by.then_with(|| name(one).cmp(&name(other)))
}

fn compare(one: &Entry, other: &Entry, sort: Sort) -> Ordering {
    let bytes = |entry: &Entry| {
        entry.traffic().map_or(0, |moved| moved.sent_bytes.saturating_add(moved.received_bytes))
    };
    let end =
        |entry: &Entry| (entry.connection.flow.remote(), entry.connection.flow.destination_port());
    let by = match sort {
        Sort::Rate => sum(other.rates()).total_cmp(&sum(one.rates())),
        Sort::Bytes => bytes(other).cmp(&bytes(one)),
        Sort::Name => end(one).cmp(&end(other)),
        Sort::Newest => Ordering::Equal,
    };
    let newest = |entry: &Entry| Reverse(entry.connection.decided);
    by.then_with(|| newest(one).cmp(&newest(other)))
        .then_with(|| one.connection.flow.cmp(&other.connection.flow))
}

/// Whether the text is in the app, an address or port, the verdict or the reason.
fn passes(entry: &Entry, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let connection = &entry.connection;
    let has = |text: &str| text.to_lowercase().contains(filter);
    entry.app().map_or_else(|| has("unidentified"), |app| has(&app.name) || has(&app.id))
        || entry.process().is_some_and(|process| has(&process.path))
        || has(verdict(entry))
        || has(&connection.flow.to_string())
        || has(&connection.reason.to_string())
}

/// What became of it, in a word.
pub(crate) fn verdict(entry: &Entry) -> &'static str {
    match (entry.connection.action, entry.ended) {
        (Action::Allow, Some(_)) => "ended",
        (action, _) => action.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::sample;

    fn ports(lists: &Lists) -> Vec<u16> {
        lists.connections.iter().filter_map(Flow::destination_port).collect()
    }

    fn names(lists: &Lists) -> Vec<String> {
        let name = |row: &AppRow| row.app.as_ref().map_or("all".into(), |app| app.name.to_string());
        lists.apps.iter().map(name).collect()
    }

    #[test]
    fn each_order_puts_first_what_it_says() {
        let known = sample::known();
        let cases = [
            (
                Sort::Rate,
                vec!["all", "curl", "sshd", "evil\u{1b}[2J", "Unidentified"],
                vec![443, 22, 25, 53, 80],
            ),
            (
                Sort::Bytes,
                vec!["all", "sshd", "curl", "evil\u{1b}[2J", "Unidentified"],
                vec![22, 443, 80, 25, 53],
            ),
            (
                Sort::Name,
                vec!["all", "curl", "evil\u{1b}[2J", "sshd", "Unidentified"],
                vec![80, 443, 53, 25, 22],
            ),
            (
                Sort::Newest,
                vec!["all", "evil\u{1b}[2J", "Unidentified", "curl", "sshd"],
                vec![25, 53, 80, 443, 22],
            ),
        ];
        for (sort, apps, connections) in cases {
            let lists = lists(&known, &Wish { sort, ..Wish::default() });
            assert_eq!(names(&lists), apps, "{sort:?}");
            assert_eq!(ports(&lists), connections, "{sort:?}");
        }
        assert_eq!((0..4).fold(Sort::Rate, |sort, _| sort.next()), Sort::Rate);
    }

    #[test]
    fn the_filter_looks_into_app_ends_verdict_and_reason() {
        let known = sample::known();
        let cases = [
            ("curl", vec![443, 80]),
            ("/usr/bin/curl", vec![443, 80]),
            ("path:/usr/sbin/sshd", vec![22]),
            ("10.0.0.5:443", vec![443]),
            ("reject", vec![25]),
            ("outgoing_rules", vec![25]),
            ("no 10.0.0.9 tcp/25", vec![25]),
            ("unidentified", vec![53]),
            ("udp", vec![53]),
            ("nothing of that", vec![]),
        ];
        for (filter, expected) in cases {
            let wish = Wish { filter: filter.to_owned(), ..Wish::default() };
            let lists = lists(&known, &wish);
            let mut found = ports(&lists);
            found.sort_by_key(|port| Reverse(*port));
            assert_eq!(found, expected, "{filter}");
            assert_eq!(lists.apps[0].open + lists.apps[0].denied, expected.len(), "{filter}");
        }
    }

    #[test]
    fn a_chosen_app_has_its_connections_and_no_others() {
        let known = sample::known();
        let app = Some(Arc::from("path:/usr/bin/curl"));
        let lists = lists(&known, &Wish { app, ..Wish::default() });
        assert_eq!(ports(&lists), [443, 80]);
        assert_eq!(lists.apps.len(), 5, "the list of apps is whole");
        let curl = &lists.apps[1];
        assert_eq!((curl.open, curl.denied, curl.traffic.sent_bytes), (2, 0, 5_000));
    }
}
