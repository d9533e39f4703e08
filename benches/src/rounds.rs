//! Interleaved rounds: in each, every contender is measured once, close in time
//! to the others, so that what else the machine does falls on all of them.

use crate::contender::{Arena, Contender, Entered};

/// What each contender showed, one value a round.
pub(crate) struct Rounds<T> {
    contenders: Vec<Contender>,
    values: Vec<Vec<T>>,
}

impl<T> Rounds<T> {
    /// Measures all contenders `pairs` times. Who comes first changes from
    /// round to round.
    pub(crate) fn run(
        arena: &Arena<'_>,
        pairs: usize,
        contenders: &[Contender],
        mut measure: impl FnMut(&Entered<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<Self> {
        let mut values: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 0..pairs {
            for place in order(round, contenders.len()) {
                let entered = arena.enter(contenders[place])?;
                values[place].push(measure(&entered)?);
            }
        }
        Ok(Self { contenders: contenders.to_vec(), values })
    }

    /// One quantity of a contender, in the order of the rounds.
    pub(crate) fn of(&self, contender: Contender, quantity: impl Fn(&T) -> f64) -> Vec<f64> {
        let place = self.contenders.iter().position(|own| *own == contender);
        place.map_or_else(Vec::new, |place| self.values[place].iter().map(quantity).collect())
    }

    /// All values with their contenders.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Contender, &T)> {
        self.contenders
            .iter()
            .zip(&self.values)
            .flat_map(|(contender, values)| values.iter().map(move |value| (*contender, value)))
    }
}

/// Forwards in even rounds, backwards in odd ones.
fn order(round: usize, contenders: usize) -> Vec<usize> {
    let forwards = 0..contenders;
    if round.is_multiple_of(2) { forwards.collect() } else { forwards.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_alternates() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [2, 1, 0]);
        assert_eq!(order(2, 2), [0, 1]);
    }
}
