//! Explanations: the verdict is always that of [`decide`], the steps are its own.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use seawall_messages::explain::{Described, Explanation, Known, Step, StepOutcome, Whom};
use seawall_messages::policy::{
    Adopted, AdoptedEntry, AppFilter, AppPolicy, DefaultAction, Filter, Fingerprint, Pattern,
};
use seawall_messages::process::{App, AppKind, Process, ProcessKey};
use seawall_messages::rule::{Entity, Permission, Rule};
use seawall_messages::verdict::Message;
use seawall_messages::{Action, Direction, Flow, Layer, Protocol, Snapshot, Transport};

use super::component::{DEADLINE, run};
use super::{
    blocks, closed, decide, deny_all, inbound, loopback, open, outbound, permit_all, permits,
    ports, rule, scopes, tcp, under,
};
use crate::explain::explain;

/// The program of an app.
fn process(path: &str) -> Arc<Process> {
    let nothing = || Arc::from("");
    Arc::new(Process {
        key: ProcessKey { pid: 7, started_ticks: 1, exec_id: None },
        parent_pid: 0,
        uid: 0,
        path: Arc::from(path),
        deleted: false,
        command_line: Vec::new(),
        parent_path: nothing(),
        ancestors: Vec::new(),
        cgroup: nothing(),
        sha256: None,
        app: App {
            id: Arc::from(format!("path:{path}")),
            kind: AppKind::Path,
            name: Arc::from("it"),
            icon: None,
        },
    })
}

fn described(path: Option<&str>, known: Known) -> Described {
    Described { process: path.map(process), known, notes: Vec::new() }
}

/// What each step saw of nobody's connection.
pub(super) fn explained(snapshot: &Snapshot, flow: &Flow) -> Vec<String> {
    let explained = explain(snapshot, flow, &described(None, Known::Nothing), None);
    explained.steps.into_iter().map(|step| step.saw).collect()
}

fn section(path: &str, filter: AppFilter) -> AppPolicy {
    let fingerprint = Fingerprint { path: Some(Pattern::new(path)), ..Fingerprint::default() };
    AppPolicy { name: Arc::from(path), fingerprint, filter }
}

/// The step that decided, with what it saw.
fn decisive(explanation: &Explanation) -> (Step, String) {
    let spoke = |outcome| matches!(outcome, StepOutcome::Permits | StepOutcome::Denies);
    let step = explanation.steps.iter().find(|step| spoke(step.outcome)).expect("one decides");
    (step.step, step.saw.clone())
}

fn step_of(layer: Layer, is_of_app: bool) -> Step {
    match layer {
        Layer::AlwaysPasses => Step::AlwaysPasses,
        Layer::AdoptedSession => Step::AdoptedSession,
        Layer::BlockInbound => Step::BlockInbound,
        Layer::BlockInternet => Step::BlockInternet,
        Layer::BlockLan => Step::BlockLan,
        Layer::BlockLocal => Step::BlockLocal,
        Layer::OutgoingRule | Layer::IncomingRule if is_of_app => Step::AppRules,
        Layer::OutgoingRule | Layer::IncomingRule => Step::Rules,
        Layer::InvalidAddress => Step::InvalidAddress,
        Layer::Loopback => Step::Loopback,
        Layer::AdoptedListener => Step::AdoptedListener,
        Layer::BuiltIn => Step::BuiltInProfiles,
        Layer::DefaultAction => Step::DefaultAction,
        other => panic!("{other:?} is no step"),
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    let near = prop::sample::select(vec![
        "9.9.9.9",
        "192.168.1.5",
        "10.0.0.1",
        "127.0.0.1",
        "192.0.2.1",
        "224.0.0.251",
        "fe80::1",
        "::1",
        "2600::1",
        "ff02::2",
        "::ffff:9.9.9.9",
    ]);
    near.prop_map(|text| text.parse().expect("an address"))
}

pub(super) fn any_flow() -> impl Strategy<Value = Flow> {
    let direction =
        prop::sample::select(vec![Direction::Outbound, Direction::Inbound, Direction::Forwarded]);
    let port = || prop::sample::select(vec![0_u16, 22, 67, 68, 443, 546, 547]);
    let transport = prop_oneof![
        (port(), port()).prop_map(|(from, to)| ports(from, to)),
        (130_u8..144).prop_map(super::icmp6),
        Just(Transport::Portless),
        Just(Transport::Truncated),
    ];
    let protocol =
        prop::sample::select(vec![Protocol::TCP, Protocol::UDP, Protocol::ICMPV6, Protocol::IGMP]);
    (direction, protocol, any_address(), any_address(), transport).prop_map(
        |(direction, protocol, initiator, responder, transport)| Flow {
            direction,
            protocol,
            initiator,
            responder,
            transport,
        },
    )
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let permission = prop::sample::select(vec![Permission::Permit, Permission::Deny]);
    let entity = prop_oneof![
        Just(Entity::Any),
        any_address().prop_map(Entity::Address),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(a, b, c)| scopes(a, b, c)),
    ];
    let service = prop::sample::select(vec![None, tcp(443), tcp(22)]);
    let one = (permission, entity, service).prop_map(|(p, e, s)| rule(p, e, s));
    prop::collection::vec(one, 0..4)
}

fn any_action() -> impl Strategy<Value = DefaultAction> {
    prop::sample::select(vec![DefaultAction::Permit, DefaultAction::Block])
}

pub(super) fn any_filter() -> impl Strategy<Value = Filter> {
    (any_action(), any::<[bool; 4]>(), any_rules(), any_rules()).prop_map(
        |(default_action, [a, b, c, d], outgoing_rules, incoming_rules)| Filter {
            default_action,
            block_inbound: a,
            block_lan: b,
            block_internet: c,
            block_local: d,
            outgoing_rules: outgoing_rules.into(),
            incoming_rules: incoming_rules.into(),
        },
    )
}

pub(super) fn any_app_filter() -> impl Strategy<Value = AppFilter> {
    let switches = any::<[Option<bool>; 4]>();
    (prop::option::of(any_action()), switches, any_rules(), any_rules()).prop_map(
        |(default_action, [a, b, c, d], outgoing_rules, incoming_rules)| AppFilter {
            default_action,
            block_inbound: a,
            block_lan: b,
            block_internet: c,
            block_local: d,
            outgoing_rules: outgoing_rules.into(),
            incoming_rules: incoming_rules.into(),
            use_parent: None,
        },
    )
}

/// Two sections, and what was adopted of this very connection.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let sections = (any_app_filter(), any_app_filter())
        .prop_map(|(one, two)| vec![section("/one", one), section("/two", two)]);
    let sections = prop_oneof![Just(Vec::new()), sections];
    let adopted = prop_oneof![
        any_flow().prop_map(|flow| AdoptedEntry::Session { flow }),
        any_address().prop_map(|address| AdoptedEntry::Listener {
            protocol: Protocol::TCP,
            address,
            port: 443
        }),
    ];
    let adopted = prop::collection::vec(adopted, 0..3);
    (any_filter(), sections, adopted).prop_map(|(filter, apps, adopted)| {
        let adopted = (1..).zip(adopted).map(|(id, what)| Adopted { id, what }).collect();
        Snapshot { apps, adopted, ..under(filter) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_explanation_says_what_decide_says_and_names_its_steps(
        snapshot in any_snapshot(),
        flow in any_flow(),
        path in prop::sample::select(vec![None, Some("/one"), Some("/two"), Some("/three")]),
    ) {
        let whose = described(path, path.map_or(Known::Nothing, |_| Known::Process));
        let explained = explain(&snapshot, &flow, &whose, None);
        let section = snapshot.apps.iter().find(|app| Some(&*app.name) == path);
        prop_assert_eq!(&explained.judgement, &decide(&snapshot, &flow, section));
        prop_assert_eq!(explained.section.as_deref(), section.map(|app| &*app.name));

        let steps: Vec<_> = explained.steps.iter().map(|step| step.step).collect();
        prop_assert_eq!(steps, Step::ALL);
        let reason = &explained.judgement.reason;
        let expected = step_of(reason.layer, reason.app.is_some());
        let at = Step::ALL.iter().position(|step| *step == expected).expect("it is one of them");
        for (index, step) in explained.steps.iter().enumerate() {
            let outcome = match (index.cmp(&at), explained.judgement.action) {
                (std::cmp::Ordering::Less, _) => StepOutcome::Passes,
                (std::cmp::Ordering::Greater, _) => StepOutcome::NotReached,
                (_, Action::Allow) => StepOutcome::Permits,
                (_, _) => StepOutcome::Denies,
            };
            prop_assert_eq!(step.outcome, outcome, "{:?}", step);
            prop_assert_eq!(step.saw.is_empty(), outcome == StepOutcome::NotReached, "{:?}", step);
        }
    }
}

#[test]
fn the_decisive_step_names_switch_rule_and_section() {
    let own = |filter| Snapshot { apps: vec![section("/one", filter)], ..closed() };
    let rules =
        AppFilter { outgoing_rules: vec![permit_all(), deny_all()].into(), ..Default::default() };
    let switch = AppFilter { block_internet: Some(true), ..Default::default() };
    let filter = Filter { outgoing_rules: vec![deny_all()].into(), ..permits() };
    let cases = [
        (own(rules), Step::AppRules, "a rule permits it: rule 1 in [[app]] \"/one\", `as written`"),
        (
            own(switch),
            Step::BlockInternet,
            "block_internet denies the Internet, in [[app]] \"/one\"",
        ),
        (under(filter), Step::Rules, "a rule denies it: rule 1 in [filter], `as written`"),
        (closed(), Step::DefaultAction, "default_action blocks what nothing else permits"),
    ];
    for (snapshot, step, saw) in cases {
        let whose = described(Some("/one"), Known::Process);
        let explained = explain(&snapshot, &outbound("9.9.9.9"), &whose, None);
        assert_eq!(decisive(&explained), (step, saw.to_owned()));
    }
}

#[test]
fn a_step_that_says_nothing_says_why() {
    let saw = |snapshot: &Snapshot, flow: &Flow, step: Step| {
        let whose = described(Some("/one"), Known::Process);
        let explained = explain(snapshot, flow, &whose, None);
        let found = explained.steps.into_iter().find(|taken| taken.step == step);
        found.map(|taken| taken.saw).unwrap_or_default()
    };
    let lan_only = rule(Permission::Permit, scopes(false, true, false), None);
    let with_rules =
        under(Filter { outgoing_rules: vec![lan_only, deny_all()].into(), ..blocks() });
    let other = Snapshot { apps: vec![section("/two", AppFilter::default())], ..open() };
    let own = Snapshot {
        apps: vec![section("/one", AppFilter { block_lan: Some(false), ..Default::default() })],
        ..open()
    };
    let cases = [
        (&open(), outbound("9.9.9.9"), Step::AdoptedSession, "no session is adopted"),
        (&open(), outbound("9.9.9.9"), Step::BlockInbound, "the connection is outbound"),
        (&open(), inbound("9.9.9.9", 1), Step::BlockInbound, "block_inbound = false in [filter]"),
        (&open(), outbound("9.9.9.9"), Step::BlockLan, "9.9.9.9 is in the Internet"),
        (&own, outbound("10.0.0.1"), Step::BlockLan, "block_lan = false in [[app]] \"/one\""),
        (&open(), loopback(), Step::BlockInternet, "127.0.0.1 is this machine"),
        (&open(), outbound("9.9.9.9"), Step::AppRules, "there is no [[app]]"),
        (&other, outbound("9.9.9.9"), Step::AppRules, "the only [[app]] doesn't fit"),
        (
            &own,
            outbound("9.9.9.9"),
            Step::AppRules,
            "there are no outgoing_rules in [[app]] \"/one\"",
        ),
        (
            &with_rules,
            loopback(),
            Step::Rules,
            "no outgoing_rules in [filter] match; `as written` spares loopback",
        ),
        (&open(), inbound("9.9.9.9", 22), Step::Rules, "there are no incoming_rules in [filter]"),
        (&open(), outbound("9.9.9.9"), Step::InvalidAddress, "9.9.9.9 is a good address"),
        (&open(), outbound("9.9.9.9"), Step::AdoptedListener, "the connection is outbound"),
    ];
    for (snapshot, flow, step, expected) in cases {
        assert_eq!(saw(snapshot, &flow, step), expected, "{step:?} {flow}");
    }
}

#[test]
fn sections_that_may_fit_are_named_where_little_is_known() {
    let by = |name: &str, fingerprint: Fingerprint| AppPolicy {
        name: Arc::from(name),
        fingerprint,
        filter: AppFilter::default(),
    };
    let literal = |text: &str| Some(Pattern::new(text));
    let path = Fingerprint { path: literal("/one"), ..Fingerprint::default() };
    let apps = vec![
        by("parent", Fingerprint { parent: literal("/bin/bash"), ..path.clone() }),
        by(
            "elsewhere",
            Fingerprint { path: literal("/two"), parent: literal("/x"), ..path.clone() },
        ),
        by("path", path.clone()),
        by("later", Fingerprint { parent: literal("/x"), ..path }),
    ];
    let snapshot = Snapshot { apps, ..open() };
    let notes = |known| {
        explain(&snapshot, &outbound("9.9.9.9"), &described(Some("/one"), known), None).notes
    };
    assert_eq!(notes(Known::Process), Vec::<String>::new());
    let noted = notes(Known::File);
    assert_eq!(noted.len(), 1);
    assert!(noted[0].contains("\"parent\" may fit") && !noted[0].contains("else"), "{noted:?}");
    let noted = notes(Known::App);
    assert!(noted[0].contains("\"parent\", \"elsewhere\""), "{noted:?}");
}

#[test]
fn the_component_explains_under_the_policy_of_the_moment() {
    let running = run(closed());
    let (flow, whom) = (outbound("9.9.9.9"), Whom::Path("/one".to_owned()));
    let answer = running.verdict.ask_blocking(DEADLINE, |reply| Message::Explain {
        flow,
        whom,
        interface: None,
        reply,
    });
    let explained = answer.expect("an answer").expect("an explanation");
    assert_eq!(explained.judgement, decide(&closed(), &flow, None));
    let whom = Whom::Pid(1);
    let answer = running.verdict.ask_blocking(DEADLINE, |reply| Message::Explain {
        flow,
        whom,
        interface: None,
        reply,
    });
    assert_eq!(answer.expect("an answer"), Err("there is no process 1".to_owned()));
    assert!(running.kernel.stop(DEADLINE).is_empty());
}
