//! The flow table, case by case.

mod asked;
mod taken;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seawall_messages::keeper::Layout;
use seawall_messages::process::{Method, Owner, Owners, ProcessKey};
use seawall_messages::verdict::{self, Action, Lifetime};
use seawall_messages::{
    Breadth, Flow, Hook, Judgement, Layer, PolicyGeneration, Protocol, Reach, Reason, Transport,
};
use seawall_platform::linux::layout::{
    Epoch, MarkAction, QueueId, QueueKind, reentry_flag, verdict_mark,
};
use seawall_platform::linux::queue::{Answer, Packet, Slot};
use seawall_platform::packet::Headers;
use seawall_runtime::AskError;

use crate::answer::{Decision, shortened};
use crate::flow_of::flow_of;
use crate::parking::{Effect, MOST_FLOWS, MOST_PACKETS_PER_FLOW, PARKED_DEADLINE, Parking};
use crate::standing::Standing;

const STANDING: Standing = Standing { generation: PolicyGeneration(3), epoch: Epoch::FIRST };

struct Bench {
    parking: Parking,
    owners: ByPort,
    now: Instant,
    ids: u32,
}

/// Stands in for the kernel's notes: ports from 100 on belong to process 1 (even ones) or 2.
struct ByPort;

/// Nothing is known of anybody.
struct NoOwners;

impl Owners for NoOwners {
    fn owner(&self, _: &Flow, _: Option<u32>) -> Option<Owner> {
        None
    }
}

impl Owners for ByPort {
    fn owner(&self, flow: &Flow, _: Option<u32>) -> Option<Owner> {
        let Transport::Ports { initiator: port @ 100.., .. } = flow.transport else { return None };
        let pid = 1 + u32::from(port % 2);
        let process = ProcessKey { pid, started_ticks: 7, exec_id: Some(1) };
        Some(Owner { process, cookie: 9, uid: 1000, method: Method::Connect })
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            parking: Parking::new(Layout::default()),
            owners: ByPort,
            now: Instant::now(),
            ids: 0,
        }
    }

    fn packet(&mut self, kind: QueueKind, port: u16, mark: u32) -> (Packet, Flow) {
        self.packet_to(SocketAddr::from(([10, 0, 0, 2], 80)), kind, port, mark)
    }

    fn packet_to(
        &mut self,
        to: SocketAddr,
        kind: QueueKind,
        port: u16,
        mark: u32,
    ) -> (Packet, Flow) {
        self.ids += 1;
        let headers = Headers {
            source: [10, 0, 0, 1].into(),
            destination: to.ip(),
            protocol: Protocol::TCP,
            transport: Transport::Ports { initiator: port, responder: to.port() },
            hop_limit: 64,
        };
        let queue = QueueId { hook: Hook::Output, kind };
        let packet = Packet {
            slot: Slot(self.ids),
            queue,
            id: self.ids,
            mark,
            uid: Some(1000),
            in_interface: None,
            out_interface: Some(2),
            headers: Some(headers),
            length_bytes: 60,
            crashes: 0,
        };
        (packet, flow_of(queue, &headers))
    }

    fn arrives(&mut self, kind: QueueKind, port: u16, mark: u32) -> Vec<Effect> {
        let (packet, flow) = self.packet(kind, port, mark);
        let mut effects = Vec::new();
        self.parking.packet(packet, flow, &self.owners, STANDING, self.now, &mut effects);
        effects
    }

    fn answered(&mut self, token: u64, answer: Result<Judgement, AskError>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let answer = answer.map(verdict::Answer::Judged);
        self.parking.answered(token, answer, STANDING, self.now, &mut effects);
        effects
    }

    fn after(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        let mut effects = Vec::new();
        self.parking.tick(STANDING, self.now, &mut effects);
        effects
    }
}

fn judgement(action: Action, lifetime: Lifetime, generation: u64) -> Judgement {
    Judgement {
        action,
        lifetime,
        reason: Reason::plain(Layer::DefaultAction, "test"),
        generation: PolicyGeneration(generation),
        reach: Reach::Flow,
        breadth: Breadth::Service,
    }
}

fn answers(effects: &[Effect]) -> Vec<(u32, Answer)> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer(packet, answer) => Some((packet.id, *answer)),
        _ => None,
    };
    effects.iter().filter_map(answer).collect()
}

fn asked(effects: &[Effect]) -> Vec<u64> {
    let token = |effect: &Effect| match effect {
        Effect::Ask(token, _) => Some(*token),
        _ => None,
    };
    effects.iter().filter_map(token).collect()
}

fn repeat(old: u32, action: MarkAction, standing: Option<Epoch>) -> Answer {
    Answer::Repeat { mark: verdict_mark(&Layout::default(), old, action, standing) }
}

#[test]
fn a_flow_is_asked_about_once_and_its_packets_go_on_in_order() {
    let mut bench = Bench::new();
    let first = bench.arrives(QueueKind::New, 1, 0x77);
    assert_eq!(asked(&first), vec![0]);
    assert!(answers(&first).is_empty());
    assert!(asked(&bench.arrives(QueueKind::New, 1, 0x77)).is_empty());
    assert!(asked(&bench.arrives(QueueKind::New, 1, 0x77)).is_empty());
    assert_eq!(bench.parking.packets(), 3);
    let effects = bench.answered(0, Ok(judgement(Action::Allow, Lifetime::Flow, 3)));
    let expected = repeat(0x77, MarkAction::Allow, Some(Epoch::FIRST));
    assert_eq!(answers(&effects), vec![(1, expected), (2, expected), (3, expected)]);
    assert_eq!((bench.parking.flows(), bench.parking.packets()), (0, 0));
}

#[test]
fn only_an_allow_that_brings_no_label_needs_no_other_round() {
    use Action::{Allow, Reject};
    let old = PolicyGeneration(2);
    let cases = [
        (repeat(7, MarkAction::Allow, None), Allow, Lifetime::Packet, 3, Answer::Accept),
        (repeat(7, MarkAction::Allow, None), Allow, Lifetime::Flow, old.0, Answer::Accept),
        (
            repeat(7, MarkAction::Allow, Some(Epoch::FIRST)),
            Allow,
            Lifetime::Flow,
            3,
            repeat(7, MarkAction::Allow, Some(Epoch::FIRST)),
        ),
        (
            repeat(7, MarkAction::Reject, Some(Epoch::FIRST)),
            Reject,
            Lifetime::Packet,
            3,
            repeat(7, MarkAction::Reject, Some(Epoch::FIRST)),
        ),
        (Answer::Drop, Action::Drop, Lifetime::Packet, 3, Answer::Drop),
        (Answer::Accept, Allow, Lifetime::Packet, 3, Answer::Accept),
    ];
    for (answer, action, lifetime, generation, expected) in cases {
        let decision = Decision::from(&judgement(action, lifetime, generation));
        assert_eq!(shortened(answer, decision, STANDING), expected, "{answer:?} {decision:?}");
    }
}

#[test]
fn answers_depend_on_verdict_queue_and_mark() {
    use Action::{Allow, Drop, Reject};
    let first = Some(Epoch::FIRST);
    let foreign = 0x6d6f_6c65;
    let cases = [
        (QueueKind::New, 0, Allow, Lifetime::Flow, repeat(0, MarkAction::Allow, first)),
        (QueueKind::New, 0, Allow, Lifetime::Packet, repeat(0, MarkAction::Allow, None)),
        (QueueKind::New, 0, Reject, Lifetime::Flow, repeat(0, MarkAction::Reject, first)),
        (QueueKind::New, 0, Reject, Lifetime::Packet, repeat(0, MarkAction::Reject, first)),
        (QueueKind::New, 0, Drop, Lifetime::Flow, Answer::Drop),
        (QueueKind::New, 0xca6c, Allow, Lifetime::Flow, repeat(0xca6c, MarkAction::Allow, first)),
        // Somebody else's mark lies over our bits: the rules keep a first packet's.
        (QueueKind::New, foreign, Allow, Lifetime::Flow, repeat(foreign, MarkAction::Allow, first)),
        (
            QueueKind::New,
            foreign,
            Allow,
            Lifetime::Packet,
            repeat(foreign, MarkAction::Allow, None),
        ),
        (QueueKind::New, foreign, Drop, Lifetime::Flow, Answer::Drop),
        (QueueKind::Untracked, foreign, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::ParkedOriginal, foreign, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::ParkedReply, foreign, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::RestOriginal, foreign, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::RestReply, foreign, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::Untracked, 0, Allow, Lifetime::Flow, Answer::Accept),
        (QueueKind::Untracked, 0, Reject, Lifetime::Flow, Answer::Drop),
        (QueueKind::New, 0, Reject, Lifetime::Once, repeat(0, MarkAction::Reject, first)),
        (QueueKind::ParkedOriginal, 0, Reject, Lifetime::Once, Answer::Drop),
        (
            QueueKind::ParkedOriginal,
            0,
            Reject,
            Lifetime::Packet,
            repeat(0, MarkAction::Reject, first),
        ),
        (QueueKind::ParkedOriginal, 0, Allow, Lifetime::Flow, repeat(0, MarkAction::Allow, first)),
    ];
    for (kind, mark, action, lifetime, expected) in cases {
        let mut bench = Bench::new();
        bench.arrives(kind, 1, mark);
        let effects = bench.answered(0, Ok(judgement(action, lifetime, 3)));
        assert_eq!(answers(&effects), vec![(1, expected)], "{kind:?} {mark:x} {action:?}");
    }
}

#[test]
fn a_verdict_of_an_older_policy_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 1, 0);
    let effects = bench.answered(0, Ok(judgement(Action::Allow, Lifetime::Flow, 2)));
    assert_eq!(asked(&effects), vec![0]);
    assert!(answers(&effects).is_empty());
}

#[test]
fn a_verdict_of_a_policy_not_yet_in_force_gets_no_permanence() {
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 1, 0);
    let effects = bench.answered(0, Ok(judgement(Action::Allow, Lifetime::Flow, 4)));
    assert_eq!(answers(&effects), vec![(1, repeat(0, MarkAction::Allow, None))]);
}

#[test]
fn a_denied_flow_that_tries_again_costs_no_question() {
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 100, 0);
    bench.answered(0, Ok(judgement(Action::Drop, Lifetime::Flow, 3)));
    let retry = bench.arrives(QueueKind::New, 100, 0);
    assert_eq!(answers(&retry), vec![(2, Answer::Drop)]);
    assert!(asked(&retry).is_empty());
    bench.after(Duration::from_secs(11));
    assert_eq!(asked(&bench.arrives(QueueKind::New, 100, 0)), vec![1]);
}

#[test]
fn a_flow_that_stays_in_the_queue_is_taught_to_the_other_thread() {
    let foreign = 0x6d6f_6c65;
    // Of a program that is known: a connection of nobody's that begins is asked about each time.
    let port = 100;
    for (kind, mark, lifetime, learnt) in [
        (QueueKind::New, 0, Lifetime::Packet, true),
        (QueueKind::New, foreign, Lifetime::Packet, true),
        (QueueKind::ParkedReply, 0, Lifetime::Flow, true),
        (QueueKind::ParkedReply, foreign, Lifetime::Flow, true),
        (QueueKind::New, 0, Lifetime::Flow, false),
        (QueueKind::New, foreign, Lifetime::Flow, false),
        (QueueKind::Untracked, foreign, Lifetime::Packet, false),
    ] {
        let mut bench = Bench::new();
        bench.arrives(kind, port, mark);
        let effects = bench.answered(0, Ok(judgement(Action::Allow, lifetime, 3)));
        let learns = effects.iter().any(|effect| matches!(effect, Effect::Learn(..)));
        assert_eq!(learns, learnt, "{kind:?} {mark:x} {lifetime:?}");
        let later = bench.arrives(kind, port, mark);
        assert_eq!(asked(&later).is_empty(), learnt, "{kind:?} {mark:x} {lifetime:?}");
    }
}

#[test]
fn silence_past_the_deadline_denies_and_the_next_attempt_asks_again() {
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 1, 0);
    assert!(answers(&bench.after(PARKED_DEADLINE - Duration::from_millis(1))).is_empty());
    let effects = bench.after(Duration::from_millis(1));
    let rejected = repeat(0, MarkAction::Reject, Some(Epoch::FIRST));
    assert_eq!(answers(&effects), vec![(1, rejected)]);
    assert_eq!(asked(&bench.arrives(QueueKind::New, 1, 0)), vec![1]);
    assert!(
        answers(&bench.answered(0, Ok(judgement(Action::Allow, Lifetime::Flow, 3)))).is_empty()
    );
}

#[test]
fn a_question_that_crashes_twice_is_quarantined_and_no_other_suffers() {
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 1, 0);
    bench.arrives(QueueKind::New, 2, 0);
    assert_eq!(asked(&bench.answered(0, Err(AskError::Crashed))), vec![0]);
    let effects = bench.answered(0, Err(AskError::Crashed));
    assert_eq!(answers(&effects), vec![(1, repeat(0, MarkAction::Reject, Some(Epoch::FIRST)))]);
    assert!(asked(&bench.arrives(QueueKind::New, 1, 0)).is_empty());
    assert_eq!(bench.parking.flows(), 1);
    bench.after(Duration::from_secs(4));
    let other = bench.answered(1, Ok(judgement(Action::Allow, Lifetime::Flow, 3)));
    assert_eq!(answers(&other).len(), 1);
}

#[test]
fn a_component_that_is_down_or_full_is_asked_again() {
    for error in [AskError::Unavailable, AskError::Overloaded, AskError::TimedOut] {
        let mut bench = Bench::new();
        bench.arrives(QueueKind::New, 1, 0);
        assert!(bench.answered(0, Err(error)).is_empty());
        assert!(bench.parking.next_tick(bench.now).is_some());
        assert_eq!(asked(&bench.after(Duration::from_millis(10))), vec![0], "{error:?}");
        assert!(asked(&bench.after(Duration::from_millis(10))).is_empty());
    }
    let mut bench = Bench::new();
    bench.arrives(QueueKind::New, 1, 0);
    bench.parking.not_asked(0, bench.now);
    bench.parking.not_asked(0, bench.now);
    assert_eq!(asked(&bench.after(Duration::from_millis(10))), vec![0]);
}

#[test]
fn a_packet_that_comes_back_is_dropped_and_never_repeated() {
    let mut bench = Bench::new();
    let effects = bench.arrives(QueueKind::New, 1, reentry_flag(&Layout::default()));
    assert_eq!(answers(&effects), vec![(1, Answer::Drop)]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::RulesSuspect)));
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = Bench::new();
    for _ in 0..MOST_PACKETS_PER_FLOW {
        assert!(answers(&bench.arrives(QueueKind::New, 1, 0)).is_empty());
    }
    let beyond = bench.arrives(QueueKind::New, 1, 0);
    assert_eq!(answers(&beyond).len(), 1);
    assert!(matches!(beyond[1], Effect::Refused(Layer::Overload)));
    let mut bench = Bench::new();
    for port in 0..u16::try_from(MOST_FLOWS).expect("a port") {
        bench.arrives(QueueKind::New, port, 0);
    }
    assert_eq!(bench.parking.flows(), MOST_FLOWS);
    assert_eq!(answers(&bench.arrives(QueueKind::New, 60_000, 0)).len(), 1);
    assert_eq!(bench.parking.flows(), MOST_FLOWS);
}

#[test]
fn a_judgement_that_reaches_further_speaks_for_the_next_caller_for_a_second() {
    let mut bench = Bench::new();
    let wide = Judgement {
        reach: Reach::Service,
        ..judgement(Action::Allow, Lifetime::Flow, STANDING.generation.0)
    };
    bench.arrives(QueueKind::New, 1, 0);
    bench.answered(0, Ok(wide));
    let expected = repeat(0, MarkAction::Allow, Some(Epoch::FIRST));
    let next = bench.arrives(QueueKind::New, 2, 0);
    assert_eq!(answers(&next), vec![(2, expected)]);
    assert!(asked(&next).is_empty());
    assert!(next.iter().any(|effect| matches!(effect, Effect::Decided { .. })));
    bench.after(Duration::from_millis(1000));
    assert_eq!(asked(&bench.arrives(QueueKind::New, 3, 0)), vec![1]);
}

#[test]
fn a_judgement_of_a_process_speaks_for_that_process_alone() {
    let mut bench = Bench::new();
    let of_process = Judgement {
        reach: Reach::Process,
        ..judgement(Action::Allow, Lifetime::Flow, STANDING.generation.0)
    };
    let owner_asked_about = |effects: &[Effect]| match effects {
        [Effect::Ask(_, request)] => request.owner.map(|owner| owner.process.pid),
        other => panic!("no question: {other:?}"),
    };
    assert_eq!(owner_asked_about(&bench.arrives(QueueKind::New, 100, 0)), Some(1));
    bench.answered(0, Ok(of_process.clone()));
    assert!(asked(&bench.arrives(QueueKind::New, 102, 0)).is_empty(), "the same process");
    assert_eq!(owner_asked_about(&bench.arrives(QueueKind::New, 101, 0)), Some(2));
    assert_eq!(owner_asked_about(&bench.arrives(QueueKind::New, 9, 0)), None);
    bench.answered(2, Ok(of_process));
    assert_eq!(owner_asked_about(&bench.arrives(QueueKind::New, 10, 0)), None, "nobody's");
}

#[test]
fn a_judgement_of_an_older_policy_speaks_for_nobody() {
    let mut bench = Bench::new();
    let wide = Judgement {
        reach: Reach::Service,
        ..judgement(Action::Allow, Lifetime::Flow, STANDING.generation.0)
    };
    bench.arrives(QueueKind::New, 1, 0);
    bench.answered(0, Ok(wide));
    let later = Standing { generation: PolicyGeneration(4), epoch: Epoch::FIRST.next() };
    let (packet, flow) = bench.packet(QueueKind::New, 2, 0);
    let mut effects = Vec::new();
    bench.parking.packet(packet, flow, &NoOwners, later, bench.now, &mut effects);
    assert_eq!(asked(&effects), vec![1]);
}

#[test]
fn a_broad_judgement_speaks_for_what_is_as_far_away() {
    // Where each connection leads after one to 10.0.0.2:80, and whether it has to be asked about.
    let cases = [
        (Breadth::Scope, "192.168.7.7:9", false),
        (Breadth::Scope, "9.9.9.9:80", true),
        (Breadth::Scope, "10.0.0.1:80", true),
        (Breadth::Scope, "169.254.0.2:80", true),
        (Breadth::Port, "192.168.7.7:80", false),
        (Breadth::Port, "192.168.7.7:81", true),
        (Breadth::Service, "10.0.0.2:80", false),
        (Breadth::Service, "10.0.0.3:80", true),
    ];
    for (breadth, to, is_asked) in cases {
        let mut bench = Bench::new();
        let generation = STANDING.generation.0;
        let judgement = judgement(Action::Allow, Lifetime::Flow, generation);
        bench.arrives(QueueKind::New, 1, 0);
        bench.answered(0, Ok(Judgement { reach: Reach::Service, breadth, ..judgement }));
        let to = to.parse().expect("an address");
        let mut effects = Vec::new();
        for (after, expected) in [(0, is_asked), (1000, true)] {
            bench.after(Duration::from_millis(after));
            let (packet, flow) = bench.packet_to(to, QueueKind::New, 2 + after as u16, 0);
            bench.parking.packet(packet, flow, &NoOwners, STANDING, bench.now, &mut effects);
            assert_eq!(
                asked(&std::mem::take(&mut effects)).len() == 1,
                expected,
                "{breadth:?} {to}"
            );
        }
    }
}

#[test]
fn the_interface_is_the_one_that_leads_to_the_other_end() {
    let (came_in, goes_out) = (Some(7), Some(8));
    let cases = [
        (Hook::Output, QueueKind::New, goes_out),
        (Hook::Output, QueueKind::ParkedReply, goes_out),
        (Hook::Input, QueueKind::New, came_in),
        (Hook::Input, QueueKind::ParkedReply, came_in),
        (Hook::Forward, QueueKind::New, goes_out),
        (Hook::Forward, QueueKind::ParkedReply, came_in),
    ];
    for (hook, kind, expected) in cases {
        let mut bench = Bench::new();
        let (packet, flow) = bench.packet(kind, 1, 0);
        let queue = QueueId { hook, kind };
        let packet = Packet { queue, in_interface: came_in, out_interface: goes_out, ..packet };
        let mut effects = Vec::new();
        bench.parking.packet(packet, flow, &bench.owners, STANDING, bench.now, &mut effects);
        let [Effect::Ask(token, request)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(request.interface, expected, "{hook:?} {kind:?}");
        let decided = bench.answered(*token, Ok(judgement(Action::Allow, Lifetime::Flow, 3)));
        let told = decided.iter().find_map(|effect| match effect {
            Effect::Decided { interface, .. } => Some(*interface),
            _ => None,
        });
        assert_eq!(told, Some(expected), "{hook:?} {kind:?}");
    }
}
