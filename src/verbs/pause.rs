//! `seawall pause` and `seawall resume`: everything passes for a while, and no more.

use std::time::Duration;

use hyper::Method;
use seawall_messages::api::{BeginPause, Paused};

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output;

/// Longest pause, as `policy` has it.
const MAX: Duration = seawall_policy::MAX_PAUSE;

/// Reads how long: `10m`, `1h 30m`, `90s`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time such as 10m, 90s or 1h30m, of 1s to 24h";
    let length = humantime::parse_duration(text).map_err(|error| format!("{error}; {EXPECTED}"))?;
    let is_sensible = (Duration::from_secs(1)..=MAX).contains(&length);
    is_sensible.then_some(length).ok_or_else(|| EXPECTED.to_owned())
}

pub(super) fn begin(length: Duration, common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    let request = BeginPause { seconds: length.as_secs() };
    // Asked again, it begins again: no longer than was meant, by a moment.
    let answer: Paused =
        client.send(Method::POST, "/v1/pause", Some(&request), SLOW, Repeat::Safe)?;
    if common.json {
        output::json(&answer);
    } else {
        let left = output::span(answer.policy.paused_s.unwrap_or_default());
        output::line(format_args!(
            "paused for {left}: everything passes; `seawall resume` ends it before"
        ));
    }
    Ok(Outcome::Done)
}

pub(super) fn end(common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    let answer: Paused =
        client.send(Method::DELETE, "/v1/pause", None::<&()>, SLOW, Repeat::Safe)?;
    if common.json {
        output::json(&answer);
    } else {
        let generation = answer.policy.generation.0;
        output::line(format_args!("the policy is in force (generation {generation})"));
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_a_length() {
        let cases = [("10m", Some(600)), ("1h30m", Some(5_400)), ("24h", Some(86_400))];
        for (text, seconds) in cases {
            assert_eq!(length(text).ok().map(|length| length.as_secs()), seconds, "{text}");
        }
        for text in ["", "10", "0s", "25h", "forever", "-1m", "10ms"] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
