//! Medians and their spread.

use serde::Serialize;

/// A sample in five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) max: f64,
    /// How many values there were.
    pub(crate) values: usize,
}

impl Spread {
    /// Of these values; all zero when there are none.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = match (sorted.first(), sorted.last()) {
            (Some(min), Some(max)) => (*min, *max),
            _ => (0.0, 0.0),
        };
        Self {
            min,
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            max,
            values: sorted.len(),
        }
    }
}

/// With linear interpolation between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_values() {
        let cases: [(&[f64], [f64; 5]); 4] = [
            (&[], [0.0; 5]),
            (&[3.0], [3.0; 5]),
            (&[4.0, 1.0, 3.0, 2.0], [1.0, 1.75, 2.5, 3.25, 4.0]),
            (&[5.0, 1.0, 9.0], [1.0, 3.0, 5.0, 7.0, 9.0]),
        ];
        for (values, [min, lower, median, upper, max]) in cases {
            let spread = Spread::of(values);
            let found = [
                spread.min,
                spread.lower_quartile,
                spread.median,
                spread.upper_quartile,
                spread.max,
            ];
            assert_eq!(found, [min, lower, median, upper, max], "{values:?}");
        }
    }
}
