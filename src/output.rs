//! What the verbs print. Everything for standard output and standard error of
//! a verb goes through here.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

/// A line on standard output. A reader that went away is no error.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line on standard error.
pub(crate) fn complaint(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "seawall: {text}");
}

/// A value as indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => complaint(format_args!("can't print the answer: {error}")),
    }
}

/// Rows under headings, columns as wide as they need to be.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with nothing but its headings.
    pub(crate) fn new(headings: [&str; COLUMNS]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }

    /// The table as lines, without blanks at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        self.rows
            .iter()
            .map(|row| {
                let cells: Vec<_> =
                    row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
                cells.join("  ").trim_end().to_owned()
            })
            .collect()
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        for text in self.lines() {
            line(text);
        }
    }
}

/// A number of bytes as people say it: `512 B`, `1.5 kB`, `20 MB`.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut count = count;
    let mut unit = 0;
    while count >= 999.5 && unit + 1 < UNITS.len() {
        count /= 1000.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if count < 9.95 && unit != "B" {
        format!("{count:.1} {unit}")
    } else {
        format!("{count:.0} {unit}")
    }
}

/// A time span as people say it: `4s`, `12m`, `3h 5m`, `2d 1h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m"),
        () => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["api".to_owned(), String::new()]);
        table.row(["datapath/new".to_owned(), "running".to_owned()]);
        assert_eq!(table.lines(), ["NAME          STATE", "api", "datapath/new  running"]);
    }

    #[test]
    fn bytes_are_said_in_two_digits_or_three() {
        let cases = [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 kB"),
            (9_940.0, "9.9 kB"),
            (20_400_000.0, "20 MB"),
            (1e15, "1000 TB"),
        ];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (3_660, "1h 1m"), (90_000, "1d 1h")];
        for (seconds, expected) in cases {
            assert_eq!(span(seconds), expected);
        }
    }
}
