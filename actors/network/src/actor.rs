//! The shell: looks where the machine is, publishes that, and says so.

use std::sync::Arc;
use std::time::Duration;

use seawall_messages::network::{Forget, Message, Surroundings};
use seawall_messages::policy;
use seawall_platform::linux::network::{NetworkError, NetworkEvents, look};
use seawall_runtime::{
    Address, Component, Context, Failure, Published, Publisher, StartError, TellError,
};

use crate::error::Error;
use crate::events;
use crate::watch;

/// How soon `policy` is told again when its mailbox was full.
const RETELL_AFTER: Duration = Duration::from_millis(100);

/// What the system tells.
pub trait Kernel: Send + Sync {
    /// Looks where the machine is.
    fn look(&self) -> Result<Surroundings, NetworkError>;
}

/// The kernel's routing socket, and nl80211.
pub struct Rtnetlink;

impl Kernel for Rtnetlink {
    fn look(&self) -> Result<Surroundings, NetworkError> {
        look()
    }
}

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// Who is asked.
    pub kernel: Arc<dyn Kernel>,
    /// Where it is said.
    pub publisher: Publisher<Surroundings>,
    /// What was said last, be it by an earlier incarnation.
    pub published: Published<Surroundings>,
    /// Told of every change.
    pub policy: Address<policy::Message>,
}

/// The component `network`.
pub struct Network {
    context: Context<Message>,
    arguments: Arguments,
}

impl Component for Network {
    type Message = Message;
    type Arguments = Arguments;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        // Heard from before the first look on: no change in between is missed.
        match NetworkEvents::open() {
            Ok(ear) => {
                let published = arguments.published.clone();
                tokio::spawn(watch::watch(ear, published, context.address().clone()));
            }
            Err(error) => {
                events::ear_failed(&error);
                tokio::spawn(watch::time(context.address().clone()));
            }
        }
        let network = Self { context, arguments };
        // Links may have been lost while nobody listened.
        let before = if network.context.generation().0 > 1 { Forget::All } else { NOTHING };
        network.look(&before)?;
        // An incarnation before this one may have died between the two.
        network.tell_policy();
        Ok(network)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Changed { forget } => {
                if self.look(&forget)? {
                    self.tell_policy();
                }
            }
        }
        Ok(())
    }
}

/// Nothing is to be forgotten.
const NOTHING: Forget = Forget::Interfaces(Vec::new());

impl Network {
    /// Looks, and publishes what is new. Whether anything is. Without an answer of the
    /// kernel, what was published stays.
    fn look(&self, forget: &Forget) -> Result<bool, Error> {
        let seen = match self.arguments.kernel.look() {
            Ok(seen) => seen,
            Err(error) => {
                events::look_failed(&error);
                return Ok(false);
            }
        };
        let before = self.arguments.published.load();
        let seen = seen.remembering(&before, forget);
        let is_new = seen != *before;
        events::looked(&seen, is_new);
        if is_new && !self.arguments.publisher.publish(self.context.generation(), seen) {
            return Err(Error::Abandoned);
        }
        Ok(is_new)
    }

    fn tell_policy(&self) {
        let policy = self.arguments.policy.clone();
        if let Err(TellError::Overloaded(_)) = policy.tell(policy::Message::NetworkChanged) {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(RETELL_AFTER).await;
                    match policy.tell(policy::Message::NetworkChanged) {
                        Err(TellError::Overloaded(_)) => {}
                        // Stopped for good: nobody is left who needs to know.
                        Ok(()) | Err(TellError::Unavailable(_)) => return,
                    }
                }
            });
        }
    }
}
