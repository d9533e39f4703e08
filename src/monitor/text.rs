//! Text made fit for a column, and what is said in few characters.

use std::time::SystemTime;

use seawall_messages::{Direction, Flow, Transport};

use crate::output::{one_line, shortened, width};

/// The text in exactly so many columns: cut with an ellipsis, or filled with blanks.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = one_line(text);
    let text = shortened(&text, columns);
    format!("{text}{:fill$}", "", fill = columns.saturating_sub(width(&text)))
}

/// As [`fit`], to the right.
pub(crate) fn fit_right(text: &str, columns: usize) -> String {
    let text = one_line(text);
    let text = shortened(&text, columns);
    format!("{:fill$}{text}", "", fill = columns.saturating_sub(width(&text)))
}

/// A graph of the newest values in so many columns, the highest of which is full.
pub(crate) fn graph<'a>(
    values: impl DoubleEndedIterator<Item = &'a f64> + Clone,
    columns: usize,
) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = || values.clone().rev().take(columns);
    let highest = newest().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let eighths = if highest > 0.0 { (value / highest * 8.0).ceil() } else { 0.0 };
        // Between 0 and 8.
        BARS.get(eighths as usize).copied().unwrap_or('█')
    };
    let mut bars: Vec<char> = newest().map(bar).collect();
    bars.resize(columns, ' ');
    bars.into_iter().rev().collect()
}

/// The other end, with the port that was called where it is there.
pub(crate) fn far_end(flow: &Flow) -> String {
    let remote = flow.remote();
    match (flow.transport, flow.direction) {
        (Transport::Ports { initiator, .. }, Direction::Inbound) => {
            std::net::SocketAddr::new(remote, initiator).to_string()
        }
        (Transport::Ports { responder, .. }, _) => {
            std::net::SocketAddr::new(remote, responder).to_string()
        }
        (Transport::Icmp { kind, code, .. }, _) => format!("{remote} type {kind} code {code}"),
        (Transport::Portless, _) => remote.to_string(),
        (Transport::Truncated, _) => format!("{remote} (truncated)"),
    }
}

/// A direction in three letters.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "out",
        Direction::Inbound => "in",
        Direction::Forwarded => "fwd",
    }
}

/// A moment in UTC, as RFC 3339 writes it, to the second.
pub(crate) fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fills_its_columns_and_no_more() {
        let cases = [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 4, "漢… "),
            ("abc", 0, ""),
            ("abc", 1, "…"),
            ("a\u{1b}c", 9, "a\\u{1b}c "),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(fit(text, columns), expected, "{text:?} in {columns}");
            assert_eq!(width(&fit(text, columns)), columns, "{text:?} in {columns}");
        }
        assert_eq!(fit_right("7", 3), "  7");
        assert_eq!(fit_right("12345", 3), "12…");
    }

    #[test]
    fn graphs_show_the_newest_on_the_right() {
        let cases: [(&[f64], usize, &str); 5] = [
            (&[], 3, "   "),
            (&[0.0, 0.0], 3, "   "),
            (&[1.0, 8.0], 3, " ▁█"),
            (&[9.0, 4.0, 8.0, 2.0], 3, "▄█▂"),
            (&[0.001, 1_000.0], 2, "▁█"),
        ];
        for (values, columns, expected) in cases {
            assert_eq!(graph(values.iter(), columns), expected, "{values:?}");
        }
    }
}
