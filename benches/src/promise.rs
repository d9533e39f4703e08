//! What Seawall promises of itself, in numbers.

use serde::Serialize;

/// The side of the bound on which a value has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
    /// Reported, not promised.
    None,
}

/// How strictly promises are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strictness {
    /// As they stand: on a quiet machine.
    Exact,
    /// A factor of ten off is still let through: a short run on a busy machine.
    WithinTen,
}

/// Whether it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Kept,
    /// Not kept, but within the factor that a short run allows.
    Off,
    Broken,
    NotPromised,
}

impl Promise {
    /// What a measured value makes of the promise.
    pub(crate) fn check(self, value: f64, strictness: Strictness) -> Outcome {
        let (kept, within_ten) = match self {
            Self::AtLeast(bound) => (value >= bound, value * 10.0 >= bound),
            Self::AtMost(bound) => (value <= bound, value <= bound * 10.0),
            Self::None => return Outcome::NotPromised,
        };
        match strictness {
            _ if !value.is_finite() => Outcome::Broken,
            _ if kept => Outcome::Kept,
            Strictness::WithinTen if within_ten => Outcome::Off,
            _ => Outcome::Broken,
        }
    }
}

impl std::fmt::Display for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_kept_off_or_broken() {
        use Outcome::{Broken, Kept, NotPromised, Off};
        use Promise::{AtLeast, AtMost};
        use Strictness::{Exact, WithinTen};
        let cases = [
            (AtLeast(0.95), 0.96, Exact, Kept),
            (AtLeast(0.95), 0.94, Exact, Broken),
            (AtLeast(0.95), 0.5, WithinTen, Off),
            (AtLeast(0.95), 0.09, WithinTen, Broken),
            (AtMost(2.0), 2.0, Exact, Kept),
            (AtMost(2.0), 2.1, Exact, Broken),
            (AtMost(2.0), 19.0, WithinTen, Off),
            (AtMost(2.0), 21.0, WithinTen, Broken),
            (AtMost(2.0), f64::NAN, WithinTen, Broken),
            (AtLeast(0.9), f64::INFINITY, Exact, Broken),
            (Promise::None, 1.0, Exact, NotPromised),
        ];
        for (promise, value, strictness, expected) in cases {
            assert_eq!(promise.check(value, strictness), expected, "{promise} {value}");
        }
    }
}
