//! The ractor actor that carries an incarnation of a [`Component`].
//!
//! Its ractor mailbox holds nothing but wake-ups: messages stay in the mailbox
//! of the address until the component takes them.

use std::marker::PhantomData;

use ractor::{ActorProcessingErr, ActorRef};

use super::{Component, Context};
use crate::address::Address;
use crate::body::{Body, Life, spawn_thread};
use crate::incarnation::Incarnation;
use crate::mailbox::Popped;
use crate::sync::{Arc, Mutex, lock};
use crate::wake::Wake;

/// Messages handled for one wake-up, before other tasks and a stop get their turn.
const BATCH: usize = 32;

/// Makes incarnations of a [`Component`].
pub(crate) struct ActorBody<C: Component> {
    address: Address<C::Message>,
    arguments: C::Arguments,
}

/// Says that the mailbox has something.
struct WakeUp;

struct Shell<C>(PhantomData<fn() -> C>);

struct State<C: Component> {
    address: Address<C::Message>,
    incarnation: Arc<Incarnation>,
    place: Place<C>,
}

/// Where the component is while it has nothing in hand. Shared with its thread,
/// which drops it, because ractor would have the supervisor do so.
struct Place<C>(Arc<Mutex<Option<Box<C>>>>);

struct ActorWake(ActorRef<WakeUp>);

impl<C: Component> ActorBody<C> {
    pub(crate) fn new(address: Address<C::Message>, arguments: C::Arguments) -> Self {
        Self { address, arguments }
    }
}

impl<C: Component> Body for ActorBody<C> {
    fn launch(&self, life: Life) -> std::io::Result<()> {
        let (address, arguments) = (self.address.clone(), self.arguments.clone());
        spawn_thread(life, move |life| run::<C>(life, address, arguments))
    }

    fn nudge(&self, incarnation: &Incarnation) {
        if let Some(actor) = incarnation.actor.get() {
            actor.stop(None);
        }
    }
}

impl Wake for ActorWake {
    fn wake(&self) {
        // Fails where the actor has ended: its successor looks into the mailbox first.
        let _ = self.0.cast(WakeUp);
    }
}

impl<C> Place<C> {
    fn take(&self) -> Option<Box<C>> {
        lock(&self.0).take()
    }

    fn put(&self, component: Box<C>) {
        *lock(&self.0) = Some(component);
    }
}

impl<C: Component> ractor::Actor for Shell<C> {
    type Msg = WakeUp;
    type State = State<C>;
    type Arguments = (State<C>, C::Arguments);

    async fn pre_start(
        &self,
        myself: ActorRef<WakeUp>,
        (state, arguments): Self::Arguments,
    ) -> Result<State<C>, ActorProcessingErr> {
        // Set once: an incarnation has one actor.
        let _ = state.incarnation.actor.set(myself.get_cell());
        #[cfg(feature = "fault-injection")]
        if state.incarnation.vitals.faults.fails_start() {
            return Err("injected fault: the start fails".into());
        }
        let context = Context::new(state.address.clone(), state.incarnation.clone());
        let component = C::start(context, arguments).await?;
        state.place.put(Box::new(component));
        Ok(state)
    }

    async fn post_start(
        &self,
        myself: ActorRef<WakeUp>,
        state: &mut State<C>,
    ) -> Result<(), ActorProcessingErr> {
        state.address.slot.attach(&state.incarnation, Arc::new(ActorWake(myself)));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<WakeUp>,
        _: WakeUp,
        state: &mut State<C>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(mut component) = state.place.take() else { return Ok(()) };
        let more = handle_batch(&mut *component, state).await;
        if more? {
            // Let the component's own tasks have a turn.
            tokio::task::yield_now().await;
            myself.cast(WakeUp)?;
        }
        state.place.put(component);
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<WakeUp>,
        state: &mut State<C>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(mut component) = state.place.take() {
            component.stop().await;
        }
        Ok(())
    }
}

/// Handles what waits, up to a bound. Whether there may be more.
async fn handle_batch<C: Component>(
    component: &mut C,
    state: &State<C>,
) -> Result<bool, ActorProcessingErr> {
    let incarnation = &state.incarnation;
    #[cfg(feature = "fault-injection")]
    incarnation.vitals.faults.crash_if_told();
    for _ in 0..BATCH {
        if incarnation.is_stopping() {
            return Ok(false);
        }
        let message = match state.address.slot.pop(incarnation) {
            Popped::Message(message) => message,
            Popped::Empty | Popped::Revoked => return Ok(false),
        };
        incarnation.set_busy();
        #[cfg(feature = "fault-injection")]
        if incarnation.vitals.faults.message().await.is_break() {
            incarnation.set_idle();
            continue;
        }
        component.handle(message).await?;
        incarnation.set_idle();
    }
    Ok(true)
}

/// The life of an incarnation, on its thread.
fn run<C: Component>(life: &Life, address: Address<C::Message>, arguments: C::Arguments) {
    let incarnation = &life.incarnation;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time();
    if C::DRIVES_SOCKETS {
        builder.enable_io();
    }
    let runtime = match builder.build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => return incarnation.note_failure(|| format!("no runtime: {error}")),
    };
    let place = Arc::new(Mutex::new(None));
    let state = State { address, incarnation: incarnation.clone(), place: Place(place.clone()) };
    runtime.block_on(async {
        let shell = Shell::<C>(PhantomData);
        let supervisor = life.supervisor.get_cell();
        let spawned = ractor::Actor::spawn_linked(None, shell, (state, arguments), supervisor);
        match spawned.await {
            Ok((_, ended)) => drop(ended.await),
            Err(ractor::SpawnErr::StartupFailed(error)) => {
                incarnation.note_error(error.to_string());
            }
            Err(error) => incarnation.note_error(error.to_string()),
        }
        let component = lock(&place).take();
        drop(component);
    });
    runtime.shutdown_background();
}
