//! Threads that were given up and have not ended.

use std::time::Duration;

use crate::incarnation::Incarnation;
use crate::sync::Arc;

/// The threads of abandoned incarnations.
#[derive(Default)]
pub(super) struct Leaks {
    threads: Vec<(Arc<Incarnation>, Duration)>,
}

/// How long a thread may take to end once its incarnation was abandoned.
const GRACE: Duration = Duration::from_millis(500);
/// So many at once mean that the process is no longer sound.
const TOO_MANY: usize = 2;

impl Leaks {
    pub(super) fn add(&mut self, incarnation: Arc<Incarnation>) {
        self.threads.push((incarnation, Duration::ZERO));
    }

    /// The components whose threads leaked, where they are too many. A thread that ended is forgiven.
    pub(super) fn too_many(&mut self, credited: Duration) -> Option<Vec<&'static str>> {
        self.threads.retain(|(incarnation, _)| !incarnation.has_thread_ended());
        for (_, age) in &mut self.threads {
            *age += credited;
        }
        let leaked = self.threads.iter().filter(|(_, age)| *age > GRACE);
        let names: Vec<_> = leaked.map(|(incarnation, _)| incarnation.vitals.spec.name).collect();
        (names.len() >= TOO_MANY).then_some(names)
    }

    /// How long the checker may pause with a view to these.
    pub(super) fn pause(&self) -> Duration {
        let undecided = self.threads.iter().any(|(_, age)| *age <= GRACE);
        if undecided { GRACE / 5 } else { Duration::MAX }
    }
}
