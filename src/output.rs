//! What the verbs print. Everything for standard output and standard error of
//! a verb goes through here: what others wrote (names, command lines, errors)
//! can't move the cursor or turn text round.

mod style;
mod table;
mod text;

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

pub(crate) use self::style::{
    ColorChoice, Style, choose_colors, chosen_colors, on_stderr as is_stderr_colored,
    on_stdout as is_stdout_colored,
};
pub(crate) use self::table::{Cell, Table};
pub(crate) use self::text::{in_json, one_line, shortened, width};

/// A line on standard output. A reader that went away is no error.
pub(crate) fn line(text: impl Display) {
    print(&text::lines(&text.to_string()));
}

/// A line of parts, each in its style.
pub(crate) fn styled_line(parts: &[(Style, &str)]) {
    let is_colored = style::on_stdout();
    let parts = parts.iter().map(|(style, part)| style.paint(&text::lines(part), is_colored));
    print(&parts.collect::<String>());
}

/// Text that a program reads, byte by byte as it is.
pub(crate) fn verbatim(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// A line on standard error.
pub(crate) fn complaint(text: impl Display) {
    let name = Style::Bad.paint("seawall:", style::on_stderr());
    let _ = writeln!(std::io::stderr().lock(), "{name} {}", text::lines(&text.to_string()));
}

/// What to do about a complaint, on standard error.
pub(crate) fn hint(text: impl Display) {
    note(Style::Strong, "hint:", text);
}

/// Something beside the answer, on standard error, with its kind before it.
pub(crate) fn note(style: Style, kind: &str, text: impl Display) {
    let name = style.paint(kind, style::on_stderr());
    let _ = writeln!(std::io::stderr().lock(), "{name} {}", text::lines(&text.to_string()));
}

/// A value as indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text::in_json(&text)),
        Err(error) => complaint(format_args!("can't print the answer: {error}")),
    }
}

fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
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
