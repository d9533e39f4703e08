//! Bulk TCP.

use lab::{Serve, Stream};

use super::{Findings, Setting, peer};
use crate::contender::Contender;
use crate::promise::Promise;
use crate::report::{Comparison, Row};
use crate::rounds::Rounds;

const PORT: u16 = 7001;

/// With standing verdicts: packets of a decided connection don't reach user space.
pub(super) fn standing(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for streams in [1, 8] {
        let contenders = [Contender::Seawall, Contender::BareG, Contender::Nothing];
        let rounds = run(setting, findings, &contenders, streams)?;
        let ours = rounds.of(Contender::Seawall, |rate| *rate);
        for (baseline, promise) in
            [(Contender::BareG, Promise::AtLeast(0.95)), (Contender::Nothing, Promise::None)]
        {
            let theirs = rounds.of(baseline, |rate| *rate);
            findings.rows.push(
                row(streams, "", &ours, (baseline.name(), &theirs))
                    .promised(promise, setting.strictness),
            );
        }
    }
    Ok(())
}

/// With every packet through user space.
pub(super) fn judged(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for streams in [1, 8] {
        let contenders = [Contender::SeawallJudging, Contender::BareD];
        let rounds = run(setting, findings, &contenders, streams)?;
        let ours = rounds.of(Contender::SeawallJudging, |rate| *rate);
        let theirs = rounds.of(Contender::BareD, |rate| *rate);
        let baseline = (Contender::BareD.name(), theirs.as_slice());
        findings.rows.push(
            row(streams, ", every packet judged", &ours, baseline)
                .promised(Promise::AtLeast(0.9), setting.strictness),
        );
    }
    Ok(())
}

/// Millions of bits a second.
fn run(
    setting: &Setting<'_>,
    findings: &mut Findings,
    contenders: &[Contender],
    streams: usize,
) -> anyhow::Result<Rounds<f64>> {
    let world = setting.arena.world;
    let _server = Serve::start(&world.peer, &[peer(PORT)], &[]);
    let load = Stream { streams, ..Stream::down(peer(PORT), setting.seconds) };
    let mut broken = Vec::new();
    let rounds = Rounds::run(&setting.arena, setting.pairs, contenders, |_| {
        let report = load.run(&world.desk);
        broken.extend(report.broken);
        Ok(report.mbit_per_second)
    })?;
    findings
        .problems
        .extend(broken.into_iter().map(|reason| format!("a bulk stream broke: {reason}")));
    Ok(rounds)
}

fn row(streams: usize, suffix: &str, ours: &[f64], baseline: (&'static str, &[f64])) -> Row {
    let plural = if streams == 1 { "" } else { "s" };
    let name = format!("bulk TCP, {streams} stream{plural}{suffix}");
    Row::paired(name, "Mbit/s", ours, baseline, Comparison::Ratio)
}
