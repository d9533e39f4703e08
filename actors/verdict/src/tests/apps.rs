//! What an app's own settings change, and what they don't.

use seawall_messages::network::{NamedNetwork, NetworkMatch};
use seawall_messages::policy::{
    AppFilter, AppLayers, AppPolicy, BuiltIns, DefaultAction, Filter, Fingerprint, Pattern,
};
use seawall_messages::rule::{Entity, Permission, Rule};
use seawall_messages::{Action, Breadth, Flow, Layer, Reach, Snapshot, Whose};

use super::{
    blocks, closed, decide, deny_all, forwarded, inbound, loopback, open, outbound, permit_all,
    permits, ports, rule, scopes, shut, tcp, under,
};
use crate::decide::{for_anyone, for_unanswered};

/// An app by the tag of that name.
pub(super) fn app(name: &str, filter: AppFilter) -> AppPolicy {
    let fingerprint = Fingerprint { tag: Some(Pattern::new(name)), ..Fingerprint::default() };
    AppPolicy { name: name.into(), fingerprint, filter }
}

fn none() -> AppFilter {
    AppFilter::default()
}

/// Name, settings for all, the app's, the connection; action, layer, and whether the app decided.
type Case = (&'static str, Filter, AppFilter, Flow, (Action, Layer, bool));

fn check(cases: Vec<Case>) {
    for (name, all, own, flow, expected) in cases {
        let snapshot = Snapshot { apps: vec![app("it", own)], ..under(all) };
        let judgement = decide(&snapshot, &flow, snapshot.apps.first());
        let reason = &judgement.reason;
        let decided = (judgement.action, reason.layer, reason.app.is_some());
        assert_eq!(decided, expected, "{name}: {flow}");
        assert!(reason.app.as_deref().is_none_or(|app| app == "it"), "{name}");
        // Whoever belongs to no app gets what holds for all.
        let other = decide(&snapshot, &flow, None);
        let for_all = decide(&Snapshot { apps: Vec::new(), ..snapshot.clone() }, &flow, None);
        assert_eq!((other.action, other.reason), (for_all.action, for_all.reason), "{name}");
    }
}

#[test]
fn a_switch_of_an_app_is_its_own_or_else_the_one_for_all() {
    use Action::{Allow, Drop, Reject};
    let all = Filter {
        block_inbound: true,
        block_lan: true,
        block_internet: true,
        block_local: true,
        ..permits()
    };
    let spared = AppFilter {
        block_inbound: Some(false),
        block_lan: Some(false),
        block_internet: Some(false),
        block_local: Some(false),
        ..none()
    };
    let own = AppFilter {
        block_inbound: Some(true),
        block_lan: Some(true),
        block_internet: Some(true),
        block_local: Some(true),
        ..none()
    };
    let strict = AppFilter { default_action: Some(DefaultAction::Block), ..none() };
    let lax = AppFilter { default_action: Some(DefaultAction::Permit), ..none() };
    for (flow, denied, layer) in [
        (inbound("9.9.9.9", 22), Drop, Layer::BlockInbound),
        (outbound("9.9.9.9"), Reject, Layer::BlockInternet),
        (forwarded("9.9.9.9", "172.17.0.2"), Reject, Layer::BlockInternet),
        (outbound("192.168.1.1"), Reject, Layer::BlockLan),
        (loopback(), Reject, Layer::BlockLocal),
    ] {
        let otherwise = if flow == loopback() { Layer::Loopback } else { Layer::DefaultAction };
        check(vec![
            ("says nothing", all.clone(), none(), flow, (denied, layer, false)),
            ("says so itself", all.clone(), own.clone(), flow, (denied, layer, true)),
            ("the only one", permits(), own.clone(), flow, (denied, layer, true)),
            ("is spared", all.clone(), spared.clone(), flow, (Allow, otherwise, false)),
        ]);
    }
    let flow = outbound("9.9.9.9");
    check(vec![
        ("default", permits(), none(), flow, (Allow, Layer::DefaultAction, false)),
        ("own default", permits(), strict.clone(), flow, (Reject, Layer::DefaultAction, true)),
        ("lax default", blocks(), lax, flow, (Allow, Layer::DefaultAction, true)),
        ("not loopback", permits(), strict.clone(), loopback(), (Allow, Layer::Loopback, false)),
        (
            "no address",
            permits(),
            strict,
            outbound("192.0.2.1"),
            (Reject, Layer::InvalidAddress, false),
        ),
    ]);
}

#[test]
fn rules_of_an_app_come_before_those_for_all_and_after_every_switch() {
    use Action::{Allow, Drop, Reject};
    let outgoing = |rule: Rule| AppFilter { outgoing_rules: vec![rule].into(), ..none() };
    let incoming = |rule: Rule| AppFilter { incoming_rules: vec![rule].into(), ..none() };
    let denied = Filter {
        outgoing_rules: vec![deny_all()].into(),
        incoming_rules: vec![deny_all()].into(),
        ..permits()
    };
    let lan_only = rule(Permission::Permit, scopes(false, true, false), None);
    let (internet, lan) = (outbound("9.9.9.9"), outbound("192.168.1.1"));
    let (out_rule, in_rule) = (Layer::OutgoingRule, Layer::IncomingRule);
    check(vec![
        ("permitted", denied.clone(), outgoing(permit_all()), internet, (Allow, out_rule, true)),
        ("denied", permits(), outgoing(deny_all()), internet, (Reject, out_rule, true)),
        ("matches", denied.clone(), outgoing(lan_only.clone()), lan, (Allow, out_rule, true)),
        ("doesn't", denied.clone(), outgoing(lan_only), internet, (Reject, out_rule, false)),
        (
            "not the other direction",
            denied.clone(),
            outgoing(permit_all()),
            inbound("9.9.9.9", 22),
            (Drop, in_rule, false),
        ),
        (
            "incoming",
            denied.clone(),
            incoming(permit_all()),
            inbound("9.9.9.9", 22),
            (Allow, in_rule, true),
        ),
        (
            "forwarded answers to outgoing ones",
            denied,
            outgoing(permit_all()),
            forwarded("172.17.0.2", "9.9.9.9"),
            (Allow, out_rule, true),
        ),
        (
            "a switch for all beats an app's rule",
            Filter { block_internet: true, ..permits() },
            outgoing(permit_all()),
            internet,
            (Reject, Layer::BlockInternet, false),
        ),
        (
            "a rule for all beats an app's default",
            Filter { outgoing_rules: vec![permit_all()].into(), ..permits() },
            AppFilter { default_action: Some(DefaultAction::Block), ..none() },
            internet,
            (Allow, out_rule, false),
        ),
        (
            "loopback is spared",
            permits(),
            outgoing(deny_all()),
            loopback(),
            (Allow, Layer::Loopback, false),
        ),
        (
            "unless it is named",
            permits(),
            outgoing(rule(Permission::Deny, scopes(true, false, false), None)),
            loopback(),
            (Reject, out_rule, true),
        ),
    ]);
}

#[test]
fn a_rule_is_counted_in_the_list_that_it_is_from() {
    let web = rule(Permission::Permit, scopes(false, true, false), tcp(443));
    let all = Filter { outgoing_rules: vec![web.clone(), deny_all()].into(), ..permits() };
    let own = AppFilter { outgoing_rules: vec![deny_all(), web].into(), ..none() };
    let ssh = AppFilter {
        outgoing_rules: vec![rule(Permission::Permit, scopes(true, true, true), tcp(22))].into(),
        ..none()
    };
    let snapshot = Snapshot { apps: vec![app("own", own), app("ssh", ssh)], ..under(all) };
    let position = |index: usize| {
        let reason = decide(&snapshot, &outbound("9.9.9.9"), snapshot.apps.get(index)).reason;
        (reason.rule.map(|(position, _)| position), reason.app.as_deref().map(str::to_owned))
    };
    assert_eq!(position(0), (Some(1), Some("own".to_owned())));
    assert_eq!(position(1), (Some(2), None));
}

#[test]
fn what_holds_for_anyone_needs_no_owner() {
    let snapshot = Snapshot { apps: vec![app("it", none())], ..shut() };
    let itself =
        Flow { responder: loopback().initiator, transport: super::ports(9, 9), ..loopback() };
    let judgement = for_anyone(&snapshot, &itself).expect("it always passes");
    assert_eq!(judgement, decide(&snapshot, &itself, snapshot.apps.first()));
    for snapshot in [open(), closed(), snapshot] {
        assert_eq!(for_anyone(&snapshot, &outbound("9.9.9.9")), None);
        assert_eq!(for_anyone(&snapshot, &loopback()), None);
    }
}

#[test]
fn without_an_answer_nothing_passes() {
    for (flow, action) in [
        (outbound("9.9.9.9"), Action::Reject),
        (forwarded("172.17.0.2", "9.9.9.9"), Action::Reject),
        (inbound("9.9.9.9", 22), Action::Drop),
        (loopback(), Action::Reject),
    ] {
        let judgement = for_unanswered(&open(), &flow);
        assert_eq!((judgement.action, judgement.reason.layer), (action, Layer::Unanswered));
    }
}

#[test]
fn what_is_said_of_the_parent_comes_behind_the_apps_own_and_before_all_else() {
    let web = rule(Permission::Permit, scopes(false, false, true), tcp(443));
    let own = AppFilter { outgoing_rules: vec![web].into(), block_lan: Some(false), ..none() };
    let parents = AppFilter {
        outgoing_rules: vec![deny_all()].into(),
        block_lan: Some(true),
        block_internet: Some(false),
        default_action: Some(DefaultAction::Block),
        ..none()
    };
    let (own, parents) = (app("own", own), app("parents", parents));
    let all = Filter { block_internet: true, ..permits() };
    let snapshot = under(all);
    let layers =
        AppLayers { section: Some(&own), parent_profile: Some(&parents), ..AppLayers::default() };
    let judged = |flow: &Flow| {
        let reason = crate::decide(&snapshot, flow, layers).judgement().reason;
        (reason.layer, reason.app.as_deref().map(str::to_owned), reason.whose)
    };
    let of = |layer, app: &str, whose| (layer, Some(app.to_owned()), whose);
    let web = outbound("9.9.9.9");
    assert_eq!(judged(&web), of(Layer::OutgoingRule, "own", Whose::Own));
    assert_eq!(judged(&outbound("10.0.0.9")), of(Layer::OutgoingRule, "parents", Whose::Parent));
    let text =
        crate::decide(&snapshot, &outbound("10.0.0.9"), layers).judgement().reason.to_string();
    assert!(text.ends_with(", for parents, which started it"), "{text}");
    assert_eq!(
        judged(&inbound("10.0.0.9", 22)),
        of(Layer::DefaultAction, "parents", Whose::Parent)
    );
}

#[test]
fn a_built_in_profile_permits_what_default_action_for_all_would_not_and_nothing_else() {
    let dns = AppFilter {
        outgoing_rules: vec![rule(Permission::Permit, Entity::Any, tcp(53))].into(),
        ..none()
    };
    let names = app("names", dns);
    let built_in = BuiltIns::from(vec![names.clone()]);
    let ask = Filter { default_action: DefaultAction::Ask, ..permits() };
    let denies = Filter { outgoing_rules: vec![deny_all()].into(), ..ask.clone() };
    let lan = Filter { block_lan: true, ..blocks() };
    let network = |default_action| NamedNetwork {
        name: "cafe".into(),
        looks: NetworkMatch::default(),
        filter: AppFilter { default_action, ..none() },
        is_here: true,
    };
    let cafe = [network(Some(DefaultAction::Block))];
    let quiet_cafe = [network(None)];
    let to = |address: &str, port| Flow { transport: ports(40_000, port), ..outbound(address) };
    let (near, far, web) = (to("10.0.0.9", 53), to("9.9.9.9", 53), to("9.9.9.9", 443));
    let cases: [(&str, Filter, &[NamedNetwork], &Flow, Layer); 9] = [
        ("blocks", blocks(), &[], &far, Layer::BuiltIn),
        ("asks", ask.clone(), &[], &far, Layer::BuiltIn),
        ("another port", ask.clone(), &[], &web, Layer::DefaultAction),
        ("permits anyway", permits(), &[], &far, Layer::DefaultAction),
        ("a rule", denies, &[], &far, Layer::OutgoingRule),
        ("a switch", lan, &[], &near, Layer::BlockLan),
        ("the network says so", ask.clone(), &cafe, &far, Layer::DefaultAction),
        ("the network says nothing", ask.clone(), &quiet_cafe, &far, Layer::BuiltIn),
        ("what others open", ask, &[], &inbound("9.9.9.9", 53), Layer::DefaultAction),
    ];
    for (name, filter, networks, flow, expected) in cases {
        let snapshot =
            Snapshot { built_in: built_in.clone(), networks: networks.to_vec(), ..under(filter) };
        let layers = AppLayers { built_in: Some(&names), ..AppLayers::default() };
        let judgement = crate::decide(&snapshot, flow, layers).judgement();
        assert_eq!(judgement.reason.layer, expected, "{name}");
        // Whosever else it is, it is denied.
        let other = decide(&snapshot, flow, None);
        assert_ne!(other.reason.layer, Layer::BuiltIn, "{name}");
        if expected == Layer::BuiltIn {
            let holds_for = (judgement.reach, judgement.breadth);
            assert_eq!(holds_for, (Reach::Process, Breadth::Port), "{name}");
        }
    }
}
