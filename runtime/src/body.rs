//! What runs behind an address, as the supervisor sees it.

use ractor::ActorRef;

use crate::incarnation::{self, Incarnation};
use crate::spec::Generation;
use crate::sync::Arc;

/// What the threads of incarnations tell the supervisor.
pub(crate) enum Notice {
    /// A thread component has come up. (Actors say so by a supervision event.)
    Started { index: usize, generation: Generation },
    /// The thread of an incarnation is at its end, whatever the cause.
    Ended { index: usize, generation: Generation },
    /// Time to look after the health of all, and for restarts that are due.
    Tick,
    /// Stop everything in order.
    Stop { at_most: std::time::Duration, done: std::sync::mpsc::SyncSender<Vec<String>> },
}

/// Makes incarnations of one component.
pub(crate) trait Body: Send {
    /// Starts an incarnation on a thread of its own. Doesn't wait for it.
    fn launch(&self, life: Life) -> std::io::Result<()>;
    /// Makes an incarnation see that it has to stop.
    fn nudge(&self, incarnation: &Incarnation);
}

/// One incarnation's ties to its supervisor. Dropped at the end of its thread.
pub(crate) struct Life {
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) index: usize,
    pub(crate) supervisor: ActorRef<Notice>,
}

impl Life {
    /// Says that the incarnation works.
    pub(crate) fn started(&self) {
        let generation = self.incarnation.generation;
        // Fails where the supervisor is gone, and all of us with it.
        let _ = self.supervisor.cast(Notice::Started { index: self.index, generation });
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.incarnation.set_thread_ended();
        let generation = self.incarnation.generation;
        let _ = self.supervisor.cast(Notice::Ended { index: self.index, generation });
    }
}

/// Starts a thread that belongs to an incarnation and catches its panics.
pub(crate) fn spawn_thread(
    life: Life,
    run: impl FnOnce(&Life) + Send + 'static,
) -> std::io::Result<()> {
    let name = thread_name(life.incarnation.vitals.spec.name);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        incarnation::enter(&life.incarnation);
        let run = std::panic::AssertUnwindSafe(|| run(&life));
        if std::panic::catch_unwind(run).is_err() {
            life.incarnation.note_panic();
        }
    });
    thread.map(drop)
}

/// A thread's name has 15 bytes on Linux.
fn thread_name(component: &str) -> String {
    let name = format!("sw-{}", component.replace('/', "-"));
    name.chars().filter(char::is_ascii).take(15).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_names_fit() {
        assert_eq!(thread_name("verdict"), "sw-verdict");
        assert_eq!(thread_name("datapath/new"), "sw-datapath-new");
        assert_eq!(thread_name("datapath/untracked"), "sw-datapath-unt");
    }
}
