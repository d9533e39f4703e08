//! One life of a component: its number, what the health checker sees of it,
//! and what revokes it.
//!
//! The thread of an incarnation knows which one it is, so that a panic is
//! credited to it and what it does after it was abandoned is refused.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

use ractor::ActorCell;

use crate::clock;
use crate::spec::Generation;
use crate::sync::{Arc, Mutex, lock};
use crate::vitals::Vitals;

/// See the module.
pub(crate) struct Incarnation {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) generation: Generation,
    /// The actor that carries it, if it is one and has come that far.
    pub(crate) actor: OnceLock<ActorCell>,
    busy_since_ns: AtomicU64,
    stopping: AtomicBool,
    over: AtomicBool,
    thread_ended: AtomicBool,
    failure: Mutex<Option<String>>,
    last_panic: Mutex<Option<String>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Incarnation>>> = const { RefCell::new(None) };
}

impl Incarnation {
    /// Begins the next incarnation of a component.
    pub(crate) fn begin(vitals: Arc<Vitals>) -> Arc<Self> {
        let generation = vitals.begin();
        Arc::new(Self {
            vitals,
            generation,
            actor: OnceLock::new(),
            busy_since_ns: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            over: AtomicBool::new(false),
            thread_ended: AtomicBool::new(false),
            failure: Mutex::new(None),
            last_panic: Mutex::new(None),
        })
    }

    /// Whether nothing that it does counts any more.
    pub(crate) fn is_revoked(&self) -> bool {
        !self.vitals.is_live(self.generation)
    }

    /// Panics if that token is poisoned.
    #[cfg_attr(not(feature = "fault-injection"), inline(always))]
    pub(crate) fn poison(&self, token: u64) {
        #[cfg(feature = "fault-injection")]
        assert!(!self.vitals.faults.is_poisoned(token), "injected fault: poison {token}");
        #[cfg(not(feature = "fault-injection"))]
        let _ = token;
    }

    /// Work begins.
    pub(crate) fn set_busy(&self) {
        self.busy_since_ns.store(clock::now_ns(), Ordering::Release);
    }

    /// Work ended; the time that it took is counted.
    pub(crate) fn set_idle(&self) {
        let since = self.busy_since_ns.swap(0, Ordering::AcqRel);
        if since != 0 {
            self.vitals.count_handled(clock::now_ns().saturating_sub(since));
        }
    }

    /// Since when it works, by [`clock::now_ns`]; 0 where it doesn't.
    pub(crate) fn busy_since_ns(&self) -> u64 {
        self.busy_since_ns.load(Ordering::Acquire)
    }

    /// Asks it to come to its end.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Says that it works no more, though its thread may still be about to end.
    pub(crate) fn set_over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn set_thread_ended(&self) {
        self.thread_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_thread_ended(&self) -> bool {
        self.thread_ended.load(Ordering::SeqCst)
    }

    /// Notes why it fails; the first reason is the cause.
    pub(crate) fn note_failure(&self, reason: impl FnOnce() -> String) {
        lock(&self.failure).get_or_insert_with(reason);
    }

    /// As [`Self::note_failure`], for the text of an error that may be a
    /// panic's: then it is told with its place.
    pub(crate) fn note_error(&self, text: String) {
        let panic = lock(&self.last_panic).clone().filter(|panic| panic.ends_with(&text));
        self.note_failure(|| panic.unwrap_or(text));
    }

    /// Notes that a panic ended it.
    pub(crate) fn note_panic(&self) {
        let panic = lock(&self.last_panic).clone();
        self.note_failure(|| panic.unwrap_or_else(|| "panicked".to_owned()));
    }

    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

/// Whether this thread belongs to an incarnation that was abandoned.
pub(crate) fn current_is_revoked() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|it| it.is_revoked()))
}

/// Makes this the thread of an incarnation, until it ends.
pub(crate) fn enter(incarnation: &Arc<Incarnation>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !credit_panic(panic) {
                outer(panic);
            }
        }));
    });
    CURRENT.set(Some(incarnation.clone()));
}

/// Credits a panic to the incarnation whose thread this is, if it is one's.
fn credit_panic(panic: &PanicHookInfo<'_>) -> bool {
    let current = CURRENT.try_with(|current| current.try_borrow().ok().and_then(|it| it.clone()));
    let Ok(Some(incarnation)) = current else { return false };
    let text = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    // Not yet a failure: a panic in a task of the component's own ends only that task.
    *lock(&incarnation.last_panic) = Some(format!("panicked at {place}: {text}"));
    tracing::error!(
        component = incarnation.vitals.spec.name,
        generation = incarnation.generation.0,
        place,
        text,
        "Component panicked"
    );
    true
}
