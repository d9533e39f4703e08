//! Text of others made fit for a terminal, and numbers in few characters.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use seawall_messages::datapath::Connection;
use seawall_messages::{Direction, Flow, Transport};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Text in which whatever a terminal might obey, or that turns the direction of
/// writing or hides itself, is a replacement character.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_strange) {
        Cow::Owned(text.chars().map(|c| if is_strange(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_strange(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text in exactly so many columns: cut with an ellipsis, or filled with blanks.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = clean(text);
    let width = text.width();
    if width <= columns {
        return format!("{text}{:fill$}", "", fill = columns - width);
    }
    let mut fitted = String::new();
    let mut used = 0;
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        fitted.push(character);
    }
    if used < columns {
        fitted.push('…');
        used += 1;
    }
    format!("{fitted}{:fill$}", "", fill = columns.saturating_sub(used))
}

/// As [`fit`], to the right.
pub(crate) fn fit_right(text: &str, columns: usize) -> String {
    let width = clean(text).width();
    if width >= columns { fit(text, columns) } else { format!("{:>1$}{text}", "", columns - width) }
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

/// The reason with the rule and the app that it names.
pub(crate) fn reason(connection: &Connection) -> String {
    let reason = &connection.reason;
    let mut text = match &reason.rule {
        Some((position, rule)) => format!("{} (rule {position}: {rule})", reason.text),
        None => reason.text.to_string(),
    };
    if let Some(app) = &reason.app {
        text.push_str(", for ");
        text.push_str(app);
    }
    text
}

/// How old a connection is; `None` where an earlier worker decided it, who did not say when.
pub(crate) fn age(connection: &Connection, now: SystemTime) -> Option<Duration> {
    (connection.decided != SystemTime::UNIX_EPOCH)
        .then(|| now.duration_since(connection.decided).unwrap_or_default())
}

/// A moment in UTC, as RFC 3339 writes it, to the second.
pub(crate) fn moment(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of so many days after 1 January 1970. Counted in years that
/// begin in March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    const UNTIL_1970: u64 = 719_468;
    let days = days + UNTIL_1970;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let cases = [
            ("plain", "plain"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("a\nb\tc\r\u{9b}2J\u{7f}", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}2J\u{fffd}"),
            ("evil\u{202e}txt.exe", "evil\u{fffd}txt.exe"),
            ("zero\u{200b}width\u{e0041}", "zero\u{fffd}width\u{fffd}"),
            ("ünïcödé 漢字", "ünïcödé 漢字"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn text_fills_its_columns_and_no_more() {
        let cases = [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 4, "漢… "),
            ("abc", 0, ""),
            ("abc", 1, "…"),
            ("a\u{1b}c", 3, "a\u{fffd}c"),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(fit(text, columns), expected, "{text:?} in {columns}");
            assert_eq!(fit(text, columns).width(), columns, "{text:?} in {columns}");
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

    #[test]
    fn moments_are_said_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(moment(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
