use crate::lease::{LeaseError, Lender};
use crate::spec::Generation;

#[test]
fn a_later_lease_revokes_an_earlier_one() {
    let lender = Lender::new(0);
    let first = lender.lend(Generation(1)).unwrap();
    first.with(|value| *value += 1).unwrap();
    let second = lender.clone().lend(Generation(2)).unwrap();
    assert_eq!(first.with(|value| *value += 10), Err(LeaseError));
    assert_eq!(second.with(|value| *value), Ok(1));
    assert!(matches!(lender.lend(Generation(1)), Err(LeaseError)));
}

#[test]
fn a_panic_during_a_use_does_not_lock_the_successor_out() {
    let lender = Lender::new(7);
    let first = lender.lend(Generation(1)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        first.with(|_| panic!("in the middle of a use"))
    }));
    assert!(panicked.is_err());
    assert_eq!(lender.lend(Generation(2)).unwrap().with(|value| *value), Ok(7));
}
