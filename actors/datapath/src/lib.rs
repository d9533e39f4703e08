//! The datapath: small, dull, and the only part that may never stop.
//!
//! Three components. `datapath/new` reads the queue of first packets, parks
//! the packets of undecided flows in the kernel, asks `verdict` once per flow
//! and applies the answer. `datapath/rest` reads later packets without a
//! standing verdict and answers them in batches. `datapath`, the controller,
//! makes a published policy the one whose verdicts stand: new rules, a new
//! epoch, and every live flow judged again.
//!
//! - Owns: the flow tables (derivable: dropped at every restart), the current
//!   [`Standing`], the list of flows decided of late.
//! - Receives: [`seawall_messages::datapath`].
//! - Publishes: [`Standing`].
//! - Asks: `verdict`, `keeper`. Tells `process` of decided flows.
//! - While a thread is down, packets wait in the kernel's queue; what it held
//!   lies in the journal and is judged again by its successor. While the
//!   controller is down, packets are judged as before; a policy change waits.

mod actor;
mod answer;
mod error;
mod events;
mod flow_of;
mod hits;
mod listing;
mod memory;
mod new_queue;
mod parking;
mod rest_queue;
mod said_of;
mod side;
mod spin;
mod standing;
mod suspects;
mod sweep;
mod waiting;

#[cfg(test)]
mod tests;

pub use self::{
    actor::{Controller, ControllerArguments},
    error::Error,
    events::describe_metrics,
    flow_of::Orientation,
    hits::Hits,
    new_queue::{NewQueue, NewQueueArguments},
    parking::ParkedCount,
    rest_queue::{RestQueue, RestQueueArguments},
    standing::Standing,
    suspects::Suspects,
};
