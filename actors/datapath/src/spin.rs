//! Whether looking for an answer before sleeping is worth it: a sleeper is woken up for more CPU time
//! than an answer takes that comes at once, and an answer that takes long makes all looking vain. Pure.

use std::time::Duration;

/// How long to look for an answer before sleeping: what `verdict` takes where it asks nobody.
const LOOK_FOR_ANSWER: Duration = Duration::from_micros(30);
/// An answer that took no longer, being woken up included, might have been seen by looking.
const SOON: Duration = Duration::from_micros(60);
/// After so many in a row that took longer, the next will, too.
const MOST_LATE: u8 = 4;
/// After so many it is looked once more: where being woken up alone takes longer than that, no answer to a
/// sleeper would ever show that looking pays again.
const LOOK_AGAIN: u8 = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    late: u8,
}

impl Spin {
    /// How long to look now.
    pub(crate) fn at_most(&self) -> Duration {
        if self.late < MOST_LATE { LOOK_FOR_ANSWER } else { Duration::ZERO }
    }

    /// An answer came after that long.
    pub(crate) fn answered(&mut self, after: Duration) {
        self.late = match self.late + 1 {
            _ if after <= SOON => 0,
            LOOK_AGAIN => MOST_LATE - 1,
            late => late,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_while_answers_come_soon() {
        // After how many microseconds answers came, and whether it is looked for the next.
        let cases: [(&[u64], bool); 9] = [
            (&[], true),
            (&[20, 25], true),
            (&[200, 200, 200], true),
            (&[200, 200, 200, 200], false),
            (&[200, 200, 20, 200, 200], true),
            (&[200, 200, 200, 200, 55], true),
            (&[200; 31], false),
            (&[200; 32], true),
            (&[200; 33], false),
        ];
        for (answers, looks) in cases {
            let mut spin = Spin::default();
            answers.iter().for_each(|us| spin.answered(Duration::from_micros(*us)));
            assert_eq!(!spin.at_most().is_zero(), looks, "{answers:?}");
        }
    }
}
