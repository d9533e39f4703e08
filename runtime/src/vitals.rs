//! What is known of a component across incarnations: its numbers, and which
//! incarnation counts.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::clock;
#[cfg(feature = "fault-injection")]
use crate::fault::active::Faults;
use crate::spec::{Generation, Spec};
use crate::status::{ComponentState, ComponentStatus};
use crate::sync::{Mutex, lock};

/// Buckets of handling times; bucket `n` ends at `2^n` nanoseconds.
pub(crate) const BUCKETS: usize = 40;

/// One component's numbers.
pub(crate) struct Vitals {
    pub(crate) spec: Spec,
    #[cfg(feature = "fault-injection")]
    pub(crate) faults: Faults,
    generation: AtomicU64,
    live: AtomicU64,
    state: AtomicU8,
    final_stop: AtomicBool,
    started_ns: AtomicU64,
    restarts: AtomicU64,
    hangs: AtomicU64,
    refused: AtomicU64,
    handled: AtomicU64,
    handle_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    last_failure: Mutex<Option<String>>,
}

/// The counters, as read at one moment.
pub(crate) struct Counts {
    pub(crate) restarts: u64,
    pub(crate) hangs: u64,
    pub(crate) refused: u64,
    pub(crate) handled: u64,
    pub(crate) buckets: [u64; BUCKETS],
}

impl Vitals {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            spec,
            #[cfg(feature = "fault-injection")]
            faults: Faults::default(),
            generation: AtomicU64::new(0),
            live: AtomicU64::new(0),
            state: AtomicU8::new(ComponentState::Stopped as u8),
            final_stop: AtomicBool::new(false),
            started_ns: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            hangs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            handle_ns: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            last_failure: Mutex::new(None),
        }
    }

    /// Begins the next incarnation: from here on only it counts.
    pub(crate) fn begin(&self) -> Generation {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        if generation > 1 {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        self.started_ns.store(clock::now_ns(), Ordering::Relaxed);
        self.live.store(generation, Ordering::SeqCst);
        self.set_state(ComponentState::Starting);
        Generation(generation)
    }

    /// From here on nothing of that incarnation counts.
    pub(crate) fn revoke(&self, generation: Generation) {
        // Fails where another incarnation counts already, which is as good.
        let _ = self.live.compare_exchange(generation.0, 0, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether that incarnation counts.
    pub(crate) fn is_live(&self, generation: Generation) -> bool {
        self.live.load(Ordering::SeqCst) == generation.0
    }

    /// The incarnation that is alive, or was last.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    pub(crate) fn set_state(&self, state: ComponentState) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    /// Says that no incarnation follows: what is not answered now never will be.
    pub(crate) fn set_final(&self) {
        self.final_stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_final(&self) -> bool {
        self.final_stop.load(Ordering::SeqCst)
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_hang(&self) {
        self.hangs.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message, or a round of a thread, that took so long.
    pub(crate) fn count_handled(&self, took_ns: u64) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.handle_ns.fetch_add(took_ns, Ordering::Relaxed);
        let bucket = (u64::BITS - took_ns.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(bucket.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    pub(crate) fn set_last_failure(&self, reason: String) {
        *lock(&self.last_failure) = Some(reason);
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            restarts: self.restarts.load(Ordering::Relaxed),
            hangs: self.hangs.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            handled: self.handled(),
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
        }
    }

    /// As shown to people.
    pub(crate) fn status(&self, mailbox_depth: usize) -> ComponentStatus {
        let state = self.state();
        let handled = self.handled();
        let handle_ns = self.handle_ns.load(Ordering::Relaxed);
        ComponentStatus {
            name: self.spec.name.to_owned(),
            group: self.spec.group.to_owned(),
            state,
            generation: self.generation().0,
            restarts: self.restarts.load(Ordering::Relaxed),
            hangs: self.hangs.load(Ordering::Relaxed),
            last_failure: lock(&self.last_failure).clone(),
            uptime_s: match state {
                ComponentState::Running | ComponentState::Stopping => {
                    clock::since(self.started_ns.load(Ordering::Relaxed)).as_secs_f64()
                }
                _ => 0.0,
            },
            mailbox_depth,
            mailbox_bound: self.spec.mailbox.bound,
            handled,
            refused: self.refused.load(Ordering::Relaxed),
            mean_handle_us: if handled == 0 {
                0.0
            } else {
                handle_ns as f64 / handled as f64 / 1000.0
            },
            while_down: self.spec.while_down.to_owned(),
        }
    }

    fn state(&self) -> ComponentState {
        use ComponentState::{BackingOff, Running, Starting, Stopped, Stopping};
        let stored = self.state.load(Ordering::SeqCst);
        [Starting, Running, BackingOff, Stopping]
            .into_iter()
            .find(|state| *state as u8 == stored)
            .unwrap_or(Stopped)
    }
}
