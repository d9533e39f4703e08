//! Where the machine is: its interfaces, their addresses, the wireless networks that
//! they are connected to, and who stands at its default routes.
//!
//! - Owns: nothing but its ears on the kernel's routing socket and on nl80211.
//! - Receives: [`seawall_messages::network`], from its own watcher.
//! - Publishes: [`seawall_messages::network::Surroundings`], which stays readable
//!   while it is down. Which named network that is, `policy` says.
//! - Tells: `policy`, when something changed. Asks nobody.
//! - While it is down, the machine counts as being where it was last seen, and a
//!   policy that looks at that stays as it is; traffic doesn't notice.
//!
//! Captive portals, and whether the machine is online, are not looked at yet.

mod actor;
mod error;
mod events;
#[cfg(test)]
mod tests;
mod watch;

pub use self::actor::{Arguments, Kernel, Network, Rtnetlink};
pub use self::events::describe_metrics;
