//! When a rule counts.

use serde::{Deserialize, Serialize};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// What has to be so for a rule to count. All of it; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// `off`: it doesn't, whatever else is said.
    pub off: bool,
    /// `until=…`: seconds since 1970 (UTC) from which on it counts no more.
    pub until: Option<i64>,
    /// `during=…`: times of the week, as clocks on the wall show them.
    pub during: Option<Weekly>,
}

/// Times of each week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// The days; bit 0 is Monday.
    pub days: u8,
    /// The minute of the day at which it begins.
    pub from_minute: u16,
    /// The one at which it ends: of the next day, where that is not later.
    pub to_minute: u16,
}

/// A moment, as rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 (UTC).
    pub unix_seconds: i64,
    /// Day of the week on the wall; 0 is Monday.
    pub weekday: u8,
    /// Minute of that day.
    pub minute: u16,
}

impl When {
    /// Whether the rule counts at that moment.
    pub fn holds(&self, at: Moment) -> bool {
        !self.off
            && self.until.is_none_or(|until| at.unix_seconds < until)
            && self.during.is_none_or(|during| during.contains(at))
    }

    /// Whether time alone may change that.
    pub fn depends_on_time(&self) -> bool {
        !self.off && (self.until.is_some() || self.during.is_some())
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a rule doesn't count that could, for people.
    pub fn why_not(&self) -> &'static str {
        match self {
            Self { off: true, .. } => "it is switched off",
            Self { until: Some(_), during: None, .. } => "its time is over",
            _ => "it isn't its time",
        }
    }
}

impl Weekly {
    /// Every day.
    pub const ALL_DAYS: u8 = 0b111_1111;

    fn contains(self, at: Moment) -> bool {
        let is_on = |weekday: u8| self.days & (1 << (weekday % 7)) != 0;
        let begun = at.minute >= self.from_minute;
        let not_over = at.minute < self.to_minute;
        if self.from_minute < self.to_minute {
            return is_on(at.weekday) && begun && not_over;
        }
        // Over midnight: the night belongs to the day on which it begins.
        (is_on(at.weekday) && begun) || (is_on(at.weekday + 6) && not_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(weekday: u8, hour: u16, minute: u16) -> Moment {
        Moment { unix_seconds: 1_000, weekday, minute: hour * 60 + minute }
    }

    #[test]
    fn times_of_the_week() {
        const WORK_DAYS: u8 = 0b001_1111;
        let office = Weekly { days: WORK_DAYS, from_minute: 9 * 60, to_minute: 17 * 60 };
        let night = Weekly { days: 0b001_0000, from_minute: 22 * 60, to_minute: 6 * 60 };
        let sunday = Weekly { days: 0b100_0000, from_minute: 0, to_minute: DAY_MINUTES };
        let nights = Weekly { days: 0b100_0000, from_minute: 23 * 60, to_minute: 60 };
        let cases = [
            (office, at(0, 9, 0), true),
            (office, at(0, 8, 59), false),
            (office, at(4, 16, 59), true),
            (office, at(4, 17, 0), false),
            (office, at(5, 12, 0), false),
            // The night from Friday to Saturday.
            (night, at(4, 21, 59), false),
            (night, at(4, 22, 0), true),
            (night, at(5, 5, 59), true),
            (night, at(5, 6, 0), false),
            (night, at(5, 22, 0), false),
            (night, at(4, 1, 0), false),
            (sunday, at(6, 0, 0), true),
            (sunday, at(6, 23, 59), true),
            (sunday, at(0, 0, 0), false),
            // From Sunday to Monday.
            (nights, at(0, 0, 30), true),
            (nights, at(6, 0, 30), false),
        ];
        for (weekly, moment, expected) in cases {
            assert_eq!(weekly.contains(moment), expected, "{weekly:?} {moment:?}");
        }
    }

    #[test]
    fn a_rule_counts_where_all_of_it_holds() {
        let never = Weekly { days: 0, from_minute: 0, to_minute: DAY_MINUTES };
        let cases = [
            (When::default(), true),
            (When { off: true, ..When::default() }, false),
            (When { until: Some(1_001), ..When::default() }, true),
            (When { until: Some(1_000), ..When::default() }, false),
            (When { until: Some(1_001), during: Some(never), ..When::default() }, false),
        ];
        for (when, expected) in cases {
            assert_eq!(when.holds(at(0, 0, 0)), expected, "{when:?}");
        }
    }
}
