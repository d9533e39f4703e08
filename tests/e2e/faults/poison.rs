//! A packet that crashes whoever judges it is denied; everyone else's go on.

use lab::{Connect, Findings, World};

use super::load::{self, Load, POISON};

/// Attempts at the poisoned port: a program that tries again and again.
const ATTEMPTS: u64 = 20;

fn poison(component: &str) {
    let world = World::new();
    let mut serve = load::serve(&world);
    let seawall = load::seawall(&world);
    let mut findings = Findings::new();
    let before = seawall.components();
    seawall.fault(&[component, "poison", "--token", &POISON.to_string()]);

    let load = Load::start(&world);
    let poisoned = Connect { count: ATTEMPTS, ..Connect::at_rate(load::at(POISON), 10, 10.0) };
    let poisoned = poisoned.run(&world.desk);
    load.go_on(&mut serve);
    let row = load.stop(format!("{component} poison"));
    row.judge(&mut findings);
    load::record(&format!("poison-{}", component.replace('/', "-")), &[row]);

    findings.check(poisoned.succeeded == 0, format!("the poisoned connections: {poisoned:?}"));
    findings.check(serve.report().accepted(POISON) == 0, "a poisoned connection arrived");
    let after = seawall.components();
    let failures = |components: &seawall_messages::api::Components| {
        let found = components.components.iter().find(|other| other.name == component);
        found.map_or(0, |found| found.restarts)
    };
    findings.check(
        failures(&after) > failures(&before) || after.worker_pid != before.worker_pid,
        format!("{component} was not poisoned at all: {after:?}"),
    );
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.settle();
}

#[test]
fn a_packet_that_crashes_the_parser_is_denied() {
    poison("datapath/new");
}

#[test]
fn a_connection_that_crashes_verdict_is_denied() {
    poison("verdict");
}
