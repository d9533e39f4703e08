//! When a rule counts: `off`, `until=2026-12-24T18:00`, `until=restart`, `until=exit`,
//! `during=Mon-Fri,22:00-06:00`.
//!
//! A rule that is kept says in which run of the machine `until=restart` was said, and of which run
//! of the app `until=exit`: `until=restart@0fcbee07bad8`, `until=exit@1234-567890-0fcbee07bad8`.
//! People needn't see that.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use seawall_messages::rule::{Boot, DAY_MINUTES, End, Moment, Run, Weekly, When};

use super::{Fault, quoted};

pub(super) const OFF: &str = "off";
pub(super) const UNTIL: &str = "until";
pub(super) const DURING: &str = "during";
/// What `until=` may say in place of a time.
pub(super) const RESTART: &str = "restart";
pub(super) const EXIT: &str = "exit";
/// Between that and the run of the machine, or of the app, in which it was said.
pub(super) const SAID_IN: char = '@';
/// Where the kernel says which run of the machine this is (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Takes up the times that a word says.
pub(super) fn parse_times_of(key: &str, value: &str, when: &mut When) -> Result<(), Fault> {
    if key == UNTIL {
        when.until = Some(parse_until(value)?);
    } else {
        when.during = Some(parse_during(value)?);
    }
    Ok(())
}

/// The canonical form, with a space before each word.
pub(super) fn print_when(when: &When) -> String {
    let mut text = String::new();
    if when.off {
        text.push_str(" off");
    }
    // Writing to a string never fails.
    match when.until {
        Some(End::Time(seconds)) => {
            if let Ok(until) = Timestamp::from_second(seconds) {
                let _ = write!(text, " {UNTIL}={until}");
            }
        }
        Some(End::Restart(_)) => {
            let _ = write!(text, " {UNTIL}={RESTART}");
        }
        Some(End::Exit(_)) => {
            let _ = write!(text, " {UNTIL}={EXIT}");
        }
        None => {}
    }
    if let Some(during) = when.during {
        let _ = write!(text, " {DURING}={}", print_during(during));
    }
    text
}

/// The run of the machine that this is; `None` where the kernel doesn't say.
pub fn this_boot() -> Option<Boot> {
    // A process doesn't outlive it.
    static BOOT: OnceLock<Option<Boot>> = OnceLock::new();
    *BOOT.get_or_init(|| Boot::of_id(&std::fs::read_to_string(BOOT_ID).ok()?))
}

/// Where a word of a line says `until=` and that: what stands behind the `=`.
pub(super) fn end_span(at: usize, word: &str, end: &str) -> Option<Range<usize>> {
    let value = word.strip_prefix(UNTIL)?.strip_prefix('=')?;
    let is_it = value.split(SAID_IN).next() == Some(end);
    is_it.then(|| at + word.len() - value.len()..at + word.len())
}

/// Now, as rules look at it.
pub fn now() -> Moment {
    moment(&Zoned::now())
}

fn moment(now: &Zoned) -> Moment {
    let minute = i16::from(now.hour()) * 60 + i16::from(now.minute());
    Moment {
        unix_seconds: now.timestamp().as_second(),
        weekday: u8::try_from(now.weekday().to_monday_zero_offset()).unwrap_or_default(),
        minute: u16::try_from(minute).unwrap_or_default(),
        boot: this_boot(),
    }
}

/// `restart`, `exit`, a date, or a date and time, of this machine's time zone or with its offset from UTC.
fn parse_until(text: &str) -> Result<End, Fault> {
    const EXPECTED: &str = "a date, a date and time, or restart, or exit: 2026-12-24, 2026-12-24T18:00, 2026-12-24T18:00:00Z";
    let said_in = |end: &str| text.strip_prefix(end)?.strip_prefix(SAID_IN);
    match text {
        RESTART => return Ok(End::Restart(None)),
        EXIT => return Ok(End::Exit(None)),
        _ => {}
    }
    if let Some(boot) = said_in(RESTART).and_then(Boot::parse) {
        return Ok(End::Restart(Some(boot)));
    }
    if let Some(run) = said_in(EXIT).and_then(Run::parse) {
        return Ok(End::Exit(Some(run)));
    }
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp());
    let timestamp = match (text.parse::<Timestamp>(), text.len()) {
        (Ok(timestamp), _) => Ok(timestamp),
        (Err(_), 10) => text.parse::<Date>().and_then(|date| local(date.into())),
        (Err(_), _) => text.parse::<DateTime>().and_then(local),
    };
    let found = if text.is_empty() { "no time".to_owned() } else { quoted(text) };
    timestamp
        .map(|timestamp| End::Time(timestamp.as_second()))
        .map_err(|_| Fault::new(0..text.len(), found, EXPECTED))
}

/// Days and a time of day, between commas; each may be left out.
fn parse_during(text: &str) -> Result<Weekly, Fault> {
    let mut weekly = Weekly { days: 0, from_minute: 0, to_minute: DAY_MINUTES };
    let mut has_time = false;
    let mut at = 0;
    for word in text.split(',') {
        let span = at..at + word.len();
        at = span.end + 1;
        let Some((from, to)) = parse_times(word) else {
            weekly.days |= parse_days(word).ok_or_else(|| wrong_part(span, word))?;
            continue;
        };
        if std::mem::replace(&mut has_time, true) {
            return Err(Fault::new(
                span,
                format!("{}, a second time", quoted(word)),
                "one time of day",
            ));
        }
        if from == to {
            return Err(Fault::new(span, quoted(word), "a time that lasts"));
        }
        (weekly.from_minute, weekly.to_minute) = (from, to);
    }
    if weekly.days == 0 {
        weekly.days = Weekly::ALL_DAYS;
    }
    Ok(weekly)
}

fn wrong_part(span: std::ops::Range<usize>, word: &str) -> Fault {
    let found = if word.is_empty() { "nothing".to_owned() } else { quoted(word) };
    Fault::new(span, found, "days such as Mon or Sat-Sun, or a time of day such as 22:00-06:00")
}

/// `22:00-06:00`
fn parse_times(word: &str) -> Option<(u16, u16)> {
    let (from, to) = word.split_once('-')?;
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str| {
            let is_two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_two_digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        (minute < 60).then_some(hour * 60 + minute).filter(|minutes| *minutes <= DAY_MINUTES)
    };
    let (from, to) = (minute(from)?, minute(to)?);
    (from < DAY_MINUTES).then_some((from, to))
}

/// `Mon`, or `Fri-Mon`: over the end of the week, too.
fn parse_days(word: &str) -> Option<u8> {
    let day = |text: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    let (first, last) = match word.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(word)?, day(word)?),
    };
    let length = (last + 7 - first) % 7;
    Some((first..=first + length).fold(0, |days, day| days | 1 << (day % 7)))
}

fn print_during(weekly: Weekly) -> String {
    let mut parts = Vec::new();
    let is_on = |day: usize| weekly.days & (1 << day) != 0;
    let mut day = 0;
    while day < DAYS.len() && weekly.days != Weekly::ALL_DAYS {
        let run = (day..DAYS.len()).take_while(|day| is_on(*day)).count();
        match run {
            0 => day += 1,
            1 | 2 => {
                parts.push(DAYS[day].to_owned());
                day += 1;
            }
            _ => {
                parts.push(format!("{}-{}", DAYS[day], DAYS[day + run - 1]));
                day += run;
            }
        }
    }
    let is_whole_day = (weekly.from_minute, weekly.to_minute) == (0, DAY_MINUTES);
    if !is_whole_day || parts.is_empty() {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        parts.push(format!("{}-{}", clock(weekly.from_minute), clock(weekly.to_minute)));
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_taken_from_the_clock_on_the_wall() {
        let friday: Zoned = "2026-11-27T22:05:59+01:00[+01:00]".parse().expect("a time");
        let boot = this_boot();
        let expected =
            Moment { unix_seconds: 1_795_813_559, weekday: 4, minute: 22 * 60 + 5, boot };
        assert_eq!(moment(&friday), expected);
        assert!(boot.is_some(), "the kernel says which run of the machine it is");
    }
}
