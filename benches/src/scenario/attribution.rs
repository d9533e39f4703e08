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

/// With the kernel's notes and without, what either may cost in microseconds, and in how many rounds that shows.
const MEANS: [(Contender, &str, Promise, usize); 3] = [
    (Contender::SeawallAttributingAlone, "by the kernel's notes", Promise::AtMost(5.0), 41),
    (Contender::SeawallAttributing, "and of counting by socket", Promise::None, 9),
    (Contender::SeawallByTables, "by the socket tables", Promise::AtMost(40.0), 9),
];
/// A difference of a few microseconds is less than what a machine is faster or slower from one minute to the next: many
/// short rounds, each contender right beside the one that it is compared with, tell more than few long ones.
const MOST_SECONDS: f64 = 1.0;
const LEFT_OUT: Contender = Contender::SeawallLookUpLeftOut;

/// The price at a steady rate, all connections from one program.
pub(super) fn price(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    for places in Places::ALL {
        for (contender, means, promise, rounds) in MEANS {
            let pairs = match setting.strictness {
                Strictness::Exact => setting.pairs.max(rounds),
                Strictness::WithinTen => setting.pairs,
            };
            let seconds = setting.seconds.min(MOST_SECONDS);
            let setting = &Setting { pairs, seconds, ..*setting };
            let load =
                Connect { to: places.addresses(), ..Connect::at_rate(ANY, STEADY_RATE, seconds) };
            let rounds = run(setting, findings, &[LEFT_OUT, contender], &load)?;
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
