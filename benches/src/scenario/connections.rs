//! New connections: connect, one byte there and back, close. Once all to one
//! service, once each to a service that was not called for a while: an answer
//! may hold for further callers of the same service, and who asks somewhere
//! else must not pay for that. Where no rule looks at addresses, it holds for
//! those, too; what a connection costs that is asked about is measured beside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::report::Connected;
use lab::{Connect, Serve};

use super::{Findings, Setting, anywhere};
use crate::contender::Contender;
use crate::promise::Promise;
use crate::report::{Comparison, Row};
use crate::rounds::Rounds;
use crate::slices::Slices;

const PORT: u16 = 7002;
/// Connections a second while their price is taken: enough for a percentile, too few to queue up.
pub(super) const STEADY_RATE: u64 = 500;
/// Those at once where many are.
pub(super) const MANY: usize = 64;

/// Where the server listens.
pub(super) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
/// None of the services that are measured: what is answered there helps none of them.
const WARM_UP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 88, 255, 1)), PORT);
/// Services that are called in turn. None comes round again within two seconds
/// even at 10,000 connections a second.
const SERVICES: u16 = 20_000;

/// Where connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// All to one service.
    One,
    /// Each to another.
    Many,
}

impl Places {
    pub(super) const ALL: [Self; 2] = [Self::One, Self::Many];

    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        let services = match self {
            Self::One => 1,
            Self::Many => SERVICES,
        };
        let address = |service: u16| {
            let [high, low] = service.to_be_bytes();
            SocketAddr::from((Ipv4Addr::new(10, 88, high, low), PORT))
        };
        (1..=services).map(address).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "to one service",
            Self::Many => "each to another service",
        }
    }
}

/// One measurement of a contender.
pub(super) struct Measured {
    pub(super) report: Connected,
    cpu_us: f64,
    slices: Slices,
}

impl Measured {
    /// CPU time of the contender for each connection.
    pub(super) fn cpu_us_each(&self) -> f64 {
        self.cpu_us / self.report.succeeded.max(1) as f64
    }

    /// CPU time of the contender and of the program that connects, in the kernel, too, for each
    /// connection: the median of short slices, of a load at the steady rate.
    pub(super) fn both_us_p50(&self) -> f64 {
        self.slices.both_us_each(self.report.per_second)
    }

    /// As [`Self::both_us_p50`], of the program that connects alone.
    pub(super) fn client_us_p50(&self) -> f64 {
        self.slices.client_us_each(self.report.per_second)
    }
}

/// As many as go through, one after the other, and many at once.
pub(super) fn rate(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for places in Places::ALL {
        for (workers, how) in [(1, "one at a time"), (MANY, "64 at once")] {
            let load = Connect {
                to: places.addresses(),
                ..Connect::flat_out(ANY, workers, setting.seconds)
            };
            let contenders = [Contender::Seawall, Contender::BareG, Contender::Nothing];
            let rounds = run(setting, findings, &contenders, &load)?;
            let per_second = |measured: &Measured| measured.report.per_second;
            let ours = rounds.of(Contender::Seawall, per_second);
            for (baseline, promise) in
                [(Contender::BareG, Promise::AtLeast(0.65)), (Contender::Nothing, Promise::None)]
            {
                let name = format!("connections {}, {how}", places.name());
                let theirs = rounds.of(baseline, per_second);
                findings.rows.push(
                    Row::paired(name, "1/s", &ours, (baseline.name(), &theirs), Comparison::Ratio)
                        .promised(promise, setting.strictness),
                );
            }
        }
    }
    Ok(())
}

/// At a steady rate: CPU of each, and the time until its byte is back. All
/// that the contenders do to that time is done to the first packet. What is
/// promised of CPU is promised of judging alone: what it costs to know whose a
/// connection is has a scenario of its own.
pub(super) fn first_packet(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for places in Places::ALL {
        first_packet_to(places, setting, findings)?;
    }
    Ok(())
}

fn first_packet_to(
    places: Places,
    setting: &Setting<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let seconds = setting.seconds.max(2.0);
    let load = Connect { to: places.addresses(), ..Connect::at_rate(ANY, STEADY_RATE, seconds) };
    let judging = Contender::SeawallLookUpLeftOut;
    let asking = Contender::SeawallAsking;
    let contenders = match places {
        Places::One => &[Contender::Seawall, Contender::BareG, judging][..],
        Places::Many => &[Contender::Seawall, Contender::BareG, judging, asking],
    };
    let rounds = run(setting, findings, contenders, &load)?;
    let mut row = |ours, name: &str, quantity: &dyn Fn(&Measured) -> f64, comparison, promise| {
        let (ours, theirs) = (rounds.of(ours, quantity), rounds.of(Contender::BareG, quantity));
        let baseline = (Contender::BareG.name(), theirs.as_slice());
        let name = format!("{name}, {}", places.name());
        findings.rows.push(
            Row::paired(name, "us", &ours, baseline, comparison)
                .promised(promise, setting.strictness),
        );
    };
    let p50 = |measured: &Measured| measured.report.time_us.p50 as f64;
    let p99 = |measured: &Measured| measured.report.time_us.p99 as f64;
    let cpu = &Measured::cpu_us_each;
    let (ratio, difference) = (Comparison::Ratio, Comparison::Difference);
    let aside = "CPU of a new connection, look-up aside";
    row(judging, aside, cpu, ratio, Promise::AtMost(2.0));
    if places == Places::Many {
        row(
            asking,
            "CPU of a new connection, look-up aside, asked about",
            cpu,
            ratio,
            Promise::None,
        );
    }
    row(Contender::Seawall, "CPU of a new connection", cpu, ratio, Promise::None);
    row(Contender::Seawall, "first packet, p50", &p50, difference, Promise::AtMost(80.0));
    row(Contender::Seawall, "first packet, p99", &p99, difference, Promise::AtMost(400.0));
    Ok(())
}

/// Measures the contenders beside each other under this load.
pub(super) fn run(
    setting: &Setting<'_>,
    findings: &mut Findings,
    contenders: &[Contender],
    load: &Connect,
) -> anyhow::Result<Rounds<Measured>> {
    let world = setting.arena.world;
    anywhere(world);
    let _server = Serve::start(&world.peer, &[ANY], &[]);
    let warm_up = Connect { to: vec![WARM_UP], seconds: 0.2, ..load.clone() };
    let rounds = Rounds::run(&setting.arena, setting.pairs, contenders, |entered| {
        warm_up.run(&world.desk);
        let before = entered.cpu_time()?;
        let client = load.start(&world.desk);
        // Only at a steady rate are all slices of the same work, and a look takes of the processors, too.
        let slices = match load.rate {
            0 => Slices::default(),
            _ => {
                client.wait_until_under_way();
                Slices::watch(entered, client.pid(), Duration::from_secs_f64(load.seconds))?
            }
        };
        let report = client.finish();
        let cpu_us = (entered.cpu_time()? - before).as_secs_f64() * 1e6;
        Ok(Measured { report, cpu_us, slices })
    })?;
    for (contender, measured) in rounds.all() {
        let failed = measured.report.failed.total();
        // A peer's are no problem of this bench.
        if failed > 0 && contender != Contender::OpenSnitch {
            findings
                .problems
                .push(format!("{failed} connections failed with {}", contender.name()));
        }
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_is_called_twice_in_a_turn_nor_while_warming_up() {
        for (places, expected) in [(Places::One, 1), (Places::Many, usize::from(SERVICES))] {
            let addresses = places.addresses();
            let distinct: std::collections::HashSet<_> = addresses.iter().collect();
            assert_eq!(distinct.len(), expected, "{}", places.name());
            assert!(!addresses.contains(&WARM_UP));
        }
    }
}
