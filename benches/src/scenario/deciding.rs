//! What the decision itself costs: the very function, on one thread, without
//! packets and without the look-up of whose a connection is.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Instant;

use seawall_messages::policy::PolicyGeneration;
use seawall_messages::rule::{Port, Subject};
use seawall_messages::{Direction, Flow, Protocol, Snapshot, Transport};

use super::{Findings, Setting};
use crate::promise::Promise;
use crate::report::Row;

/// Rules of the app, and the microseconds that are promised.
const SIZES: [(usize, f64); 2] = [(50, 1.0), (5_000, 2.0)];

/// Decisions in a round.
const DECISIONS: usize = 20_000;

/// By address, and of connections whose name is known.
pub(super) fn costs(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for (rules, promised) in SIZES {
        let snapshot = snapshot(rules)?;
        let flows: Vec<Flow> = (0..997).map(flow).collect();
        let app = snapshot.apps.first();
        let by_address = round(setting, |number| {
            let flow = &flows[number % flows.len()];
            black_box(seawall_verdict::decide(black_box(&snapshot), black_box(flow), app));
        });
        let list = app.map(|app| &app.filter.outgoing_rules);
        let names: Vec<String> = (0..997).map(|number| format!("www.n{number}.example.")).collect();
        let by_name = round(setting, |number| {
            let subject = Subject {
                address: Some(address(number)),
                name: Some(&names[number % names.len()]),
                alias_of: &[],
                protocol: Some(Protocol::TCP),
                port: Port::Is(443),
                ..Subject::default()
            };
            black_box(list.map(|list| list.first_match(black_box(&subject), |_| true)));
        });
        for (what, values) in [("by address", by_address), ("a rule by name", by_name)] {
            let row = Row::alone(format!("deciding, {rules} rules: {what}"), "us", &values);
            findings.rows.push(row.promised(Promise::AtMost(promised), setting.strictness));
        }
    }
    Ok(())
}

/// Microseconds of each, a value a round.
fn round(setting: &Setting<'_>, mut decide: impl FnMut(usize)) -> Vec<f64> {
    let rounds = setting.pairs.max(3);
    let mut values = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        (0..DECISIONS).for_each(&mut decide);
        values.push(begun.elapsed().as_secs_f64() * 1e6 / DECISIONS as f64);
    }
    values
}

/// An app with rules of all kinds that can be decided, of which few match what is asked.
fn snapshot(rules: usize) -> anyhow::Result<Snapshot> {
    let mut text =
        String::from("[[app]]\nmatch = { path = \"/usr/bin/app\" }\noutgoing_rules = [\n");
    for number in 0..rules {
        let (low, high) = (number % 250, number / 250);
        let rule = match number % 5 {
            0 => format!("- 198.18.{high}.{low}"),
            1 => format!("- 10.{high}.{low}.0/24 TCP"),
            2 => format!("- 2001:db8:{high:x}:{low:x}::/64"),
            3 => format!("- .n{number}.example"),
            _ => format!("- * UDP/{}", 10_000 + number),
        };
        writeln!(text, "    {rule:?},")?;
    }
    text.push_str("]\n");
    let file = seawall_policy::file::parse(&text, Path::new("bench.toml"))?;
    Ok(file.snapshot(PolicyGeneration(1), Vec::new(), &seawall_policy::rule::now().into()))
}

fn address(number: usize) -> IpAddr {
    let bits = u32::try_from(number).unwrap_or_default().wrapping_mul(2_654_435_761);
    match number % 3 {
        0 => Ipv4Addr::from_bits(0x0a00_0000 | bits & 0x00ff_ffff).into(),
        1 => Ipv4Addr::from_bits(0x0900_0000 | bits & 0x00ff_ffff).into(),
        _ => Ipv6Addr::from_bits(0x2606_u128 << 112 | u128::from(bits)).into(),
    }
}

fn flow(number: usize) -> Flow {
    let responder = address(number);
    let initiator = match responder {
        IpAddr::V4(_) => [192, 168, 1, 2].into(),
        IpAddr::V6(_) => [0xfd00, 0, 0, 0, 0, 0, 0, 2].into(),
    };
    Flow {
        direction: Direction::Outbound,
        protocol: Protocol::TCP,
        initiator,
        responder,
        transport: Transport::Ports { initiator: 40_000, responder: 443 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_has_as_many_rules_as_it_says() {
        for (rules, _) in SIZES {
            let snapshot = snapshot(rules).expect("a policy");
            assert_eq!(snapshot.apps[0].filter.outgoing_rules.len(), rules);
        }
    }
}
