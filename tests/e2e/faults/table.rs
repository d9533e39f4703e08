//! Every component, broken in every way, under load.

use std::time::Duration;

use lab::{Findings, Seawall, World, until};
use seawall_messages::api::Components;
use seawall_runtime::{ComponentState, ComponentStatus};

use super::load::{self, Load};

/// How long a fault may take to show, and a component to come back.
const SHOWS: Duration = Duration::from_secs(20);
const RECOVERS: Duration = Duration::from_secs(30);

/// Components that are sent messages while connections come and go. The others
/// have packets, heartbeats and policy changes to deal with, and no mail.
const IS_TOLD_THINGS: [&str; 4] = ["policy", "verdict", "datapath", "api"];

/// How a fault shows in the tree.
#[derive(Clone, Copy, Debug)]
enum Shows {
    /// So many restarts more.
    Restarts(u64),
    /// One incarnation more that was abandoned as hung.
    Hang,
    /// Messages were refused.
    Refusals,
    /// Handling took so many microseconds more in all.
    HandlingUs(f64),
}

fn fault_matrix(fault: &[&str], shows: Shows) {
    let world = World::new();
    let mut serve = load::serve(&world);
    let seawall = load::seawall(&world);
    let names: Vec<String> =
        seawall.components().components.into_iter().map(|component| component.name).collect();
    assert!(names.len() >= 6, "the tree is too small to be whole: {names:?}");
    let mut findings = Findings::new();
    let mut rows = Vec::new();
    // The thread of later packets has next to nothing to do while verdicts stand: once more without.
    let rows_wanted = names
        .iter()
        .map(|name| (name, false))
        .chain(names.iter().filter(|name| *name == "datapath/rest").map(|name| (name, true)));
    for (name, every_packet) in rows_wanted {
        let judging = if every_packet { ", every packet judged" } else { "" };
        let row = format!("{name} {}{judging}", fault.join(" "));
        seawall.set_policy(if every_packet { load::EVERY_PACKET } else { load::POLICY });
        let before = seawall.components();
        let load = Load::start(&world);
        seawall.fault(&[&[name.as_str()], fault].concat());
        let shown = until(SHOWS, || {
            poke(&world, &seawall);
            shown(&before, &seawall.try_components()?, name, shows).then_some(())
        });
        findings.check(shown.is_some(), format!("{row}: the fault did not show"));
        let recovered = until(RECOVERS, || all_run(&seawall.try_components()?).then_some(()));
        findings.check(recovered.is_some(), format!("{row}: not all came back"));
        load.go_on(&mut serve);
        let row = load.stop(row);
        row.judge(&mut findings);
        if row.connected.failed.total() > 0 {
            findings.check(false, format!("{}: denied: {:#?}", row.row, denied(&seawall)));
        }
        rows.push(row);
        if recovered.is_some() {
            seawall.fault(&[name, "clear"]);
        }
    }
    load::record(fault[0], &rows);
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.settle();
}

/// Gives each component something to do: a fault strikes at the next message.
fn poke(world: &World, seawall: &Seawall<'_>) {
    // Only `network` notices: nobody uses the address.
    world.desk.ip("addr add 10.77.9.9/32 dev lo\naddr del 10.77.9.9/32 dev lo\n");
    seawall.verb(&["reload"]);
    seawall.verb(&["connections", "--json", "--limit", "1"]);
    seawall.verb(&["status", "--json"]);
    seawall.verb(&["prompts", "--json"]);
}

/// What was denied of the allowed connections, as far as it is remembered.
fn denied(seawall: &Seawall<'_>) -> Vec<seawall_messages::datapath::Connection> {
    let wrongly = |connection: &seawall_messages::datapath::Connection| {
        connection.action != seawall_messages::Action::Allow
            && connection.flow.destination_port() == Some(load::OPEN)
    };
    seawall.connections().connections.into_iter().filter(wrongly).take(5).collect()
}

fn shown(before: &Components, now: &Components, name: &str, shows: Shows) -> bool {
    if now.worker_pid != before.worker_pid {
        // The component could not be mended, so the whole worker was replaced.
        return true;
    }
    let (Some(before), Some(now)) = (find(before, name), find(now, name)) else { return false };
    match shows {
        Shows::Restarts(more) => now.restarts >= before.restarts + more,
        Shows::Hang => now.hangs > before.hangs,
        Shows::Refusals => now.refused > before.refused || !IS_TOLD_THINGS.contains(&name),
        Shows::HandlingUs(more) => handling_us(now) >= handling_us(before) + more,
    }
}

fn handling_us(component: &ComponentStatus) -> f64 {
    component.mean_handle_us * component.handled as f64
}

fn find<'a>(components: &'a Components, name: &str) -> Option<&'a ComponentStatus> {
    components.components.iter().find(|component| component.name == name)
}

fn all_run(components: &Components) -> bool {
    components.components.iter().all(|component| component.state == ComponentState::Running)
}

#[test]
fn a_panic_anywhere_loses_no_connection() {
    fault_matrix(&["panic"], Shows::Restarts(1));
}

#[test]
fn a_pending_future_anywhere_loses_no_connection() {
    fault_matrix(&["hang-pending"], Shows::Hang);
}

#[test]
fn a_spinning_thread_anywhere_loses_no_connection() {
    fault_matrix(&["hang-spinning"], Shows::Hang);
}

#[test]
fn three_failing_starts_anywhere_lose_no_connection() {
    fault_matrix(&["fail-start", "--times", "3"], Shows::Restarts(3));
}

#[test]
fn a_full_mailbox_anywhere_loses_no_connection() {
    fault_matrix(&["mailbox-full", "--duration-ms", "1000"], Shows::Refusals);
}

#[test]
fn slowness_anywhere_loses_no_connection() {
    fault_matrix(&["slow", "--delay-us", "2000", "--messages", "200"], Shows::HandlingUs(2000.0));
}
