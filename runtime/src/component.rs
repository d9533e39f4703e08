//! A component that handles one message at a time.

mod shell;

use std::future::Future;

use crate::address::Address;
use crate::incarnation::Incarnation;
use crate::spec::Generation;
use crate::sync::Arc;

pub(crate) use self::shell::ActorBody;

/// Why a component could not start. Counts like a crash.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Why a component gives up. Only where a restart is the cure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// What an incarnation knows of itself.
pub struct Context<M> {
    address: Address<M>,
    incarnation: Arc<Incarnation>,
}

impl<M: Send + 'static> Context<M> {
    pub(crate) fn new(address: Address<M>, incarnation: Arc<Incarnation>) -> Self {
        Self { address, incarnation }
    }

    /// Its own address, for timers and answers.
    pub fn address(&self) -> &Address<M> {
        &self.address
    }

    /// Panics if a [`crate::fault::Fault::Poison`] with this token is set. Nothing without fault injection.
    pub fn poison(&self, token: u64) {
        self.incarnation.poison(token);
    }

    /// Which incarnation this is.
    pub fn generation(&self) -> Generation {
        self.incarnation.generation
    }

    /// Whether it was abandoned: nothing it does counts any more.
    pub fn is_abandoned(&self) -> bool {
        self.incarnation.is_revoked()
    }
}

/// An actor: started, given messages one at a time, stopped. Each incarnation
/// has a thread and a current-thread tokio runtime of its own (time and, unless it
/// does without, I/O enabled), so that one that spins starves nobody. Tasks that it spawns with
/// `tokio::task::spawn_local` or `tokio::spawn` end with it.
pub trait Component: Sized + Send + 'static {
    /// What it is told.
    type Message: Send + 'static;
    /// What each incarnation is made from.
    type Arguments: Clone + Send + 'static;
    /// Whether its runtime can drive sockets. Waking one that can't takes half as long.
    const DRIVES_SOCKETS: bool = true;

    /// Makes an incarnation.
    fn start(
        context: Context<Self::Message>,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Handles one message, within the handling deadline.
    fn handle(
        &mut self,
        message: Self::Message,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Undoes what must not outlive it. Only called in an ordered stop.
    fn stop(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
