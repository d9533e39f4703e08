//! Whoever finds owners, or all of Seawall's worker, dies under load: no connection loses its owner.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lab::oneshot::{Judged, Ledger};
use lab::seawall::{initiator_port, process};
use lab::{
    Deed, Family, Findings, Held, OneShots, Programs, Seawall, Serve, Shot, World, eventually,
    until,
};
use seawall_messages::datapath::Connection;
use seawall_messages::process::Process;
use seawall_runtime::ComponentState;

use super::common::{POLICY, at, record, runs, serve, targets};

/// Short-lived programs that come and go around each strike.
const COUNT: u32 = 1500;
/// Where programs that stay connect to, and no others.
const STAYING: u16 = 7901;
/// How often the fault strikes.
const STRIKES: u32 = 3;
const RECOVERS: Duration = Duration::from_secs(30);
const LISTED: Duration = Duration::from_secs(15);

/// What strikes.
#[derive(Clone, Copy, Debug)]
enum Strike {
    /// A fault of the component `process`.
    Fault(&'static [&'static str]),
    /// The worker is killed; what it alone knew of connections that are over goes with it.
    Worker,
}

impl Strike {
    fn strike(self, seawall: &mut Seawall<'_>) {
        match self {
            Self::Fault(fault) => seawall.fault(&[&["process"], fault].concat()),
            Self::Worker => {
                let old = seawall.kill_worker();
                assert!(
                    seawall.wait_for_successor(old, RECOVERS).is_some(),
                    "a successor of {old}"
                );
            }
        }
    }
}

/// Programs that stay, one for each family and deed.
struct Staying {
    when: &'static str,
    held: Vec<(Held, Deed, PathBuf)>,
}

impl Staying {
    fn start(when: &'static str, world: &World, programs: &Programs) -> Self {
        let deeds = [Deed::Connect, Deed::SendTo, Deed::ConnectAndSend];
        let cases = Family::BOTH.into_iter().flat_map(|family| deeds.map(|deed| (family, deed)));
        let held = cases.enumerate().map(|(number, (family, deed))| {
            let executable = programs.app(number);
            (Held::on(&world.desk, &executable, deed, at(family, STAYING)), deed, executable)
        });
        Self { when, held: held.collect() }
    }
}

/// Looks at all of them in one list: it is long.
fn judge(staying: &[&Staying], seawall: &Seawall<'_>, findings: &mut Findings) {
    let mut list = Vec::new();
    until(LISTED, || {
        list = seawall.try_connections()?;
        let all = staying.iter().flat_map(|staying| &staying.held);
        all.into_iter().all(|(held, deed, _)| owner(&list, held, *deed).is_some()).then_some(())
    });
    for staying in staying {
        for (held, deed, executable) in &staying.held {
            let process = owner(&list, held, *deed);
            findings.check(
                process.is_some_and(|process| runs(process, executable)),
                format!(
                    "{deed:?} by {}, opened {}: {process:?}",
                    executable.display(),
                    staying.when
                ),
            );
        }
    }
}

fn owner<'a>(list: &'a [Connection], held: &Held, deed: Deed) -> Option<&'a Process> {
    let is_its = |connection: &&Connection| {
        connection.flow.protocol == deed.protocol()
            && connection.flow.destination_port() == Some(STAYING)
            && initiator_port(&connection.flow) == Some(held.from_port())
    };
    list.iter().filter(is_its).find_map(process)
}

/// Datagrams that arrived on the ports of a round.
fn arrived(serve: &mut Serve, to: &[SocketAddr]) -> u64 {
    let served = serve.report();
    to.iter().map(|to| served.datagrams(to.port())).sum()
}

fn all_run(seawall: &Seawall<'_>) -> bool {
    seawall.try_components().is_some_and(|tree| {
        tree.components.iter().all(|component| component.state == ComponentState::Running)
    })
}

/// Strikes while programs come and go; gives how their connections were attributed.
fn survive(name: &str, strike: Strike, findings: &mut Findings) -> Judged {
    let world = World::new();
    let programs = Programs::new();
    let mut serve = serve(&world, STRIKES);
    let stay_at = Family::BOTH.map(|family| at(family, STAYING));
    let _serve_staying = Serve::start(&world.peer, &stay_at, &stay_at);
    let mut seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let before = Staying::start("before", &world, &programs);
    let mut ledger = Ledger::default();
    let mut look = |seawall: &Seawall<'_>| {
        ledger.note(&seawall.try_connections().unwrap_or_default());
    };
    let mut during = Vec::new();
    let mut shots: Vec<Shot> = Vec::new();
    for strike_number in 0..STRIKES {
        let matrix = OneShots { parallel: 4, ..OneShots::matrix(targets(strike_number), COUNT) };
        let mut shooting = matrix.start(&world.desk, &programs);
        eventually("the load is under way", RECOVERS, || arrived(&mut serve, &matrix.to) > 0);
        findings.check(shooting.at_work(), format!("{name}: no load to speak of"));
        strike.strike(&mut seawall);
        during.push(Staying::start("during", &world, &programs));
        eventually("all components run again", RECOVERS, || all_run(&seawall));
        while shooting.at_work() {
            look(&seawall);
        }
        shots.extend(shooting.finish());
    }
    if let Strike::Fault(_) = strike {
        seawall.fault(&["process", "clear"]);
    }
    let after = Staying::start("after", &world, &programs);
    let patience = match strike {
        Strike::Fault(_) => LISTED,
        Strike::Worker => Duration::ZERO,
    };
    let told = until(patience, || {
        ledger.note(&seawall.try_connections().unwrap_or_default());
        (ledger.unowned(&shots) == 0).then_some(())
    });
    let staying: Vec<&Staying> = [&before, &after].into_iter().chain(&during).collect();
    judge(&staying, &seawall, findings);
    let failed = shots.iter().filter(|shot| shot.outcome != "ok").count();
    findings.check(failed == 0, format!("{name}: {failed} programs failed"));
    let judged = ledger.judge(&shots);
    findings.check(judged.wrong == 0, format!("{name}: wrong owners: {judged:#?}"));
    findings.check(judged.unknown == 0, format!("{name}: unknown owners: {judged:#?}"));
    if matches!(strike, Strike::Fault(_)) {
        findings.check(told.is_some(), format!("{name}: not all were told of: {judged:#?}"));
    }
    record(name, &judged);
    judged
}

#[test]
fn a_process_killed_under_load_loses_no_attribution() {
    let mut findings = Findings::new();
    survive("process-killed", Strike::Fault(&["panic"]), &mut findings);
    findings.settle();
}

#[test]
fn a_process_hung_under_load_loses_no_attribution() {
    let mut findings = Findings::new();
    survive("process-hung", Strike::Fault(&["hang-pending"]), &mut findings);
    findings.settle();
}

#[test]
fn a_worker_killed_under_load_loses_no_attribution_of_what_is_open() {
    let mut findings = Findings::new();
    let judged = survive("worker-killed", Strike::Worker, &mut findings);
    findings.check(judged.right > 0, format!("nobody was told of: {judged:#?}"));
    findings.settle();
}
