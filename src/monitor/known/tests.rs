//! Answers in, happenings out.

use std::sync::Arc;
use std::time::Duration;

use seawall_messages::Action;
use seawall_messages::api::Changes;
use seawall_messages::datapath::{Connection, ConnectionChanges};

use super::{Happened, Known, MOST_OVER};
use crate::monitor::sample::{answer, at, changes, connection, known};

fn happened(told: Vec<(Happened, Connection)>) -> Vec<(Happened, u16)> {
    let port = |connection: Connection| connection.flow.destination_port().expect("a port");
    told.into_iter().map(|(happened, connection)| (happened, port(connection))).collect()
}

fn ended(connection: Connection) -> Connection {
    Connection { live: false, ..connection }
}

#[test]
fn what_happens_is_told_once() {
    use Happened::{Appeared, Changed, Ended};
    let mut known = Known::default();
    let one = || connection("curl", 1, "10.0.0.5:1");
    let denied = || Connection { action: Action::Reject, live: false, ..one() };
    let again = || Connection { decided: at(9), ..one() };
    let steps = [
        (vec![one()], vec![(Appeared, 1)]),
        (vec![one()], vec![]),
        (vec![denied()], vec![(Changed, 1)]),
        (vec![denied()], vec![]),
        (vec![again()], vec![(Appeared, 1)]),
        (vec![ended(again())], vec![(Ended, 1)]),
        (vec![ended(again())], vec![]),
        // It came and went between two answers.
        (vec![ended(connection("curl", 2, "10.0.0.5:2"))], vec![(Appeared, 2), (Ended, 2)]),
    ];
    for (number, (told, expected)) in (1..).zip(steps) {
        let told = known.take(changes(1, number, told), at(10 + number));
        assert_eq!(happened(told), expected, "step {number}");
    }
}

#[test]
fn the_first_answer_leaves_out_what_is_over() {
    let mut known = Known::default();
    let over = ended(connection("curl", 1, "10.0.0.5:1"));
    let told = known.take(changes(1, 1, vec![over, connection("curl", 2, "10.0.0.5:2")]), at(1));
    assert_eq!(happened(told), [(Happened::Appeared, 2)]);
}

#[test]
fn what_another_list_does_not_name_has_ended_once_it_is_told_to_its_end() {
    let mut known = Known::default();
    let of = |port: u16| connection("curl", port, &format!("10.0.0.5:{port}"));
    known.take(changes(1, 3, vec![of(1), of(2), of(3)]), at(1));
    let page = |number, more, connections| {
        let mut changes = changes(2, number, connections);
        changes.list.anew = number == 1;
        changes.list.more = more;
        changes
    };
    assert_eq!(happened(known.take(page(1, true, vec![of(1)]), at(2))), []);
    let told = happened(known.take(page(2, false, vec![of(3), of(4)]), at(2)));
    assert_eq!(told, [(Happened::Appeared, 4), (Happened::Ended, 2)]);
    assert_eq!(known.connections.values().filter(|entry| entry.connection.live).count(), 3);
}

#[test]
fn rates_and_bytes_follow_the_socket_until_it_ends() {
    let mut known = known();
    let flow = answer().list.connections[1].flow;
    let entry = |known: &Known| known.connections[&flow].clone();
    assert_eq!(entry(&known).rates().received_bytes_per_s, 1_200_000.0);
    assert_eq!(entry(&known).traffic().expect("counted").received_bytes, 56_000);
    assert_eq!(known.moves, 7);
    known.take(changes(1, 6, vec![ended(answer().list.connections[1].clone())]), at(61));
    known.take(Changes { moves: answer().moves, ..changes(1, 6, vec![]) }, at(61));
    assert_eq!(entry(&known).rates().received_bytes_per_s, 0.0);
}

#[test]
fn what_is_over_is_forgotten_after_a_while_and_what_is_open_never() {
    let mut known = known();
    let number = |known: &Known| known.connections.len();
    known.take(changes(1, 6, vec![ended(answer().list.connections[1].clone())]), at(60));
    let nothing = |number| changes(1, number, vec![]);
    known.take(nothing(7), at(69));
    assert_eq!(number(&known), 5);
    known.take(nothing(8), at(70));
    assert_eq!(number(&known), 4, "it ended");
    known.take(nothing(9), at(58 + 600));
    assert_eq!(number(&known), 3, "it was denied long ago");
    known.take(nothing(10), at(1_000_000));
    assert_eq!(number(&known), 3);
}

#[test]
fn of_a_flood_of_denials_the_newest_stay() {
    let mut known = Known::default();
    let count = u16::try_from(MOST_OVER).expect("a small number") + 500;
    let denial = |port: u16| Connection {
        action: Action::Drop,
        live: false,
        decided: at(0) + Duration::from_millis(u64::from(port)),
        ..connection("nmap", port, &format!("10.0.0.5:{port}"))
    };
    let list = ConnectionChanges {
        connections: (1..=count).map(denial).collect(),
        ..changes(1, 1, vec![]).list
    };
    known.take(Changes { list, moves: None }, at(10));
    assert_eq!(known.connections.len(), MOST_OVER);
    assert!(known.connections.contains_key(&denial(count).flow));
    assert!(known.sockets.len() <= MOST_OVER);
}

#[test]
fn connections_of_a_process_share_its_description() {
    let mut known = Known::default();
    let of = |socket: u16| connection("curl", socket, "10.0.0.5:80");
    known.take(changes(1, 2, vec![of(1), of(2)]), at(1));
    let mut processes = known.connections.values().map(|entry| {
        let used_by = entry.connection.used_by.as_ref().expect("known");
        used_by.attribution.process.clone().expect("known")
    });
    let (one, other) = (processes.next().expect("one"), processes.next().expect("another"));
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn graphs_go_on_and_rates_that_nobody_renews_fade() {
    let mut known = known();
    let id: Arc<str> = Arc::from("path:/usr/bin/curl");
    (61..=65).for_each(|second| known.tick(at(second)));
    assert_eq!(known.apps[&id].graph, [1_202_000.0; 5]);
    assert_eq!(known.graph.len(), 5);
    known.tick(at(71));
    assert_eq!(known.apps[&id].graph.back(), Some(&0.0));
    (72..200).for_each(|second| known.tick(at(second)));
    assert_eq!(known.graph.len(), 60);
}
