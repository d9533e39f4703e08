//! What it costs to follow along: `seawall monitor` on a terminal, beside very many
//! connections that stay and many that come and go.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::crowd::Crowd;
use lab::pane::Pane;
use lab::{Connect, Seawall, Serve, vitals};

use super::{Findings, Setting, peer};
use crate::promise::Promise;
use crate::report::Row;

/// Called by those that stay, and by those that come and go.
const CROWD_PORT: u16 = 7007;
const PORT: u16 = 7008;
/// Connections that stay.
const CROWD: u32 = 10_000;
/// Connections begun a second: each appears, and ends, so these are 500 changes.
const BEGUN_PER_S: u64 = 250;
/// A large terminal.
const SIZE: (u16, u16) = (200, 50);
/// News come once a second: fewer than some rounds are chance.
const AT_LEAST_SECONDS: f64 = 4.0;

/// CPU of the monitor, and what the worker uses more than without one.
pub(super) fn follows(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let world = setting.arena.world;
    let _server = Serve::start(&world.peer, &[peer(PORT)], &[]);
    let seawall = setting.arena.seawall("").start();
    let _crowd = Crowd::open(&world.desk, &world.peer, peer(CROWD_PORT), CROWD);
    let (mut of_monitor, mut of_worker) = (Vec::new(), Vec::new());
    for _ in 0..setting.pairs {
        let (_, alone) = measure(setting, &seawall, None)?;
        let pane = follow(&seawall);
        let (monitor, followed) = measure(setting, &seawall, Some(&pane))?;
        of_monitor.push(monitor);
        of_worker.push(followed - alone);
    }
    let name = |of: &str| {
        format!("CPU of {of}, {CROWD} connections, {} changes a second", 2 * BEGUN_PER_S)
    };
    findings.rows.push(
        Row::alone(name("seawall monitor"), "% of a core", &of_monitor)
            .promised(Promise::AtMost(5.0), setting.strictness),
    );
    let more = name("both processes, more than without a monitor");
    findings.rows.push(Row::alone(more, "% of a core", &of_worker));
    Ok(())
}

/// A monitor that has heard of all.
fn follow(seawall: &Seawall<'_>) -> Pane {
    let (binary, run_dir) = (lab::seawall::binary(), seawall.run_dir());
    let command = format!("'{}' monitor --run-dir '{}'", binary.display(), run_dir.display());
    let pane = Pane::start(seawall.host(), &command, SIZE);
    pane.shows("all connections", |text| {
        let open = text.split_whitespace().zip(text.split_whitespace().skip(1));
        let mut open = open.filter(|(_, word)| *word == "open,");
        open.next().is_some_and(|(count, _)| count.parse::<u32>().is_ok_and(|count| count >= CROWD))
    });
    pane
}

/// Shares of a core while connections come and go: the monitor's, and Seawall's.
fn measure(
    setting: &Setting<'_>,
    seawall: &Seawall<'_>,
    pane: Option<&Pane>,
) -> anyhow::Result<(f64, f64)> {
    let seconds = setting.seconds.max(AT_LEAST_SECONDS);
    // It begins before the measurement and goes on beyond it.
    let load = Connect::at_rate(peer(PORT), BEGUN_PER_S, seconds + 60.0);
    let load = load.start(&setting.arena.world.desk);
    load.wait_until_under_way();
    let of_monitor = || match pane {
        Some(pane) => vitals::cpu_time(pane.pid()).context("the monitor is gone"),
        None => Ok(Duration::ZERO),
    };
    let (start, before) = (Instant::now(), (of_monitor()?, seawall.cpu_time()));
    // The length of the measurement itself, not a wait for something.
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let used = (of_monitor()? - before.0, seawall.cpu_time().saturating_sub(before.1));
    let took = start.elapsed().as_secs_f64();
    load.stop();
    let share = |used: Duration| 100.0 * used.as_secs_f64() / took;
    Ok((share(used.0), share(used.1)))
}
