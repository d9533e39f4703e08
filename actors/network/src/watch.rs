//! Says when to look: soon after the kernel told of a change, and now and then.

use std::future::poll_fn;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::Poll;
use std::time::Duration;

use seawall_messages::network::{Forget, Message, Surroundings};
use seawall_platform::linux::network::{Heard, NetworkEvents};
use seawall_runtime::{Address, Published};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::events;

/// How often it is looked without word of a change.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Changes come in bursts: what follows within that is looked at together.
const GATHER: Duration = Duration::from_millis(50);

/// The shortest time from one look to the next: container hosts change all the time.
const PAUSE: Duration = Duration::from_millis(200);

/// Watches until the incarnation ends.
pub(crate) async fn watch(
    ear: NetworkEvents,
    published: Published<Surroundings>,
    to: Address<Message>,
) {
    let mut polled = match Polled::of(&ear) {
        Ok(polled) => polled,
        Err(error) => {
            events::ear_failed(&error);
            return time(to).await;
        }
    };
    let mut untold = Heard::default();
    loop {
        // What could not be told or taken is tried again after the pause alone.
        if !is_news(&untold, &published.load()) && !untold.more {
            match tokio::time::timeout(LOOK_EVERY, polled.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    events::ear_failed(&error);
                    return time(to).await;
                }
                Err(_) => untold.changed = true,
            }
            tokio::time::sleep(GATHER).await;
        }
        match ear.take() {
            Ok(heard) => untold = untold.and(heard),
            Err(error) => {
                events::ear_failed(&error);
                return time(to).await;
            }
        }
        if !is_news(&untold, &published.load()) {
            untold = Heard { more: untold.more, ..Heard::default() };
            continue;
        }
        if to.tell(Message::Changed { forget: forget(&untold) }).is_ok() {
            untold = Heard { more: untold.more, ..Heard::default() };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Without word of changes: has it looked now and then.
pub(crate) async fn time(to: Address<Message>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        to.offer(Message::Changed { forget: Forget::Interfaces(Vec::new()) });
    }
}

/// Whether what was heard may change where the machine is.
pub(crate) fn is_news(heard: &Heard, known: &Surroundings) -> bool {
    let is_new_gateway = |(interface, address, mac)| {
        known.gateways.iter().any(|gateway| {
            gateway.interface == interface
                && gateway.address == Some(address)
                && gateway.mac != Some(mac)
        })
    };
    heard.changed
        || heard.missed
        || !heard.lost.is_empty()
        || heard.neighbours.iter().copied().any(is_new_gateway)
}

fn forget(heard: &Heard) -> Forget {
    if heard.missed { Forget::All } else { Forget::Interfaces(heard.lost.clone()) }
}

/// The descriptors of an ear, registered with the reactor of this incarnation.
struct Polled([AsyncFd<OwnedFd>; 2]);

impl Polled {
    fn of(ear: &NetworkEvents) -> std::io::Result<Self> {
        let [routing, wireless] = ear.descriptors().map(readable);
        Ok(Self([routing?, wireless?]))
    }

    /// Waits until something may have come at one of them.
    async fn readable(&mut self) -> std::io::Result<()> {
        poll_fn(|context| {
            let mut any = Poll::Pending;
            for descriptor in &self.0 {
                if let Poll::Ready(ready) = descriptor.poll_read_ready(context) {
                    ready?.clear_ready();
                    any = Poll::Ready(Ok(()));
                }
            }
            any
        })
        .await
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, because some types may change their descriptor behind tokio's back; an OwnedFd can't"
)]
fn readable(descriptor: BorrowedFd<'_>) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor.try_clone_to_owned()?, Interest::READABLE)
}
