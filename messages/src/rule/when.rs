//! When a rule counts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// What has to be so for a rule to count. All of it; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// `off`: it doesn't, whatever else is said.
    pub off: bool,
    /// `until=…`: from when on it counts no more.
    pub until: Option<End>,
    /// `during=…`: times of the week, as clocks on the wall show them.
    pub during: Option<Weekly>,
}

/// When a rule ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// `until=2026-12-24`: seconds since 1970 (UTC).
    Time(i64),
    /// `until=restart`: when the machine is started again. `None`: it is said just now.
    Restart(Option<Boot>),
    /// `until=exit`: when the app ends. `None`: it is said just now.
    Exit(Option<Run>),
}

/// One run of the machine, from one start to the next. Part of the kernel's random id of it:
/// long enough to tell any two apart, short enough to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Boot(u64);

/// One run of an app: of a process, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The process's id.
    pub pid: u32,
    /// When it started, in hundredths of a second since boot.
    pub started_ticks: u64,
    /// In which run of the machine: in another, some other process may have both of these.
    pub boot: Boot,
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
    /// In which run of the machine it is; `None` where the kernel doesn't say.
    pub boot: Option<Boot>,
}

impl When {
    /// Whether the rule counts at that moment. `runs`: those of apps that go on.
    pub fn holds(&self, at: Moment, runs: &[Run]) -> bool {
        !self.off
            && self.until.is_none_or(|end| end.is_ahead(at, runs))
            && self.during.is_none_or(|during| during.contains(at))
    }

    /// Whether time alone may change that.
    pub fn depends_on_time(&self) -> bool {
        !self.off && (matches!(self.until, Some(End::Time(_))) || self.during.is_some())
    }

    /// The run of an app that has to go on.
    pub fn run(&self) -> Option<Run> {
        match self.until {
            Some(End::Exit(run)) => run,
            _ => None,
        }
    }

    /// The same, but for the run of the machine, or of the app, in which it was said.
    #[must_use]
    pub fn whenever_said(self) -> Self {
        match self.until {
            Some(End::Restart(Some(_))) => Self { until: Some(End::Restart(None)), ..self },
            Some(End::Exit(Some(_))) => Self { until: Some(End::Exit(None)), ..self },
            _ => self,
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a rule doesn't count that could, for people.
    pub fn why_not(&self) -> &'static str {
        match self {
            Self { off: true, .. } => "it is switched off",
            Self { until: Some(End::Time(_)), during: None, .. } => "its time is over",
            Self { until: Some(End::Restart(_)), during: None, .. } => {
                "the machine was restarted since"
            }
            Self { until: Some(End::Exit(_)), during: None, .. } => "the app has ended since",
            _ => "it isn't its time",
        }
    }
}

impl End {
    /// Whether it is still to come.
    fn is_ahead(self, at: Moment, runs: &[Run]) -> bool {
        match self {
            Self::Time(seconds) => at.unix_seconds < seconds,
            Self::Restart(said_in) => said_in.is_none() || said_in == at.boot,
            Self::Exit(said_in) => {
                said_in.is_none_or(|run| at.boot == Some(run.boot) && runs.contains(&run))
            }
        }
    }
}

impl Run {
    /// From the text that it prints: `1234-567890-0fcbee07bad8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.split_once('-')?;
        let (started_ticks, boot) = rest.split_once('-')?;
        let boot = Boot::parse(boot)?;
        let run = Self { pid: pid.parse().ok()?, started_ticks: started_ticks.parse().ok()?, boot };
        // One spelling only, so that one run is one text.
        (run.to_string() == text).then_some(run)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.pid, self.started_ticks, self.boot)
    }
}

impl Boot {
    /// Hexadecimal digits of one.
    const DIGITS: usize = 12;

    /// From what the kernel calls it (random(4)): a UUID, of whose last group each bit is random.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::parse(id.trim_end().rsplit('-').next()?)
    }

    /// From its digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_one = digits.len() == Self::DIGITS
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| u64::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0digits$x}", self.0, digits = Self::DIGITS)
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
        Moment { unix_seconds: 1_000, weekday, minute: hour * 60 + minute, boot: Some(Boot(7)) }
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

    fn until(end: End) -> When {
        When { until: Some(end), ..When::default() }
    }

    fn run(pid: u32, started_ticks: u64, boot: u64) -> Run {
        Run { pid, started_ticks, boot: Boot(boot) }
    }

    #[test]
    fn a_rule_counts_where_all_of_it_holds() {
        let never = Weekly { days: 0, from_minute: 0, to_minute: DAY_MINUTES };
        let cases = [
            (When::default(), true),
            (When { off: true, ..When::default() }, false),
            (until(End::Time(1_001)), true),
            (until(End::Time(1_000)), false),
            (When { during: Some(never), ..until(End::Time(1_001)) }, false),
            (until(End::Restart(None)), true),
            (until(End::Restart(Some(Boot(7)))), true),
            (until(End::Restart(Some(Boot(8)))), false),
            (until(End::Exit(None)), true),
            (until(End::Exit(Some(run(4, 9, 7)))), true),
            (until(End::Exit(Some(run(4, 10, 7)))), false),
            (until(End::Exit(Some(run(5, 9, 7)))), false),
            (until(End::Exit(Some(run(4, 9, 8)))), false),
            (When { off: true, ..until(End::Exit(Some(run(4, 9, 7)))) }, false),
        ];
        // The last is of another run of the machine: whoever has that id now is somebody else.
        let runs = [run(4, 9, 7), run(4, 9, 8)];
        for (when, expected) in cases {
            assert_eq!(when.holds(at(0, 0, 0), &runs), expected, "{when:?}");
        }
        let nowhere = Moment { boot: None, ..at(0, 0, 0) };
        for end in [End::Restart(Some(Boot(7))), End::Exit(Some(run(4, 9, 7)))] {
            assert!(!until(end).holds(nowhere, &runs), "{end:?}");
        }
    }

    #[test]
    fn a_run_of_an_app_is_one_text() {
        let text = "1234-567890-0fcbee07bad8";
        let run = Run::parse(text).expect("one");
        assert_eq!((run.pid, run.started_ticks, run.to_string().as_str()), (1234, 567_890, text));
        let broken = [
            "",
            "1234",
            "1234-567890",
            "1234-567890-",
            "1234-567890-0FCBEE07BAD8",
            "01234-567890-0fcbee07bad8",
            "+1234-567890-0fcbee07bad8",
            "-1-567890-0fcbee07bad8",
            "4294967296-1-0fcbee07bad8",
            "1234-567890-0fcbee07bad8-",
        ];
        for text in broken {
            assert_eq!(Run::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_of_the_machine_is_known_by_the_end_of_its_id() {
        let boot = Boot::of_id("33184f39-8c1c-4f24-85a8-0fcbee07bad8\n").expect("one");
        assert_eq!(boot.to_string(), "0fcbee07bad8");
        assert_eq!(Boot::parse("0fcbee07bad8"), Some(boot));
        for text in ["", "0fcbee07bad", "0fcbee07bad8a", "0FCBEE07BAD8", "+fcbee07bad8"] {
            assert_eq!(Boot::parse(text), None, "{text}");
        }
    }
}
