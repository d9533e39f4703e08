//! What a bulk stream notices of a killed worker.

use std::time::Duration;

use anyhow::Context as _;
use lab::{Seawall, Serve, Stream};

use super::{Findings, Setting, peer};
use crate::promise::Promise;
use crate::report::Row;

const PORT: u16 = 7004;
/// The stream goes on for at least so long, so that the successor is part of it.
const AT_LEAST_SECONDS: f64 = 3.0;

/// `kill -9` in the middle of a stream: once with standing verdicts, which need
/// no worker, once with every packet judged.
pub(super) fn worker_killed(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let cases = [
        ("longest gap, worker killed", ""),
        (
            "longest gap, worker killed, every packet judged",
            "[filter]\npermanent_verdicts = false\n",
        ),
    ];
    for (name, policy) in cases {
        let mut gaps_ms = Vec::new();
        for _ in 0..setting.pairs {
            gaps_ms.push(longest_gap_ms(setting, findings, policy)?);
        }
        findings.rows.push(
            Row::alone(name, "ms", &gaps_ms).promised(Promise::AtMost(100.0), setting.strictness),
        );
    }
    Ok(())
}

fn longest_gap_ms(
    setting: &Setting<'_>,
    findings: &mut Findings,
    policy: &str,
) -> anyhow::Result<f64> {
    let world = setting.arena.world;
    let _server = Serve::start(&world.peer, &[peer(PORT)], &[]);
    let mut seawall =
        Seawall::on(&world.desk).policy(policy).backend(setting.arena.flavour).start();
    let seconds = setting.seconds.max(AT_LEAST_SECONDS);
    let stream = Stream::down(peer(PORT), seconds).start(&world.desk);
    stream.wait_until_under_way();
    let killed = seawall.kill_worker();
    seawall
        .wait_for_successor(killed, Duration::from_secs(10))
        .context("no other worker came up within ten seconds")?;
    let report = stream.finish();
    let broken = report.broken.into_iter();
    findings
        .problems
        .extend(broken.map(|reason| format!("a stream broke with its worker: {reason}")));
    Ok(report.longest_gap_us as f64 / 1000.0)
}
