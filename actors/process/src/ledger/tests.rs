use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::process::{App, AppKind, Attribution, Method, Process, ProcessKey, Traffic};
use seawall_messages::{Direction, Flow, Protocol, Transport};

use super::{Counter, Counting, Ledger, MOST_APPS, MOST_MEASURED_APPS, OTHERS};
use crate::finder::Found;

fn flow(port: u16) -> Flow {
    Flow {
        direction: Direction::Outbound,
        protocol: Protocol::TCP,
        initiator: [10, 0, 0, 1].into(),
        responder: [10, 0, 0, 2].into(),
        transport: Transport::Ports { initiator: port, responder: 80 },
    }
}

fn found(name: &str, pid: u32, cookie: Option<u64>) -> Found {
    let process = Process {
        key: ProcessKey { pid, started_ticks: 1, exec_id: Some(1) },
        parent_pid: 1,
        uid: 0,
        path: Arc::from(format!("/usr/bin/{name}")),
        deleted: false,
        command_line: Vec::new(),
        parent_path: Arc::from(""),
        ancestors: Vec::new(),
        cgroup: Arc::from(""),
        sha256: None,
        app: App {
            id: Arc::from(format!("path:/usr/bin/{name}")),
            kind: AppKind::Path,
            name: Arc::from(name),
            icon: None,
        },
    };
    let attribution = Attribution { method: Method::Connect, process: Some(Arc::new(process)) };
    Found { attribution, cookie }
}

fn sent(bytes: u64) -> Traffic {
    Traffic { sent_bytes: bytes, sent_packets: 1, ..Traffic::default() }
}

#[test]
fn traffic_adds_up_by_app_and_rates_are_those_of_the_last_look() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    ledger.note(flow(1), &found("curl", 7, Some(11)), start);
    ledger.note(flow(2), &found("curl", 8, Some(12)), start);
    ledger.note(flow(3), &found("wget", 9, Some(13)), start);
    let later = start + Duration::from_secs(2);
    assert_eq!(
        ledger.looked(Counter::Socket(11), sent(1000), later).map(|(_, new)| new),
        Some(sent(1000))
    );
    ledger.looked(Counter::Socket(12), sent(500), later);
    ledger.looked(Counter::Socket(13), sent(100), later);
    let apps = ledger.apps(&[flow(1), flow(3)], later);
    let shown: Vec<_> = apps
        .iter()
        .map(|of| (&*of.app.name, of.open, of.connections, of.traffic.sent_bytes, of.pids.clone()))
        .collect();
    assert_eq!(shown, [("curl", 1, 2, 1500, vec![7]), ("wget", 1, 1, 100, vec![9])]);
    assert_eq!(apps[0].rates.sent_bytes_per_s, 750.0);
    assert_eq!(apps[0].methods, [(Method::Connect, 2)]);
    let of = ledger.flow_use(&flow(1), later).expect("noted");
    assert_eq!(of.traffic.map(|traffic| traffic.sent_bytes), Some(1000));
    assert_eq!(of.rates.map(|rates| rates.sent_bytes_per_s), Some(500.0));
    let much_later = later + Duration::from_secs(60);
    let of = ledger.flow_use(&flow(1), much_later).expect("noted");
    assert_eq!(of.rates.map(|rates| rates.sent_bytes_per_s), Some(0.0), "nobody looked since");
}

#[test]
fn a_closed_socket_is_looked_at_once_more_and_then_forgotten() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut ledger = Ledger::default();
    let datagrams = |port| Flow { protocol: Protocol::UDP, ..flow(port) };
    ledger.note(datagrams(1), &found("curl", 7, Some(11)), start);
    ledger.note(datagrams(2), &found("curl", 7, Some(11)), start);
    ledger.looked(Counter::Socket(11), sent(20), start);
    assert_eq!(ledger.sockets(at(1)), [11]);
    let left = ledger.closed(Counter::Socket(11), Protocol::TCP, sent(50), None, at(1));
    let mut had = left.flows;
    had.sort();
    assert_eq!(had, [datagrams(1), datagrams(2)]);
    assert_eq!(left.counted.map(|(_, new)| new.sent_bytes), Some(30));
    let unknown = ledger.closed(Counter::Socket(99), Protocol::TCP, sent(0), None, start);
    assert!(unknown.flows.is_empty() && unknown.counted.is_none());
    ledger.expire(at(2));
    assert!(ledger.sockets(at(2)).is_empty(), "what it moves from now on can wait");
    assert_eq!(ledger.sockets(at(30)), [11]);
    let looked = ledger.looked(Counter::Socket(11), sent(60), at(30));
    assert_eq!(looked.map(|(_, new)| new.sent_bytes), Some(10));
    ledger.expire(at(30));
    assert!(ledger.sockets(at(30)).is_empty());
    assert!(ledger.has_closed(11));
    assert_eq!(ledger.apps(&[], start)[0].traffic.sent_bytes, 60, "what it moved stays");
}

/// The kernel forgets what was used least lately.
#[test]
fn a_count_that_was_pushed_out_before_the_end_takes_nothing_away() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    ledger.note(flow(1), &found("curl", 7, Some(11)), start);
    ledger.looked(Counter::Socket(11), sent(60), start);
    assert!(
        ledger
            .closed(Counter::Socket(11), Protocol::TCP, Traffic::default(), None, start)
            .counted
            .is_none()
    );
    let of = ledger.flow_use(&flow(1), start).expect("noted");
    assert_eq!(of.traffic, Some(sent(60)));
}

#[test]
fn a_socket_that_closed_before_its_connection_was_told_counts_once_and_is_forgotten() {
    let start = Instant::now();
    for owner_was_known in [true, false] {
        let mut ledger = Ledger::default();
        let found = found("curl", 7, Some(11));
        let owner = owner_was_known.then_some(&found.attribution);
        let counted =
            ledger.closed(Counter::Socket(11), Protocol::TCP, sent(60), owner, start).counted;
        assert_eq!(counted.is_some(), owner_was_known);
        ledger.note(flow(1), &found, start);
        ledger.looked(Counter::Socket(11), sent(60), start);
        assert_eq!(ledger.apps(&[], start)[0].traffic.sent_bytes, 60, "{owner_was_known}");
        ledger.expire(start + Duration::from_secs(30));
        assert!(ledger.sockets(start + Duration::from_secs(30)).is_empty(), "{owner_was_known}");
        ledger.note(flow(1), &found, start);
        ledger.looked(Counter::Socket(11), sent(60), start);
        assert_eq!(ledger.apps(&[], start)[0].traffic.sent_bytes, 60, "{owner_was_known}");
    }
}

/// It waited for its verdict when its socket closed, and nobody tells of that socket.
#[test]
fn a_datagram_that_leaves_after_its_socket_closed_counts() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let owner = found("curl", 7, None).attribution;
    let mut ledger = Ledger::default();
    let mut close = |cookie, protocol, owner| {
        ledger.closed(Counter::Socket(cookie), protocol, Traffic::default(), owner, start);
    };
    close(11, Protocol::UDP, Some(&owner));
    close(12, Protocol::TCP, Some(&owner));
    close(13, Protocol::UDP, None);
    assert!(ledger.sockets(at(1)).is_empty(), "it may still wait");
    ledger.expire(at(1));
    assert_eq!(
        ledger.sockets(at(5)),
        [11],
        "of the others it is told, or nobody knows whose they are"
    );
    ledger.looked(Counter::Socket(11), sent(60), at(5));
    ledger.expire(at(5));
    assert!(ledger.sockets(at(5)).is_empty() && ledger.has_closed(11));
    assert_eq!(ledger.apps(&[], at(5))[0].traffic.sent_bytes, 60);
}

#[test]
fn room_that_a_storm_took_is_given_back() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    for cookie in 1..=50_000 {
        ledger.note(flow(1), &found("curl", 7, Some(cookie)), start);
        ledger.closed(Counter::Socket(cookie), Protocol::TCP, sent(1), None, start);
    }
    let taken = ledger.sockets.capacity();
    ledger.expire(start + Duration::from_secs(30));
    assert!(ledger.sockets.capacity() < taken / 8, "{} of {taken}", ledger.sockets.capacity());
}

#[test]
fn a_count_that_began_anew_is_new_as_a_whole() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    ledger.note(flow(1), &found("curl", 7, Some(11)), start);
    ledger.looked(Counter::Socket(11), sent(1000), start);
    let looked = ledger.looked(Counter::Socket(11), sent(10), start);
    assert_eq!(looked.map(|(_, new)| new.sent_bytes), Some(10));
}

#[test]
fn apps_are_bounded() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    for number in 0..MOST_APPS + 10 {
        let owner = found(&format!("app-{number}"), 1, None).attribution;
        let counted = ledger
            .closed(Counter::Socket(number as u64), Protocol::TCP, sent(1), Some(&owner), start)
            .counted;
        let label = counted.expect("its owner is known").0;
        // One is there from the start: nobody's, which also takes what is too many.
        let expected = match number + 1 {
            0..MOST_MEASURED_APPS => format!("path:/usr/bin/app-{number}"),
            MOST_MEASURED_APPS..MOST_APPS => OTHERS.to_owned(),
            _ => "unidentified".to_owned(),
        };
        assert_eq!(*label, *expected);
    }
    let apps = ledger.apps(&[], start);
    assert_eq!(apps.len(), MOST_APPS);
    let rest = apps.iter().find(|of| of.app.kind == AppKind::Unidentified).expect("there");
    assert_eq!(rest.traffic.sent_bytes, 11);
}

#[test]
fn connections_are_counted_one_by_one_where_nobody_counts_sockets() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut ledger = Ledger::default();
    ledger.note(flow(1), &found("curl", 7, None), start);
    assert!(ledger.connections().is_empty(), "nobody counts");
    ledger.count(Counting::Connections);
    ledger.note(flow(1), &found("curl", 7, None), start);
    ledger.note(flow(2), &found("curl", 7, Some(11)), start);
    let both = HashSet::from([flow(1), flow(2)]);
    assert_eq!(ledger.connections(), both);
    assert!(ledger.sockets(start).is_empty(), "nobody counts these");
    for (port, bytes) in [(1, 1000), (2, 50)] {
        ledger.looked(Counter::Connection(flow(port)), sent(bytes), start);
        let of = ledger.flow_use(&flow(port), start).expect("noted");
        assert_eq!(of.traffic, Some(sent(bytes)));
    }
    ledger.ended_but(&HashSet::from([flow(2)]), at(1));
    ledger.ended_but(&both, at(2));
    ledger.expire(at(60));
    assert_eq!(ledger.connections(), both, "not tracked yet is not ended");
    ledger.ended_but(&HashSet::from([flow(2)]), at(60));
    ledger.expire(at(90));
    assert_eq!(ledger.connections(), HashSet::from([flow(2)]));
    assert_eq!(ledger.apps(&[], start)[0].traffic.sent_bytes, 1050);
}

#[test]
fn what_moved_or_came_to_rest_since_is_told_and_nothing_else() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    for (port, cookie, name) in [(1, 11, "curl"), (2, 12, "curl"), (3, 13, "wget")] {
        ledger.note(flow(port), &found(name, 7, Some(cookie)), start);
    }
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut since = 0;
    let mut told = |ledger: &Ledger, seconds| {
        let moves = ledger.moves(since, at(seconds));
        since = moves.number;
        let mut sockets: Vec<_> = moves.sockets.iter().map(|it| it.socket).collect();
        sockets.sort_unstable();
        let mut apps: Vec<_> = moves.apps.iter().map(|it| it.app.name.to_string()).collect();
        apps.sort_unstable();
        (sockets, apps)
    };
    let all = ["Unidentified", "curl", "wget"].map(str::to_owned).to_vec();
    assert_eq!(told(&ledger, 0), (Vec::new(), all), "apps, and nothing that moved");
    let look = |ledger: &mut Ledger, bytes: [u64; 3], seconds| {
        for (cookie, bytes) in (11..).zip(bytes) {
            let moved = if bytes == 0 { Traffic::default() } else { sent(bytes) };
            ledger.looked(Counter::Socket(cookie), moved, at(seconds));
        }
    };
    look(&mut ledger, [1_000, 0, 0], 1);
    let (sockets, apps) = told(&ledger, 1);
    assert_eq!((sockets, apps), (vec![11], vec!["curl".to_owned()]));
    assert_eq!(told(&ledger, 1), (Vec::new(), Vec::new()), "once");
    look(&mut ledger, [1_000, 0, 0], 2);
    assert_eq!(told(&ledger, 2).0, [11], "it rests");
    look(&mut ledger, [1_000, 0, 0], 3);
    assert_eq!(told(&ledger, 3), (Vec::new(), Vec::new()));
    ledger.looked(Counter::Socket(12), sent(500), at(4));
    let moves = ledger.moves(since, at(4));
    assert_eq!(moves.apps[0].rates.sent_bytes_per_s, 500.0);
    assert_eq!(moves.apps[0].traffic.sent_bytes, 1_500);
}

#[test]
fn an_app_is_told_of_again_when_it_is_seen_a_day_later() {
    let start = Instant::now();
    let mut ledger = Ledger::default();
    let told = |ledger: &mut Ledger, now| {
        let seen = ledger.seen().len();
        ledger.told(now);
        seen
    };
    let day = Duration::from_hours(24);
    let mut note = |port, after| {
        ledger.note(flow(port), &found("curl", 7, None), start + after);
        told(&mut ledger, start + after)
    };
    assert_eq!(note(1, Duration::ZERO), 1);
    assert_eq!(note(2, day / 2), 0);
    assert_eq!(note(3, day), 1);
    assert_eq!(note(4, day), 0);
    assert_eq!(note(5, day * 3), 1);
}
