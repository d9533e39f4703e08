//! Small datagrams, every one of them judged.

use lab::{Serve, Udp};

use super::{Findings, Setting, peer};
use crate::contender::Contender;
use crate::promise::Promise;
use crate::report::{Comparison, Row};
use crate::rounds::Rounds;

const PORT: u16 = 7003;

/// One measurement of a contender.
struct Measured {
    received_per_second: f64,
    cpu_us_each: f64,
}

/// 64 bytes of one flow, as many as go through.
pub(super) fn judged(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let world = setting.arena.world;
    let load = Udp { rate: 0, ..Udp::at_rate(peer(PORT), 0, setting.seconds) };
    let contenders = [Contender::SeawallJudging, Contender::BareD, Contender::BareDTracked];
    let rounds = Rounds::run(&setting.arena, setting.pairs, &contenders, |entered| {
        let server = Serve::start(&world.peer, &[], &[peer(PORT)]);
        let before = entered.cpu_time()?;
        let sent = load.run(&world.desk);
        let cpu = entered.cpu_time()? - before;
        let received = server.finish().datagrams(PORT) as f64;
        Ok(Measured {
            received_per_second: received / sent.seconds,
            cpu_us_each: cpu.as_secs_f64() * 1e6 / received.max(1.0),
        })
    })?;
    let mut rows = |name: &str, unit, quantity: fn(&Measured) -> f64, promise| {
        let ours = rounds.of(Contender::SeawallJudging, quantity);
        for (baseline, promise) in
            [(Contender::BareD, promise), (Contender::BareDTracked, Promise::None)]
        {
            let theirs = rounds.of(baseline, quantity);
            findings.rows.push(
                Row::paired(name, unit, &ours, (baseline.name(), &theirs), Comparison::Ratio)
                    .promised(promise, setting.strictness),
            );
        }
    };
    rows("judged datagrams of 64 bytes", "1/s", |m| m.received_per_second, Promise::AtLeast(0.9));
    rows("CPU of a judged datagram", "us", |m| m.cpu_us_each, Promise::AtMost(1.3));
    Ok(())
}
