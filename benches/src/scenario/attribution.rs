//! What it costs to know whose a new connection is before it is judged: CPU
//! time of all of Seawall and of the program that connects, in whose system
//! calls the kernel's notes are taken, against Seawall with the look-up left out: the median of short slices. Counting
//! what each socket moves is another service of the same programs, and has a price of its own.
//!
//! An answer holds for further connections of the same process to the same
//! service, so that the price is taken once so, once each to another service.

use lab::Connect;

use super::connections::{ANY, Measured, Places, STEADY_RATE, run};
use super::{Findings, Setting};
use crate::contender::Contender;
use crate::promise::{Promise, Strictness};
use crate::report::{Comparison, Row};
use crate::rounds::Rounds;

/// With the kernel's notes and without, and what either may cost in microseconds.
const MEANS: [(Contender, &str, Promise); 3] = [
    (Contender::SeawallAttributingAlone, "by the kernel's notes", Promise::AtMost(5.0)),
    (Contender::SeawallAttributing, "and of counting by socket", Promise::None),
    (Contender::SeawallByTables, "by the socket tables", Promise::AtMost(40.0)),
];
const LEFT_OUT: Contender = Contender::SeawallLookUpLeftOut;

/// The price at a steady rate, all connections from one program.
pub(super) fn price(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    // Differences of microseconds need more rounds than ratios.
    let pairs = setting.pairs.max(match setting.strictness {
        Strictness::Exact => 21,
        Strictness::WithinTen => 5,
    });
    let setting = &Setting { pairs, ..*setting };
    for places in Places::ALL {
        let load = Connect {
            to: places.addresses(),
            ..Connect::at_rate(ANY, STEADY_RATE, setting.seconds)
        };
        let contenders = MEANS.map(|(contender, ..)| contender);
        let contenders = [&[LEFT_OUT], contenders.as_slice()].concat();
        let rounds = run(setting, findings, &contenders, &load)?;
        for (contender, means, promise) in MEANS {
            let name = format!("CPU of attribution {means}, {}", places.name());
            findings.rows.push(
                difference(&rounds, contender, name, Measured::both_us_p50)
                    .promised(promise, setting.strictness),
            );
            let name = format!("of it in the program that connects, {}", places.name());
            findings.rows.push(difference(&rounds, contender, name, Measured::client_us_p50));
        }
    }
    Ok(())
}

fn difference(
    rounds: &Rounds<Measured>,
    contender: Contender,
    name: String,
    quantity: impl Fn(&Measured) -> f64,
) -> Row {
    let (ours, theirs) = (rounds.of(contender, &quantity), rounds.of(LEFT_OUT, &quantity));
    Row::paired(name, "us", &ours, (LEFT_OUT.name(), &theirs), Comparison::Difference)
}
