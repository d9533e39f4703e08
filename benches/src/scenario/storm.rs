//! Many programs that connect as fast as they can: whether anything that the
//! kernel noted of them is lost for good.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lab::report::Connected;
use lab::{Connect, Seawall, Serve, until};
use seawall_messages::datapath::Connection;

use super::{Findings, Setting, anywhere};
use crate::contender::POLICY_OF_NOBODY;
use crate::promise::Promise;
use crate::report::Row;

const PORT: u16 = 7006;
/// Programs.
const PROGRAMS: u8 = 8;
/// Connections in flight of each.
const WORKERS: usize = 8;
/// Services that each calls in turn, none of which another program calls.
const SERVICES: u8 = 200;
/// A storm is not over before the kernel's buffers have filled, if they ever do.
const AT_LEAST_SECONDS: f64 = 2.0;
/// Connections that a list has room for: of more, the newest are looked at.
const LISTED: u64 = 10_000;
/// How long it may take until all that are listed have their owner.
const SETTLED: Duration = Duration::from_secs(15);
/// What the kernel had no room to note, as Seawall counts it.
const LOST: &str = "seawall_process_lost_notes_total";

/// What came of one storm.
struct Storm {
    per_second: f64,
    lost: f64,
    unattributed: f64,
}

/// Eight programs at once.
pub(super) fn of_connections(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let world = setting.arena.world;
    anywhere(world);
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let _server = Serve::start(&world.peer, &[any], &[]);
    let mut storms = Vec::new();
    for _ in 0..setting.pairs {
        storms.push(storm(setting, findings)?);
    }
    let of_all = |quantity: fn(&Storm) -> f64| storms.iter().map(quantity).collect::<Vec<f64>>();
    let sum = |quantity| [of_all(quantity).iter().sum()];
    let name = |what: &str| format!("storm of {PROGRAMS} programs: {what}");
    let rate = of_all(|storm| storm.per_second);
    findings.rows.push(Row::alone(name("connections"), "1/s", &rate));
    let lost = sum(|storm| storm.lost);
    findings.rows.push(Row::alone(name("notes lost, all storms"), "notes", &lost));
    // What was lost and found out in another way is no harm.
    let unattributed = sum(|storm| storm.unattributed);
    findings.rows.push(
        Row::alone(name("connections without owner, all storms"), "connections", &unattributed)
            .promised(Promise::AtMost(0.0), setting.strictness),
    );
    Ok(())
}

fn storm(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<Storm> {
    let world = setting.arena.world;
    let seawall = setting.arena.seawall(POLICY_OF_NOBODY).start();
    let clients: Vec<_> = (0..PROGRAMS).map(|program| load(program, setting)).collect();
    let clients: Vec<_> = clients.iter().map(|load| load.start(&world.desk)).collect();
    let reports: Vec<Connected> = clients.into_iter().map(|client| client.finish()).collect();
    let failed: u64 = reports.iter().map(|report| report.failed.total()).sum();
    if failed > 0 {
        findings.problems.push(format!("{failed} connections failed in a storm"));
    }
    let succeeded: u64 = reports.iter().map(|report| report.succeeded).sum();
    let unattributed = without_owner(&seawall, succeeded.min(LISTED));
    let page = seawall.metrics();
    drop(seawall);
    setting.arena.clear();
    let lost = lost(&page).context("no count of lost notes among the metrics")?;
    Ok(Storm {
        per_second: reports.iter().map(|report| report.per_second).sum(),
        lost,
        unattributed: unattributed as f64,
    })
}

/// As fast as it goes, to services that are the program's own.
fn load(program: u8, setting: &Setting<'_>) -> Connect {
    let to = (1..=SERVICES).map(|service| (Ipv4Addr::new(10, 88, program, service), PORT).into());
    let seconds = setting.seconds.max(AT_LEAST_SECONDS);
    let any = (Ipv4Addr::UNSPECIFIED, PORT).into();
    Connect { to: to.collect(), ..Connect::flat_out(any, WORKERS, seconds) }
}

/// How many of the newest connections are not said to be the load tool's, or not listed at all.
fn without_owner(seawall: &Seawall<'_>, expected: u64) -> u64 {
    let tool = lab::load::program("lab-load", "LAB_LOAD_BIN");
    let is_attributed = |connection: &&Connection| {
        let process = lab::seawall::process(connection);
        process.is_some_and(|process| Path::new(&*process.path) == tool)
    };
    let mut missing = expected;
    until(SETTLED, || {
        let listed = seawall.try_connections()?;
        let ours = |connection: &&Connection| connection.flow.destination_port() == Some(PORT);
        let attributed = listed.iter().filter(ours).filter(is_attributed).count() as u64;
        missing = expected.saturating_sub(attributed);
        (missing == 0).then_some(())
    });
    missing
}

/// What the kernel had no room to note, of all kinds.
fn lost(page: &str) -> Option<f64> {
    let samples = page.lines().filter(|line| line.starts_with(LOST));
    let values: Vec<f64> =
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_all_kinds_are_added_up_and_a_page_without_them_is_no_zero() {
        let page = "# TYPE seawall_process_lost_notes_total counter\n\
                    seawall_process_lost_notes_total{kind=\"event\"} 3\n\
                    seawall_process_lost_notes_total{kind=\"owner\"} 4\n\
                    seawall_other_total 9\n";
        assert_eq!(lost(page), Some(7.0));
        assert_eq!(lost("seawall_other_total 9\n"), None);
    }
}
