//! CPU time in short slices of a load. What else happens once in a while falls into few of them: a
//! program that is met for the first time, a look that is due every five seconds, a neighbour of the
//! machine. Their median is the price of what happens all the time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::vitals;

use crate::contender::Entered;
use crate::statistics::Spread;

/// Long enough for fifty connections at a steady rate.
const SLICE: Duration = Duration::from_millis(100);

/// CPU time used up so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    at: Instant,
    contender: Duration,
    client: Duration,
}

/// What each slice took, in microseconds a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Slices {
    contender: Vec<f64>,
    client: Vec<f64>,
}

impl Slices {
    /// Looks at the contender and the client for as long as said, a slice at a time.
    pub(crate) fn watch(
        entered: &Entered<'_>,
        client: u32,
        lasting: Duration,
    ) -> anyhow::Result<Self> {
        let start = Instant::now();
        let mut looks = vec![look(entered, client)?];
        while start.elapsed() + SLICE <= lasting {
            sleep(SLICE);
            looks.push(look(entered, client)?);
        }
        Ok(Self::between(&looks))
    }

    fn between(looks: &[Used]) -> Self {
        let mut slices = Self::default();
        for pair in looks.windows(2) {
            let [before, after] = pair else { continue };
            let seconds = (after.at - before.at).as_secs_f64();
            let rate = |before: Duration, after: Duration| {
                after.saturating_sub(before).as_secs_f64() * 1e6 / seconds
            };
            slices.contender.push(rate(before.contender, after.contender));
            slices.client.push(rate(before.client, after.client));
        }
        slices
    }

    /// Median of the contender and the client together, for each of so many things a second.
    pub(crate) fn both_us_each(&self, per_second: f64) -> f64 {
        let both = self.contender.iter().zip(&self.client).map(|(one, other)| one + other);
        Spread::of(&both.collect::<Vec<_>>()).median / per_second
    }

    /// Median of the client, likewise.
    pub(crate) fn client_us_each(&self, per_second: f64) -> f64 {
        Spread::of(&self.client).median / per_second
    }
}

fn look(entered: &Entered<'_>, client: u32) -> anyhow::Result<Used> {
    let contender = entered.cpu_time()?;
    let client = vitals::cpu_time(client).context("reading the CPU time of the client")?;
    Ok(Used { at: Instant::now(), contender, client })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_once_is_not_the_price() {
        let start = Instant::now();
        let look = |tenths: u32, contender_us: u64, client_us: u64| Used {
            at: start + SLICE * tenths,
            contender: Duration::from_micros(contender_us),
            client: Duration::from_micros(client_us),
        };
        let looks = [look(0, 0, 0), look(1, 500, 1000), look(2, 9_000, 2000), look(3, 9_500, 3000)];
        let slices = Slices::between(&looks);
        assert_eq!(slices.client_us_each(100.0).round(), 100.0);
        assert_eq!(slices.both_us_each(100.0).round(), 150.0);
        assert_eq!(Slices::between(&looks[..1]).both_us_each(100.0), 0.0);
    }
}
