//! Decides a new connection and says why.
//!
//! - Owns: nothing but what it remembers of processes under the present policy.
//! - Receives: [`seawall_messages::verdict`], from the datapath: once for each
//!   new connection, in batches after a policy change; from `api`, what would
//!   become of a connection.
//! - Publishes: nothing.
//! - Asks: `process`, whose a connection is, where the policy has rules for
//!   single apps or has the user asked, or for users whom the kernel doesn't tell; `prompt`, to ask
//!   the user. Where one of them doesn't answer, such connections are denied.
//!   The policy and the user's answers reach it as snapshots, which stay readable while `policy` or `prompt` is down.
//! - While it is down, undecided connections wait in the kernel's queue and
//!   questions wait in its mailbox; decided connections don't notice.
//!
//! [`decide`] is the heart of it, pure, with its order of steps and the table of cases.

mod actor;
mod always;
mod asking;
mod decide;
mod error;
mod events;
mod explain;
mod holds;
mod judge;
mod known;
#[cfg(test)]
mod tests;

pub use self::actor::{Arguments, Verdict};
pub use self::decide::{Decision, Seen, decide, decide_seen};
pub use self::events::describe_metrics;
