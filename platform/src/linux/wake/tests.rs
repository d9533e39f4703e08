use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

/// Long enough that only a lost wake-up reaches it.
const NEVER: Duration = Duration::from_secs(30);

fn silent_fd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd")
}

#[test]
fn a_call_before_the_wait_makes_it_return() {
    let wake = EventWake::new().expect("an eventfd");
    let fd = silent_fd();
    wake.wake();
    wake.wake();
    let start = Instant::now();
    wake.wait(fd.as_fd(), Some(NEVER), || false).expect("a wait");
    assert!(start.elapsed() < NEVER / 2);
    assert!(!wake.wait(fd.as_fd(), Some(Duration::from_millis(5)), || false).expect("a wait"));
    assert!(start.elapsed() >= Duration::from_millis(5), "one call, one return");
}

#[test]
fn work_that_is_there_already_needs_no_call() {
    let wake = EventWake::new().expect("an eventfd");
    let fd = silent_fd();
    let start = Instant::now();
    wake.wait(fd.as_fd(), Some(NEVER), || true).expect("a wait");
    wake.wait_spinning(NEVER, fd.as_fd(), Some(NEVER), || true).expect("a wait");
    assert!(start.elapsed() < NEVER / 2);
}

#[test]
fn a_readable_descriptor_ends_the_wait() {
    let wake = EventWake::new().expect("an eventfd");
    let fd = eventfd(1, EventfdFlags::CLOEXEC).expect("an eventfd");
    let start = Instant::now();
    assert!(wake.wait(fd.as_fd(), Some(NEVER), || false).expect("a wait"));
    assert!(wake.wait_spinning(Duration::ZERO, fd.as_fd(), None, || false).expect("a wait"));
    assert!(start.elapsed() < NEVER / 2);
}

#[test]
fn spinning_finds_a_call_without_sleeping() {
    let wake = Arc::new(EventWake::new().expect("an eventfd"));
    let fd = silent_fd();
    let caller = Arc::clone(&wake);
    let thread = thread::spawn(move || caller.wake());
    let start = Instant::now();
    wake.wait_spinning(NEVER, fd.as_fd(), Some(NEVER), || false).expect("a wait");
    assert!(start.elapsed() < NEVER / 2);
    thread.join().expect("the caller");
    assert_eq!(
        rustix::io::read(&wake.eventfd, &mut [0_u8; 8]),
        Err(Errno::AGAIN),
        "nobody slept, so nobody wrote"
    );
}

/// Many threads hand over work at random moments; each hand-over must end a wait.
fn hand_over(spin: Duration) {
    const WAKERS: u64 = 3;
    const EACH: u64 = 20_000;
    let wake = Arc::new(EventWake::new().expect("an eventfd"));
    let work = Arc::new(AtomicU64::new(0));
    let wakers: Vec<_> = (0..WAKERS)
        .map(|seed| {
            let (wake, work) = (Arc::clone(&wake), Arc::clone(&work));
            thread::spawn(move || {
                for round in 0..EACH {
                    work.fetch_add(1, Ordering::Relaxed);
                    wake.wake();
                    for _ in 0..(round.wrapping_mul(seed + 7) % 300) {
                        std::hint::spin_loop();
                    }
                }
            })
        })
        .collect();
    let fd = silent_fd();
    let mut taken = 0;
    while taken < WAKERS * EACH {
        let start = Instant::now();
        let outcome = if spin.is_zero() {
            wake.wait(fd.as_fd(), Some(NEVER), || work.load(Ordering::Relaxed) > 0)
        } else {
            wake.wait_spinning(spin, fd.as_fd(), Some(NEVER), || work.load(Ordering::Relaxed) > 0)
        };
        outcome.expect("a wait");
        assert!(start.elapsed() < NEVER / 2, "a wake-up was lost at {taken}");
        taken += work.swap(0, Ordering::Relaxed);
    }
    wakers.into_iter().for_each(|waker| waker.join().expect("a waker"));
}

#[test]
fn no_wake_up_is_lost() {
    hand_over(Duration::ZERO);
}

#[test]
fn no_wake_up_is_lost_while_spinning() {
    hand_over(Duration::from_micros(5));
}
