//! When to look again at rules that count at some times only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_messages::rule::{End, Rule};

/// Times of day are in whole minutes, and nobody tells when the clock is set.
const MINUTE: Duration = Duration::from_secs(60);

/// How long from `now` until one of the rules may begin or cease to count; at most
/// until the next minute. `None`: time changes nothing.
pub(crate) fn next_look<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    now: SystemTime,
) -> Option<Duration> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let of_this_minute = Duration::new(since.as_secs() % MINUTE.as_secs(), since.subsec_nanos());
    let to_next_minute = MINUTE - of_this_minute;
    let end = |rule: &Rule| match rule.when.until? {
        End::Time(seconds) => Some(seconds),
        End::Restart(_) | End::Exit(_) => None,
    };
    let until = |rule: &Rule| {
        let end = u64::try_from(end(rule)?).ok()?;
        Duration::from_secs(end).checked_sub(since)
    };
    let is_over = |rule: &Rule| {
        end(rule).is_some_and(|end| end <= i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    };
    rules
        .filter(|rule| rule.when.depends_on_time() && !is_over(rule))
        .map(|rule| until(rule).map_or(to_next_minute, |left| left.min(to_next_minute)))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::parse;

    #[test]
    fn it_is_looked_again_when_something_may_change() {
        // Half a second after 10:00:20 UTC.
        let now = UNIX_EPOCH + Duration::new(1_795_600_820, 500_000_000);
        let in_ms = Duration::from_millis;
        let cases = [
            (&["- *"][..], None),
            (&["- * off during=Mon"], None),
            (&["- * until=restart"], None),
            (&["- * until=restart during=Mon"], Some(in_ms(39_500))),
            (&["- * until=exit"], None),
            (&["- * during=Mon"], Some(in_ms(39_500))),
            (&["- * until=2026-11-25T10:00:30Z"], Some(in_ms(9_500))),
            (&["- * until=2026-11-25T10:00:30Z", "- * during=Mon"], Some(in_ms(9_500))),
            (&["- * until=2026-12-24T00:00:00Z"], Some(in_ms(39_500))),
            (&["- * until=2026-11-25T10:00:20Z"], None),
            (&["- * until=2001-01-01T00:00:00Z during=Mon"], None),
        ];
        for (lines, expected) in cases {
            let rules: Vec<_> = lines.iter().map(|line| parse(line).expect(line)).collect();
            assert_eq!(next_look(rules.iter(), now), expected, "{lines:?}");
        }
    }
}
