//! Which program owns a connection, the app that people know it as, and how much it moves.
//!
//! - Owns: what it found and counted of late, and the reading end of the kernel's
//!   events; both are lent to it, and stay when it fails.
//! - Receives: [`seawall_messages::process`], from `verdict` where a verdict
//!   depends on the app, from `datapath` for every decided connection, from `api`.
//! - Publishes: nothing.
//! - Tells: `datapath` of sockets that closed. Asks nobody.
//! - While it is down, connections whose verdict depends on their app wait;
//!   after five seconds they are denied. What the kernel noted meanwhile waits in its maps.
//!
//! `finder` says whose a connection is, `roster` who a process is (with
//! `identity` and `names`), `ledger` keeps both for lists, with what was moved; where
//! the kernel doesn't count by socket, `tracked` tells that. `describe` makes up whom
//! nobody saw yet.

mod actor;
mod describe;
mod error;
mod events;
mod finder;
pub mod identity;
mod ledger;
pub mod names;
mod noted;
mod roster;
mod running;
#[cfg(test)]
mod tests;
mod tracked;
mod watch;

pub use self::actor::{Arguments, Counting, Finding, Processes};
pub use self::error::Error;
pub use self::events::describe_metrics;
pub use self::ledger::Ledger;
pub use self::running::oldest_running;
