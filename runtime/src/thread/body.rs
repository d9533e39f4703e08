//! The life of a thread component.

use super::{Thread, ThreadContext};
use crate::address::Address;
use crate::body::{Body, Life, spawn_thread};
use crate::incarnation::Incarnation;
use crate::sync::Arc;
use crate::wake::Wake;

/// Makes incarnations of a [`Thread`].
pub(crate) struct ThreadBody<T: Thread> {
    address: Address<T::Message>,
    arguments: T::Arguments,
    wake: Arc<dyn Wake>,
}

impl<T: Thread> ThreadBody<T> {
    pub(crate) fn new(
        address: Address<T::Message>,
        arguments: T::Arguments,
        wake: Arc<dyn Wake>,
    ) -> Self {
        Self { address, arguments, wake }
    }
}

impl<T: Thread> Body for ThreadBody<T> {
    fn launch(&self, life: Life) -> std::io::Result<()> {
        let (address, arguments, wake) =
            (self.address.clone(), self.arguments.clone(), self.wake.clone());
        spawn_thread(life, move |life| live::<T>(life, address, arguments, wake))
    }

    fn nudge(&self, _incarnation: &Incarnation) {
        self.wake.wake();
    }
}

fn live<T: Thread>(
    life: &Life,
    address: Address<T::Message>,
    arguments: T::Arguments,
    wake: Arc<dyn Wake>,
) {
    let incarnation = &life.incarnation;
    #[cfg(feature = "fault-injection")]
    if incarnation.vitals.faults.fails_start() {
        incarnation.note_failure(|| "injected fault: the start fails".to_owned());
        return;
    }
    let context = ThreadContext::new(address.clone(), incarnation.clone());
    let mut thread = match T::start(context, arguments) {
        Ok(thread) => thread,
        Err(error) => return incarnation.note_failure(|| error.to_string()),
    };
    address.slot.attach(incarnation, wake);
    life.started();
    if let Err(failure) = thread.run() {
        incarnation.note_failure(|| failure.to_string());
    }
}
