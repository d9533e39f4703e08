//! What carries faults out. They belong to the component, not to an
//! incarnation: a poisoned token stays through restarts.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Fault;
use crate::sync::{Mutex, lock};

/// The faults of one component.
#[derive(Default)]
pub(crate) struct Faults {
    /// Whether any is set: the hot path looks no further otherwise.
    armed: AtomicBool,
    /// Moves when faults are cleared, which ends those that spin or sleep.
    cleared: AtomicU64,
    set: Mutex<FaultSet>,
}

#[derive(Default)]
struct FaultSet {
    panic_after: Option<u32>,
    hang: Option<Hang>,
    crash_now: bool,
    failing_starts: u32,
    slow: Option<(Duration, u32)>,
    full_until: Option<Instant>,
    dropping: Option<Dropping>,
    poisoned: HashSet<u64>,
}

#[derive(Clone, Copy)]
enum Hang {
    Pending,
    Spinning,
}

struct Dropping {
    per_mille: u16,
    seed: u64,
    messages: u32,
}

enum Effect {
    None,
    Panic,
    Hang(Hang),
    Delay(Duration),
}

impl Faults {
    pub(crate) fn inject(&self, fault: &Fault) {
        let mut set = lock(&self.set);
        match *fault {
            Fault::Panic { after } => set.panic_after = Some(after.max(1)),
            Fault::HangPending => set.hang = Some(Hang::Pending),
            Fault::HangSpinning => set.hang = Some(Hang::Spinning),
            Fault::FailStart { times } => {
                set.failing_starts = times;
                set.crash_now = times > 0;
            }
            Fault::Slow { delay_us, messages } => {
                set.slow = Some((Duration::from_micros(delay_us), messages));
            }
            Fault::MailboxFull { duration_ms } => {
                set.full_until = Instant::now().checked_add(Duration::from_millis(duration_ms));
            }
            Fault::DropMessages { per_mille, seed, messages } => {
                // An xorshift generator never leaves 0.
                set.dropping = Some(Dropping { per_mille, seed: seed.max(1), messages });
            }
            Fault::Poison { token } => drop(set.poisoned.insert(token)),
            Fault::Clear => {
                *set = FaultSet::default();
                self.cleared.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.armed.store(!matches!(fault, Fault::Clear), Ordering::SeqCst);
    }

    /// As [`Self::inject`], before the first start: nothing is there to crash yet.
    pub(crate) fn prepare(&self, fault: &Fault) {
        self.inject(fault);
        lock(&self.set).crash_now = false;
    }

    /// Whether a message is to be refused.
    pub(crate) fn refuses(&self) -> bool {
        self.is_armed() && lock(&self.set).full_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether this start is to fail.
    pub(crate) fn fails_start(&self) -> bool {
        if !self.is_armed() {
            return false;
        }
        let mut set = lock(&self.set);
        set.crash_now = false;
        let fails = set.failing_starts > 0;
        set.failing_starts = set.failing_starts.saturating_sub(1);
        fails
    }

    pub(crate) fn is_poisoned(&self, token: u64) -> bool {
        self.is_armed() && lock(&self.set).poisoned.contains(&token)
    }

    /// Panics where an injected fault begins with a crash.
    pub(crate) fn crash_if_told(&self) {
        if self.is_armed() {
            let crash = std::mem::take(&mut lock(&self.set).crash_now);
            assert!(!crash, "injected fault: crash");
        }
    }

    /// Carries out what is set for an actor's next message. Breaks where it is lost.
    pub(crate) async fn message(&self) -> ControlFlow<()> {
        if !self.is_armed() {
            return ControlFlow::Continue(());
        }
        if self.drops_message() {
            return ControlFlow::Break(());
        }
        match self.next_effect() {
            Effect::Hang(Hang::Pending) => std::future::pending().await,
            effect => self.carry_out(&effect),
        }
        ControlFlow::Continue(())
    }

    /// Carries out what is set for a thread's next round.
    pub(crate) fn thread_round(&self) {
        if self.is_armed() {
            self.crash_if_told();
            let effect = self.next_effect();
            self.carry_out(&effect);
        }
    }

    /// Whether the next message is to be lost.
    pub(crate) fn drops_message(&self) -> bool {
        if !self.is_armed() {
            return false;
        }
        let mut set = lock(&self.set);
        let Some(dropping) = &mut set.dropping else { return false };
        let Some(left) = dropping.messages.checked_sub(1) else {
            set.dropping = None;
            return false;
        };
        dropping.messages = left;
        dropping.seed = crate::random::xorshift(dropping.seed);
        dropping.seed % 1000 < u64::from(dropping.per_mille)
    }

    fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    fn next_effect(&self) -> Effect {
        let mut set = lock(&self.set);
        if let Some(after) = set.panic_after {
            set.panic_after = (after > 1).then(|| after - 1);
            if after <= 1 {
                return Effect::Panic;
            }
        }
        if let Some(hang) = set.hang.take() {
            return Effect::Hang(hang);
        }
        match set.slow {
            Some((_, 0)) => set.slow = None,
            Some((delay, messages)) => {
                set.slow = Some((delay, messages - 1));
                return Effect::Delay(delay);
            }
            None => {}
        }
        Effect::None
    }

    fn carry_out(&self, effect: &Effect) {
        let cleared = self.cleared.load(Ordering::SeqCst);
        let is_cleared = || self.cleared.load(Ordering::SeqCst) != cleared;
        match effect {
            Effect::None => {}
            Effect::Panic => panic!("injected fault: panic"),
            Effect::Hang(Hang::Spinning) => {
                while !is_cleared() {
                    std::hint::spin_loop();
                }
            }
            Effect::Hang(Hang::Pending) => {
                while !is_cleared() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Effect::Delay(delay) => std::thread::sleep(*delay),
        }
    }
}

/// Reads a list of `{"component": …, "fault": {…}}`.
pub(crate) fn parse(list: &str) -> Result<Vec<(String, Fault)>, String> {
    #[derive(serde::Deserialize)]
    struct Entry {
        component: String,
        fault: Fault,
    }
    let entries: Vec<Entry> =
        serde_json::from_str(list).map_err(|error| format!("SEAWALL_FAULTS: {error}"))?;
    Ok(entries.into_iter().map(|entry| (entry.component, entry.fault)).collect())
}
