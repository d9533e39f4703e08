//! Settings of a network in place of those for all.

use std::sync::Arc;

use seawall_messages::network::{NamedNetwork, NetworkMatch};
use seawall_messages::policy::{AppFilter, DefaultAction, Filter};
use seawall_messages::{Action, Flow, Layer, Snapshot};

use super::apps::app;
use super::decide;
use super::explain::explained;
use super::{inbound, outbound, permits, under};

fn network(name: &str, is_here: bool, filter: AppFilter) -> NamedNetwork {
    let looks = NetworkMatch { interface: Some(Arc::from("eth0")), ..NetworkMatch::default() };
    NamedNetwork { name: Arc::from(name), looks, filter, is_here }
}

/// Name, settings for all, networks, the app's settings, the connection; action, and by which network.
type Case =
    (&'static str, Filter, Vec<NamedNetwork>, AppFilter, Flow, Action, Option<&'static str>);

fn blocking_lan(is_blocking: bool) -> AppFilter {
    AppFilter { block_lan: Some(is_blocking), ..AppFilter::default() }
}

#[test]
fn the_first_network_that_the_machine_is_in_says_it_unless_the_app_does() {
    let block = AppFilter { default_action: Some(DefaultAction::Block), ..AppFilter::default() };
    let lan = || outbound("192.168.1.1");
    let all = Filter { block_lan: true, ..permits() };
    let cases: Vec<Case> = vec![
        ("no network", all.clone(), vec![], AppFilter::default(), lan(), Action::Reject, None),
        (
            "one that is not here",
            permits(),
            vec![network("a", false, blocking_lan(true))],
            AppFilter::default(),
            lan(),
            Action::Allow,
            None,
        ),
        (
            "one that is",
            permits(),
            vec![network("a", false, blocking_lan(false)), network("b", true, blocking_lan(true))],
            AppFilter::default(),
            lan(),
            Action::Reject,
            Some("b"),
        ),
        (
            "one that spares it",
            all.clone(),
            vec![network("a", true, blocking_lan(false))],
            AppFilter::default(),
            lan(),
            Action::Allow,
            None,
        ),
        (
            "the first of two",
            permits(),
            vec![network("a", true, blocking_lan(true)), network("b", true, blocking_lan(false))],
            AppFilter::default(),
            lan(),
            Action::Reject,
            Some("a"),
        ),
        (
            "the app's own",
            permits(),
            vec![network("a", true, blocking_lan(true))],
            blocking_lan(false),
            lan(),
            Action::Allow,
            None,
        ),
        (
            "its default_action",
            permits(),
            vec![network("a", true, block)],
            AppFilter::default(),
            outbound("9.9.9.9"),
            Action::Reject,
            Some("a"),
        ),
    ];
    for (name, filter, networks, own, flow, action, by) in cases {
        let snapshot = Snapshot { networks, apps: vec![app("it", own)], ..under(filter) };
        let judgement = decide(&snapshot, &flow, snapshot.apps.first());
        let network = judgement.reason.network.as_deref();
        assert_eq!((judgement.action, network), (action, by), "{name}");
    }
}

#[test]
fn reasons_and_explanations_name_the_network() {
    let filter = AppFilter { block_inbound: Some(true), ..AppFilter::default() };
    let networks = vec![network("cafe", true, filter)];
    let snapshot = Snapshot { networks, ..under(permits()) };
    let judgement = decide(&snapshot, &inbound("9.9.9.9", 22), None);
    assert_eq!(judgement.reason.layer, Layer::BlockInbound);
    let text = judgement.reason.to_string();
    assert_eq!(text, "block_inbound denies what others open, in the network cafe");
    let steps = explained(&snapshot, &inbound("9.9.9.9", 22));
    assert!(steps.iter().any(|saw| saw.ends_with("in [[network]] \"cafe\"")), "{steps:?}");
    let steps = explained(&snapshot, &outbound("192.168.1.1"));
    assert!(steps.iter().any(|saw| saw == "block_lan = false in [filter]"), "{steps:?}");
}
