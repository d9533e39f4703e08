//! What was measured: as a table for people, as JSON for machines.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::faults::FaultRow;
use crate::promise::{Outcome, Promise, Strictness};
use crate::statistics::Spread;

/// What a compared value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Comparison {
    /// Seawall's value divided by the baseline's, pair by pair.
    Ratio,
    /// Seawall's value less the baseline's, pair by pair.
    Difference,
    /// Seawall's value as it is.
    Absolute,
}

/// The other side of a comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    pub(crate) spread: Spread,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) seawall: Spread,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) comparison: Comparison,
    pub(crate) compared: Spread,
    pub(crate) promise: Promise,
    pub(crate) outcome: Outcome,
}

/// The machine, as far as it matters for reading the numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    pub(crate) load_before: String,
}

/// Everything that a run measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Version line of the Seawall that was measured.
    pub(crate) version: String,
    pub(crate) strictness: Strictness,
    pub(crate) pairs: usize,
    pub(crate) rows: Vec<Row>,
    /// From the end-to-end tests, where they have run.
    pub(crate) faults: Vec<FaultRow>,
    /// What went wrong while measuring, in sentences.
    pub(crate) problems: Vec<String>,
}

impl Row {
    /// Compares pair by pair: `seawall[n]` was measured beside `baseline[n]`.
    pub(crate) fn paired(
        name: impl Into<String>,
        unit: &'static str,
        seawall: &[f64],
        (baseline_name, baseline): (&'static str, &[f64]),
        comparison: Comparison,
    ) -> Self {
        let compare = |(ours, theirs): (&f64, &f64)| match comparison {
            Comparison::Ratio => ours / theirs,
            Comparison::Difference => ours - theirs,
            Comparison::Absolute => *ours,
        };
        let compared: Vec<f64> = seawall.iter().zip(baseline).map(compare).collect();
        Self {
            name: name.into(),
            unit,
            seawall: Spread::of(seawall),
            baseline: Some(Baseline { name: baseline_name, spread: Spread::of(baseline) }),
            comparison,
            compared: Spread::of(&compared),
            promise: Promise::None,
            outcome: Outcome::NotPromised,
        }
    }

    /// Seawall alone.
    pub(crate) fn alone(name: impl Into<String>, unit: &'static str, seawall: &[f64]) -> Self {
        let spread = Spread::of(seawall);
        Self {
            name: name.into(),
            unit,
            seawall: spread,
            baseline: None,
            comparison: Comparison::Absolute,
            compared: spread,
            promise: Promise::None,
            outcome: Outcome::NotPromised,
        }
    }

    /// Holds the median of what was compared to a promise. Without any value it is broken.
    ///
    /// A difference grows with whatever slows the machine down, where a ratio doesn't: a short
    /// run lets it through as long as a quarter of its rounds are within what is let through.
    pub(crate) fn promised(mut self, promise: Promise, strictness: Strictness) -> Self {
        let value = if self.compared.values == 0 { f64::NAN } else { self.compared.median };
        self.promise = promise;
        self.outcome = promise.check(value, strictness);
        let quiet = promise.check(self.compared.lower_quartile, strictness);
        // What makes the baseline slow makes the difference larger, too.
        let is_less_than_all = |baseline: &Baseline| value <= baseline.spread.median;
        if self.comparison == Comparison::Difference
            && strictness == Strictness::WithinTen
            && value.is_finite()
            && self.outcome == Outcome::Broken
            && (quiet != Outcome::Broken || self.baseline.as_ref().is_some_and(is_less_than_all))
        {
            self.outcome = Outcome::Off;
        }
        self
    }
}

impl Report {
    /// Whether no promise was broken and nothing went wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(|row| row.outcome != Outcome::Broken)
    }

    /// As a Markdown table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} on {} ({} processors), Linux {}, load {} before; {} interleaved pairs; medians, with (quartiles; extremes) of what is compared\n\n\
             | scenario | unit | Seawall | baseline | compared | promised | |\n|---|---|---|---|---|---|---|\n",
            self.version,
            self.machine.processor,
            self.machine.processors,
            self.machine.kernel,
            self.machine.load_before,
            self.pairs
        );
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line());
        }
        if !self.faults.is_empty() {
            text.push_str(
                "\n| fault, under load | longest gap of a stream, ms | slowest connection, ms | failed |\n\
                 |---|---|---|---|\n",
            );
        }
        for FaultRow { row, longest_gap_ms, slowest_connection_ms, failed } in &self.faults {
            let (gap, slowest) = (number(*longest_gap_ms), number(*slowest_connection_ms));
            let _ = writeln!(text, "| {row} | {gap} | {slowest} | {failed} |");
        }
        for problem in &self.problems {
            let _ = writeln!(text, "\nProblem: {problem}");
        }
        text
    }

    /// Writes `results.md` and `results.json` into a folder.
    pub(crate) fn write_to(&self, folder: &Path) -> anyhow::Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        write("results.md", self.table())?;
        write("results.json", serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Row {
    fn line(&self) -> String {
        let baseline = self.baseline.as_ref().map_or_else(
            || "-".to_owned(),
            |baseline| format!("{} ({})", median(&baseline.spread), baseline.name),
        );
        let Spread { min, lower_quartile, median: middle, upper_quartile, max, .. } = self.compared;
        let sign = match self.comparison {
            Comparison::Ratio => "×",
            Comparison::Difference => "Δ",
            Comparison::Absolute => "",
        };
        let mut compared = format!(
            "{sign}{} ({}..{}; {}..{})",
            number(middle),
            number(lower_quartile),
            number(upper_quartile),
            number(min),
            number(max)
        );
        if self.compared.values == 0 {
            compared = "not measured".to_owned();
        }
        let outcome = match self.outcome {
            Outcome::Kept => "kept",
            Outcome::Off => "off, within a short run's tolerance",
            Outcome::Broken => "**missed**",
            Outcome::NotPromised => "",
        };
        format!(
            "| {} | {} | {} | {baseline} | {compared} | {} | {outcome} |",
            self.name,
            self.unit,
            median(&self.seawall),
            self.promise
        )
    }
}

/// The median, where anything was measured.
fn median(spread: &Spread) -> String {
    if spread.values == 0 { "?".to_owned() } else { number(spread.median) }
}

/// Three significant digits, or all that stand before the point.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 || magnitude == 0.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_compared_one_by_one() {
        let row =
            Row::paired("x", "u", &[2.0, 9.0, 4.0], ("G", &[1.0, 3.0, 2.0]), Comparison::Ratio);
        assert_eq!(row.compared.median, 2.0);
        assert_eq!(row.compared.max, 3.0);
        let row = Row::paired("x", "u", &[5.0, 7.0], ("G", &[4.0, 4.0]), Comparison::Difference);
        assert_eq!(row.compared.median, 2.0);
    }

    #[test]
    fn nothing_measured_is_a_promise_broken() {
        let row = Row::alone("x", "u", &[]).promised(Promise::AtMost(1.0), Strictness::WithinTen);
        assert_eq!(row.outcome, Outcome::Broken);
        assert_eq!(row.line(), "| x | u | ? | - | not measured | <= 1 | **missed** |");
    }

    #[test]
    fn a_difference_of_a_slow_hour_is_off_while_some_rounds_keep_it_or_it_is_not_the_larger_part() {
        use Comparison::{Difference, Ratio};
        use Strictness::{Exact, WithinTen};
        let outcome = |with: &[f64], without: f64, comparison, strictness| {
            let row = Row::paired("x", "us", with, ("G", &[without; 5]), comparison);
            row.promised(Promise::AtMost(5.0), strictness).outcome
        };
        let slow = [20.0, 30.0, 60.0, 65.0, 70.0];
        let cases = [
            (slow, 1.0, Difference, WithinTen, Outcome::Off),
            (slow, 1.0, Difference, Exact, Outcome::Broken),
            (slow, 1.0, Ratio, WithinTen, Outcome::Broken),
            ([60.0; 5], 1.0, Difference, WithinTen, Outcome::Broken),
            ([260.0; 5], 200.0, Difference, WithinTen, Outcome::Off),
            ([260.0; 5], 200.0, Difference, Exact, Outcome::Broken),
            ([460.0; 5], 200.0, Difference, WithinTen, Outcome::Broken),
        ];
        for (with, without, comparison, strictness, expected) in cases {
            let found = outcome(&with, without, comparison, strictness);
            assert_eq!(found, expected, "{with:?} {without} {comparison:?} {strictness:?}");
        }
    }

    #[test]
    fn numbers_have_three_digits() {
        let cases =
            [(12345.6, "12346"), (45.67, "45.7"), (0.954, "0.95"), (0.01234, "0.0123"), (0.0, "0")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
