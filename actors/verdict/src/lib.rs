//! Decides a new connection and says why.
//!
//! - Owns: nothing. All it knows is the policy snapshot of the moment.
//! - Receives: [`seawall_messages::verdict`], from the datapath: once for each
//!   new connection, in batches after a policy change.
//! - Publishes: nothing.
//! - Asks: nobody. The policy reaches it as a snapshot, which stays readable
//!   while `policy` is down.
//! - While it is down, undecided connections wait in the kernel's queue and
//!   questions wait in its mailbox; decided connections don't notice.
//!
//! [`decide`] is the whole of it, pure, with its order of steps and the table of cases.

mod actor;
mod always;
mod decide;
mod error;
mod events;
#[cfg(test)]
mod tests;

pub use self::actor::{Arguments, Verdict};
pub use self::decide::decide;
pub use self::events::describe_metrics;
