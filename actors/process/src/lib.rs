//! Which program owns a connection, the app that people know it as, and how much it moves.
//!
//! - Owns: what it found and counted of late, and the reading end of the kernel's
//!   events; both are lent to it, and stay when it fails.
//! - Receives: [`seawall_messages::process`], from `verdict` where a verdict
//!   depends on the app, from `datapath` for every decided connection, from `api`.
//! - Publishes: processes that call again and again, where the kernel takes no notes.
//! - Tells: `datapath` of sockets that closed. Asks nobody.
//! - While it is down, connections whose verdict depends on their app wait;
//!   after five seconds they are denied. What the kernel noted meanwhile waits in its maps.
//!
//! `finder` says whose a connection is, `roster` who a process is (with
//! `identity` and `names`), `ledger` keeps both for lists, with what was moved; where
//! the kernel doesn't count by socket, `tracked` tells that. `describe` makes up whom
//! nobody saw yet. `table_owners` is for whoever meets a packet: it finds those that `regulars` publishes.

mod actor;
mod describe;
mod error;
mod events;
mod finder;
pub mod identity;
mod ledger;
pub mod names;
mod noted;
mod regulars;
mod roster;
mod running;
mod table_owners;
#[cfg(test)]
mod tests;
mod tracked;
mod watch;

pub use self::actor::{Arguments, Counting, Finding, Processes};
pub use self::error::Error;
pub use self::events::describe_metrics;
pub use self::ledger::Ledger;
pub use self::regulars::{Regular, Regulars};
pub use self::running::oldest_running;
pub use self::table_owners::TableOwners;
