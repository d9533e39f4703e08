//! Lists and changes, as those who follow along see them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use seawall_messages::datapath::{Connection, Cursor};
use seawall_messages::{
    Action, Direction, Flow, Judgement, Layer, Lifetime, PolicyGeneration, Protocol, Reach, Reason,
};

use super::{Listing, MOST_ANSWERED, MOST_CHANGES, MOST_LISTED};

const GENERATION: PolicyGeneration = PolicyGeneration(1);

fn flow(number: u32) -> Flow {
    let [_, high, middle, low] = number.to_be_bytes();
    let to = SocketAddr::from(([10, high, middle, low], 80));
    Flow::between(Direction::Outbound, Protocol::TCP, ([10, 77, 0, 1], 5000).into(), to)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + seconds)
}

fn decided(number: u32, action: Action, seconds: u64) -> Connection {
    Connection {
        flow: flow(number),
        action,
        reason: Reason::plain(Layer::DefaultAction, "test"),
        permanent: true,
        generation: GENERATION,
        decided: at(seconds),
        live: false,
        uid: None,
        owner: None,
        interface: None,
        used_by: None,
    }
}

fn tracked(numbers: impl IntoIterator<Item = u32>) -> HashMap<Flow, bool> {
    numbers.into_iter().map(|number| (flow(number), true)).collect()
}

/// Follows along as a client does.
#[derive(Default)]
struct Follower {
    cursor: Cursor,
    known: HashMap<Flow, bool>,
    voided: u32,
}

impl Follower {
    fn follow(&mut self, listing: &Listing) -> Vec<(Flow, bool)> {
        let mut told = Vec::new();
        loop {
            let changes = listing.changes(self.cursor);
            if changes.anew {
                self.known.clear();
                self.voided += 1;
            }
            self.cursor = changes.cursor;
            told.extend(changes.connections.iter().map(|it| (it.flow, it.live)));
            self.known.extend(changes.connections.iter().map(|it| (it.flow, it.live)));
            if !changes.more {
                return told;
            }
        }
    }
}

#[test]
fn what_changed_is_told_once_and_in_order() {
    let mut listing = Listing::new(9);
    let mut follower = Follower::default();
    assert_eq!(follower.follow(&listing), [], "nothing yet, on a list of its own");
    listing.decided(decided(1, Action::Allow, 0));
    listing.decided(decided(2, Action::Reject, 0));
    assert_eq!(follower.follow(&listing), [(flow(1), true), (flow(2), false)]);
    assert_eq!(follower.follow(&listing), []);
    // A look that comes before the kernel tracks it ends nothing.
    listing.looked(&HashMap::new(), GENERATION, at(0));
    assert_eq!(follower.follow(&listing), []);
    listing.looked(&tracked([1]), GENERATION, at(2));
    assert_eq!(follower.follow(&listing), []);
    listing.looked(&HashMap::new(), GENERATION, at(3));
    assert_eq!(follower.follow(&listing), [(flow(1), false)]);
    assert_eq!(follower.voided, 1, "only at first");
}

#[test]
fn another_run_of_the_controller_voids_what_was_told() {
    let mut follower = Follower::default();
    let mut listing = Listing::new(1);
    (0..50).for_each(|number| listing.decided(decided(number, Action::Allow, 0)));
    follower.follow(&listing);
    let mut listing = Listing::new(2);
    listing.decided(decided(7, Action::Allow, 0));
    follower.follow(&listing);
    assert_eq!(follower.known, HashMap::from([(flow(7), true)]));
    // One that claims more than there is knows of another list.
    let changes = listing.changes(Cursor { feed: 2, number: 100 });
    assert!(changes.anew && changes.connections.len() == 1);
}

#[test]
fn a_verdict_that_changes_is_told_and_a_denial_is_no_open_connection() {
    let mut listing = Listing::new(1);
    listing.decided(decided(1, Action::Allow, 0));
    let cursor = listing.changes(Cursor::default()).cursor;
    let judgement = Judgement {
        action: Action::Reject,
        lifetime: Lifetime::Flow,
        reason: Reason::plain(Layer::OutgoingRule, "a rule"),
        generation: PolicyGeneration(2),
        reach: Reach::Flow,
        breadth: seawall_messages::Breadth::Service,
    };
    listing.judged(&flow(1), &judgement);
    listing.judged(&flow(2), &judgement);
    let changes = listing.changes(cursor);
    let told: Vec<_> = changes.connections.iter().map(|it| (it.flow, it.action, it.live)).collect();
    assert_eq!(told, [(flow(1), Action::Reject, false)]);
    listing.looked(&tracked([1]), GENERATION, at(9));
    assert!(!listing.newest()[0].live, "its entry may outlive the denial");
}

#[test]
fn connections_of_an_earlier_worker_are_listed_while_they_are_open() {
    let mut listing = Listing::new(1);
    let mut follower = Follower::default();
    listing.looked(&HashMap::from([(flow(1), true), (flow(2), false)]), GENERATION, at(0));
    assert_eq!(follower.follow(&listing), [(flow(1), true)], "the other awaits its verdict");
    assert_eq!(listing.newest()[0].reason.layer, Layer::Inherited);
    listing.looked(&HashMap::new(), GENERATION, at(1));
    assert_eq!(follower.follow(&listing), [(flow(1), false)]);
    assert!(listing.newest().is_empty());
}

#[test]
fn loopback_is_never_open() {
    let mut listing = Listing::new(1);
    let home = IpAddr::from([127, 0, 0, 1]);
    let flow = Flow { initiator: home, responder: home, ..flow(1) };
    listing.decided(Connection { flow, ..decided(1, Action::Allow, 0) });
    assert!(!listing.newest()[0].live);
}

#[test]
fn room_is_made_of_what_is_over_first_and_who_follows_along_knows_the_same_open_ones() {
    let mut listing = Listing::new(1);
    let mut follower = Follower::default();
    let many = u32::try_from(MOST_LISTED).expect("a small number");
    let open = |listing: &Listing| {
        let live = listing.rows.values().filter(|row| row.connection.live);
        live.map(|row| row.connection.flow).collect::<std::collections::HashSet<_>>()
    };
    (0..100).for_each(|number| listing.decided(decided(number, Action::Allow, 0)));
    (100..3 * many).for_each(|number| listing.decided(decided(number, Action::Reject, 1)));
    assert!(listing.rows.len() <= MOST_LISTED);
    assert_eq!(open(&listing).len(), 100, "open ones stay");
    follower.follow(&listing);
    let told_anew = follower.voided;
    // More open ones than there is room for: some are forgotten, and that is told.
    for number in 3 * many..5 * many {
        listing.decided(decided(number, Action::Allow, 2));
        if number % 1_000 == 0 {
            follower.follow(&listing);
        }
    }
    follower.follow(&listing);
    assert!(follower.voided > told_anew);
    assert!(listing.rows.len() <= MOST_LISTED && listing.newest().len() == MOST_ANSWERED);
    let known = follower.known.iter().filter(|(_, live)| **live).map(|(flow, _)| *flow);
    assert_eq!(known.collect::<std::collections::HashSet<_>>(), open(&listing));
    assert_eq!(listing.changes(Cursor::default()).connections.len(), MOST_CHANGES);
}

#[test]
fn after_a_look_open_ones_outlast_younger_ones_that_are_over() {
    let mut listing = Listing::new(1);
    let many = u32::try_from(MOST_LISTED).expect("a small number");
    assert!(!listing.lacks_room_for(MOST_LISTED));
    (0..many).for_each(|number| listing.decided(decided(number, Action::Allow, 0)));
    assert!(listing.lacks_room_for(1));
    listing.looked(&tracked(0..100), GENERATION, at(5));
    listing.decided(decided(many, Action::Allow, 5));
    let open = listing.rows.values().filter(|row| row.connection.live).count();
    assert_eq!(open, 101);
}

#[test]
fn the_last_decided_comes_first_whatever_the_clock_says() {
    let mut listing = Listing::new(1);
    for (number, seconds) in [(1, 900), (2, 100), (3, 500)] {
        listing.decided(decided(number, Action::Allow, seconds));
    }
    let newest: Vec<_> = listing.newest().iter().map(|connection| connection.flow).collect();
    assert_eq!(newest, [flow(3), flow(2), flow(1)]);
    assert!(listing.knows(&flow(1)) && !listing.knows(&flow(4)));
    listing.decided(decided(1, Action::Allow, 950));
    assert_eq!(listing.newest()[0].flow, flow(3), "one that is open is no newer");
    listing.looked(&tracked([2, 3]), GENERATION, at(990));
    listing.decided(Connection { permanent: false, ..decided(1, Action::Allow, 990) });
    assert_eq!(listing.newest()[0].flow, flow(3), "nor is one by its farewell");
    listing.looked(&tracked([2, 3]), GENERATION, at(995));
    listing.decided(decided(1, Action::Allow, 996));
    assert_eq!(listing.newest()[0].flow, flow(1), "the ends of one that is over are another's");
}
