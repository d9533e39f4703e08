//! Decides a new connection and says why.
//!
//! - Owns: nothing but what it remembers of processes under the present policy.
//! - Receives: [`seawall_messages::verdict`], from the datapath: once for each
//!   new connection, in batches after a policy change; from `api`, what would
//!   become of a connection.
//! - Publishes: nothing.
//! - Asks: `process`, whose a connection is, where the policy has rules for
//!   single apps, or for users whom the kernel doesn't tell. Where `process` doesn't answer, such connections are denied.
//!   The policy reaches it as a snapshot, which stays readable while `policy` is down.
//! - While it is down, undecided connections wait in the kernel's queue and
//!   questions wait in its mailbox; decided connections don't notice.
//!
//! [`decide`] is the heart of it, pure, with its order of steps and the table of cases.

mod actor;
mod always;
mod decide;
mod error;
mod events;
mod explain;
mod judge;
mod known;
#[cfg(test)]
mod tests;

pub use self::actor::{Arguments, Verdict};
pub use self::decide::{Seen, decide, decide_seen};
pub use self::events::describe_metrics;
