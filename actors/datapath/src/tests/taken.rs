//! Ends that one program after another uses.

use std::time::Duration;

use seawall_messages::process::{Method, Owner, Owners, ProcessKey};
use seawall_messages::verdict::{Action, Lifetime};
use seawall_messages::{Direction, Flow, Judgement, Protocol, Reach};
use seawall_platform::linux::layout::QueueKind;
use seawall_platform::linux::queue::Answer;

use super::{Bench, STANDING, answers, asked, judgement};
use crate::parking::{Effect, MOST_PACKETS_PER_FLOW};
use crate::said_of::SaidOf;

/// Whose all connections are now; `None`: nobody knows.
struct AllOf(Option<u32>);

impl Owners for AllOf {
    fn owner(&self, _: &Flow, _: Option<u32>) -> Option<Owner> {
        let process = key(self.0?);
        Some(Owner { process, cookie: 9, uid: 1000, method: Method::Connect })
    }
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, started_ticks: 7, exec_id: Some(1) }
}

impl Bench {
    /// A packet from port 100, sent by this process.
    fn sent(&mut self, by: Option<u32>, protocol: Protocol, kind: QueueKind) -> Vec<Effect> {
        let (mut packet, mut flow) = self.packet(kind, 100, 0);
        flow.protocol = protocol;
        packet.headers =
            packet.headers.map(|headers| seawall_platform::packet::Headers { protocol, ..headers });
        let mut effects = Vec::new();
        self.parking.packet(packet, flow, &AllOf(by), STANDING, self.now, &mut effects);
        effects
    }
}

/// Whose each question is, and whether it is of an open connection.
fn questions(effects: &[Effect]) -> Vec<(Option<u32>, bool)> {
    let question = |effect: &Effect| match effect {
        Effect::Ask(_, request) => {
            Some((request.owner.map(|owner| owner.process.pid), request.is_open))
        }
        _ => None,
    };
    effects.iter().filter_map(question).collect()
}

#[test]
fn what_was_said_of_one_program_is_not_said_of_the_next() {
    const A: Option<u32> = Some(1);
    const B: Option<u32> = Some(2);
    use Action::{Allow, Reject};
    use QueueKind::{New, ParkedOriginal, Untracked};
    const TCP: Protocol = Protocol::TCP;
    const UDP: Protocol = Protocol::UDP;
    const ICMP: Protocol = Protocol::ICMP;
    // Of whom it was said, who sends then, and whether that is asked about.
    let cases = [
        (TCP, Allow, A, A, New, false),
        (TCP, Allow, A, B, New, true),
        (TCP, Reject, A, A, New, false),
        (TCP, Reject, A, B, New, true),
        // Without notes: a connection that begins may be anybody's.
        (TCP, Allow, None, None, New, true),
        (TCP, Reject, None, None, New, true),
        (TCP, Allow, A, None, New, true),
        (TCP, Allow, None, B, New, true),
        // The same where the kernel doesn't track it: of what is allowed there nothing is remembered.
        (TCP, Reject, A, A, Untracked, false),
        (TCP, Reject, A, B, Untracked, true),
        // What belongs to a connection is its program's.
        (TCP, Allow, A, B, ParkedOriginal, false),
        (TCP, Allow, None, None, ParkedOriginal, false),
        (UDP, Allow, A, A, New, false),
        (UDP, Allow, A, B, New, true),
        (UDP, Reject, A, B, New, true),
        (UDP, Allow, A, B, ParkedOriginal, true),
        (UDP, Allow, None, None, New, false),
        (UDP, Allow, None, None, ParkedOriginal, false),
        (UDP, Allow, None, B, New, true),
        (UDP, Allow, A, None, ParkedOriginal, true),
        (ICMP, Allow, A, A, New, false),
        (ICMP, Allow, A, B, New, true),
    ];
    for case in cases {
        let (protocol, action, then, now, kind, is_asked) = case;
        let mut bench = Bench::new();
        bench.sent(then, protocol, QueueKind::New);
        bench.answered(0, Ok(judgement(action, Lifetime::Packet, 3)));
        let expected = if is_asked { vec![(now, false)] } else { vec![] };
        assert_eq!(questions(&bench.sent(now, protocol, kind)), expected, "{case:?}");
    }
}

#[test]
fn what_is_said_of_everybody_is_said_of_the_next_program_too() {
    for action in [Action::Allow, Action::Reject] {
        let mut bench = Bench::new();
        bench.sent(Some(1), Protocol::TCP, QueueKind::New);
        let of_all = Judgement { reach: Reach::Service, ..judgement(action, Lifetime::Packet, 3) };
        bench.answered(0, Ok(of_all));
        assert!(asked(&bench.sent(Some(2), Protocol::TCP, QueueKind::New)).is_empty());
    }
}

#[test]
fn whoever_knocks_at_a_closed_door_is_asked_about_once() {
    let mut bench = Bench::new();
    let (packet, flow) = bench.packet(QueueKind::New, 100, 0);
    let inbound = Flow { direction: Direction::Inbound, ..flow };
    for (action, holds) in [(Action::Drop, true), (Action::Allow, false)] {
        assert_eq!(SaidOf::Somebody.holds_for(&packet, &inbound, action, &AllOf(None)), holds);
        assert!(!SaidOf::Somebody.holds_for(&packet, &inbound, action, &AllOf(Some(1))));
    }
}

#[test]
fn the_other_thread_learns_whose_it_is() {
    for (by, expected) in [(Some(1), Some(key(1))), (None, None)] {
        let mut bench = Bench::new();
        bench.sent(by, Protocol::UDP, QueueKind::New);
        let told = [
            bench.answered(0, Ok(judgement(Action::Allow, Lifetime::Packet, 3))),
            bench.sent(by, Protocol::UDP, QueueKind::ParkedOriginal),
        ];
        for effects in told {
            let learnt = effects.iter().find_map(|effect| match effect {
                Effect::Learn(_, _, process) => Some(*process),
                _ => None,
            });
            assert_eq!(learnt, Some(expected), "{by:?}");
        }
    }
}

#[test]
fn what_another_program_sends_doesnt_wait_with_what_waits_for_the_user_or_is_over() {
    let of_user = [(Protocol::TCP, true), (Protocol::UDP, true), (Protocol::TCP, false)];
    for (protocol, is_users) in of_user {
        let mut bench = Bench::new();
        let arrives = |bench: &mut Bench, pid| bench.sent(Some(pid), protocol, QueueKind::New);
        let token = asked(&arrives(&mut bench, 1))[0];
        if is_users {
            assert!(bench.waits(token, 1).is_empty());
        }
        assert!(asked(&arrives(&mut bench, 1)).is_empty(), "its own joins it");
        let effects = arrives(&mut bench, 2);
        let [another] = asked(&effects)[..] else { panic!("one question: {effects:?}") };
        assert_eq!(answers(&effects), [(1, Answer::Drop), (2, Answer::Drop)]);
        let late = bench.answered(token, Ok(judgement(Action::Allow, Lifetime::Flow, 3)));
        assert!(late.is_empty(), "what was said of the first is not said of the other: {late:?}");
        let effects = bench.answered(another, Ok(judgement(Action::Reject, Lifetime::Flow, 3)));
        assert_eq!(answers(&effects).len(), 1);
        let left = (bench.parking.flows(), bench.parking.packets(), bench.parking.asked());
        assert_eq!(left, (0, 0, (0, 0)));
    }
}

#[test]
fn datagrams_of_several_programs_are_each_judged_as_their_own() {
    let mut bench = Bench::new();
    let udp = |bench: &mut Bench, pid| bench.sent(Some(pid), Protocol::UDP, QueueKind::New);
    let first = asked(&udp(&mut bench, 1))[0];
    for pid in [2, 1, 3, 2] {
        assert!(udp(&mut bench, pid).is_empty(), "it waits");
    }
    assert_eq!((bench.parking.flows(), bench.parking.packets()), (1, 5));
    let numbers = |effects: &[Effect]| answers(effects).iter().map(|of| of.0).collect::<Vec<_>>();
    let of_first = bench.answered(first, Ok(judgement(Action::Allow, Lifetime::Packet, 3)));
    assert_eq!((numbers(&of_first), questions(&of_first)), (vec![1, 3], vec![(Some(2), false)]));
    let denied = judgement(Action::Drop, Lifetime::Packet, 3);
    let of_second = bench.answered(asked(&of_first)[0], Ok(denied));
    assert_eq!(answers(&of_second), [(2, Answer::Drop), (5, Answer::Drop)]);
    assert_eq!(questions(&of_second), [(Some(3), false)]);
    let of_third = asked(&of_second)[0];
    assert_eq!(numbers(&udp(&mut bench, 2)), [6], "its verdict stands");
    // Meanwhile a fourth sends, and the third waits for the user: it lets go of that.
    assert!(udp(&mut bench, 4).is_empty());
    let waits = bench.waits(of_third, 1);
    assert_eq!(
        (answers(&waits), questions(&waits)),
        (vec![(4, Answer::Drop)], vec![(Some(4), false)])
    );
    let rest = bench.answered(asked(&waits)[0], Ok(judgement(Action::Allow, Lifetime::Packet, 3)));
    assert_eq!(numbers(&rest), [7]);
    let left = (bench.parking.flows(), bench.parking.packets(), bench.parking.asked());
    assert_eq!(left, (0, 0, (0, 0)));
}

#[test]
fn what_waits_behind_anothers_is_bounded_and_denied_in_time() {
    let mut bench = Bench::new();
    let udp = |bench: &mut Bench, pid| bench.sent(Some(pid), Protocol::UDP, QueueKind::New);
    udp(&mut bench, 1);
    for _ in 1..MOST_PACKETS_PER_FLOW {
        assert!(udp(&mut bench, 2).is_empty());
    }
    assert_eq!(answers(&udp(&mut bench, 2)).len(), 1);
    let effects = bench.after(Duration::from_secs(5));
    assert_eq!((answers(&effects).len(), questions(&effects)), (1, vec![(Some(2), false)]));
    assert_eq!(answers(&bench.after(Duration::from_secs(5))).len(), MOST_PACKETS_PER_FLOW - 1);
    assert_eq!((bench.parking.flows(), bench.parking.packets()), (0, 0));
}

#[test]
fn a_connection_that_is_open_outlives_silence() {
    let mut bench = Bench::new();
    bench.sent(Some(1), Protocol::UDP, QueueKind::ParkedOriginal);
    let effects = bench.after(Duration::from_secs(5));
    assert_eq!(answers(&effects), [(1, Answer::Drop)]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Learn(..))));
    let next = bench.sent(Some(1), Protocol::UDP, QueueKind::ParkedOriginal);
    assert_eq!(questions(&next), [(Some(1), true)]);
}
