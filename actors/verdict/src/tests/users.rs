//! Rules by user and by interface: what they mean, what they do in doubt, and for whom a judgement speaks.

use std::sync::Arc;

use seawall_messages::policy::{AppFilter, Filter};
use seawall_messages::rule::{Entity, InterfaceMatch, Only, Permission, Rule, UserMatch};
use seawall_messages::verdict::Request;
use seawall_messages::{Action, Direction, Flow, Layer, Lifetime, Protocol, Reach, Snapshot};

use super::apps::app;
use super::component::{request, run};
use super::{ECHO, blocks, flow, forwarded, inbound, open, outbound, permits, ports, rule, under};
use crate::decide::{Seen, decide_seen};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;

fn of_user(permission: Permission, id: u32) -> Rule {
    let user = Some(UserMatch { name: None, id: Some(id) });
    Rule {
        only: Some(Arc::new(Only { user, ..Only::default() })),
        ..rule(permission, Entity::Any, None)
    }
}

fn with(filter: Filter, rules: Vec<Rule>) -> Snapshot {
    let rules: seawall_messages::rule::Rules = rules.into();
    under(Filter { outgoing_rules: rules.clone(), incoming_rules: rules, ..filter })
}

#[test]
fn a_rule_means_its_user_and_denies_in_doubt() {
    use Action::{Allow, Drop, Reject};
    use Permission::{Deny, Permit};
    let denied = || with(permits(), vec![of_user(Deny, ALICE)]);
    let permitted = || with(blocks(), vec![of_user(Permit, ALICE)]);
    let ping = flow(Direction::Inbound, Protocol::ICMP, "9.9.9.9", "192.168.1.5", ECHO);
    let cases: Vec<(&str, Snapshot, Flow, Option<u32>, Action)> = vec![
        ("hers", denied(), outbound("9.9.9.9"), Some(ALICE), Reject),
        ("another's", denied(), outbound("9.9.9.9"), Some(BOB), Allow),
        ("nobody knows whose", denied(), outbound("9.9.9.9"), None, Reject),
        ("her service", denied(), inbound("9.9.9.9", 80), Some(ALICE), Drop),
        ("a service, nobody knows whose", denied(), inbound("9.9.9.9", 80), None, Drop),
        ("a ping, which the kernel answers", denied(), ping, None, Allow),
        ("forwarded: nobody's", denied(), forwarded("10.0.0.2", "9.9.9.9"), None, Allow),
        (
            "forwarded, whatever is said",
            denied(),
            forwarded("10.0.0.2", "9.9.9.9"),
            Some(ALICE),
            Allow,
        ),
        ("permitted: hers", permitted(), outbound("9.9.9.9"), Some(ALICE), Allow),
        ("permitted: another's", permitted(), outbound("9.9.9.9"), Some(BOB), Reject),
        ("permitted: nobody knows whose", permitted(), outbound("9.9.9.9"), None, Reject),
    ];
    for (name, snapshot, flow, uid, expected) in cases {
        assert_eq!(
            decide_seen(&snapshot, &flow, None, Seen { uid, interface: None }).judgement().action,
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_judgement_by_user_speaks_for_no_other_connection() {
    let by_user = || vec![of_user(Permission::Deny, ALICE)];
    let own = AppFilter { outgoing_rules: by_user().into(), ..AppFilter::default() };
    let apps = Snapshot { apps: vec![app("it", own)], ..open() };
    let only_incoming = under(Filter { incoming_rules: by_user().into(), ..permits() });
    let reach = |snapshot: &Snapshot, flow: &Flow, with_app: bool| {
        let app = snapshot.apps.first().filter(|_| with_app);
        decide_seen(snapshot, flow, app, Seen { uid: Some(BOB), interface: None }).judgement().reach
    };
    let out = outbound("9.9.9.9");
    assert_eq!(reach(&with(permits(), by_user()), &out, false), Reach::Flow);
    assert_eq!(reach(&apps, &out, true), Reach::Flow, "the app's own rules");
    assert_eq!(reach(&apps, &out, false), Reach::Process, "another app has none");
    assert_eq!(reach(&only_incoming, &out, false), Reach::Process, "rules of the other direction");
    assert_eq!(reach(&only_incoming, &inbound("9.9.9.9", 22), false), Reach::Flow);
}

#[test]
fn whom_the_kernel_tells_nobody_is_asked_about() {
    let running = run(with(permits(), vec![of_user(Permission::Deny, ALICE)]));
    let judge = |uid, flow| running.judge(Request { flow, uid, ..request("9.9.9.9") });
    for (uid, expected) in [(ALICE, Action::Reject), (BOB, Action::Allow)] {
        let judgement = judge(Some(uid), outbound("9.9.9.9")).expect("an answer");
        assert_eq!((judgement.action, judgement.lifetime), (expected, Lifetime::Flow));
    }
    assert_eq!(running.process.asked(), 0);
    // A datagram's addresses may be another's next: it is learnt whose socket it is, and when that closes.
    let datagram = flow(Direction::Outbound, Protocol::UDP, "192.168.1.5", "9.9.9.9", ports(9, 9));
    assert_eq!(judge(Some(BOB), datagram).map(|it| it.action), Ok(Action::Allow));
    assert_eq!(running.process.asked(), 1);
    assert!(judge(None, outbound("9.9.9.8")).is_ok());
    assert_eq!(running.process.asked(), 2);
    running.stop();
}

#[test]
fn without_process_a_user_whom_the_kernel_told_is_judged_and_others_are_denied() {
    let running = run(with(permits(), vec![of_user(Permission::Deny, ALICE)]));
    running.process.behave(super::identify::Manner::Refuses);
    let judge = |uid| {
        let judgement = running.judge(Request { uid, ..request("9.9.9.9") }).expect("an answer");
        (judgement.action, judgement.reason.layer)
    };
    assert_eq!(judge(Some(BOB)), (Action::Allow, Layer::DefaultAction));
    assert_eq!(judge(Some(ALICE)), (Action::Reject, Layer::OutgoingRule));
    assert_eq!(judge(None), (Action::Reject, Layer::Unanswered));
    running.stop();
}

#[test]
fn a_rule_by_interface_means_what_goes_through_it_and_denies_in_doubt() {
    let by_interface = |permission| {
        let tunnel = InterfaceMatch {
            fitting: [7].into(),
            others: [1, 2].into(),
            ..InterfaceMatch::new("tun*")
        };
        let only = Only { interface: Some(tunnel), ..Only::default() };
        Rule { only: Some(Arc::new(only)), ..rule(permission, Entity::Any, None) }
    };
    let denied = with(permits(), vec![by_interface(Permission::Deny)]);
    let permitted = with(blocks(), vec![by_interface(Permission::Permit)]);
    // The interface; what becomes of it where such are denied, and where only such are permitted.
    let cases = [
        (Some(7), Action::Reject, Action::Allow),
        (Some(2), Action::Allow, Action::Reject),
        (Some(9), Action::Reject, Action::Reject),
        (None, Action::Reject, Action::Reject),
    ];
    for (interface, where_denied, where_permitted) in cases {
        let seen = Seen { interface, uid: None };
        let decide = |snapshot| decide_seen(snapshot, &outbound("9.9.9.9"), None, seen).judgement();
        let judgement = decide(&denied);
        assert_eq!(
            (judgement.action, judgement.reach),
            (where_denied, Reach::Flow),
            "{interface:?}"
        );
        assert_eq!(decide(&permitted).action, where_permitted, "{interface:?}");
    }
    let running = run(denied);
    for (interface, expected) in [(Some(2), Action::Allow), (Some(7), Action::Reject)] {
        let judgement = running.judge(Request { interface, ..request("9.9.9.9") });
        assert_eq!(judgement.map(|it| it.action), Ok(expected));
    }
    assert_eq!(running.process.asked(), 0, "whose it is doesn't matter");
    running.stop();
}
