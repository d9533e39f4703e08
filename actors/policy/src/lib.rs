//! Settings and rules: read, validated, stored, published as snapshots.
//!
//! - Owns: the policy in force; durably, in its [`Store`]: settings and profiles
//!   of apps, the last good text of the file, what was adopted at the first start, a pause.
//! - Receives: [`seawall_messages::policy`], from `api`, from its own watcher of
//!   the file, from `network`, when the machine may be in another network, from
//!   `process`, when apps are seen, and from `prompt`, when answers change.
//! - Reads: where the machine is, as `network` published it last; which apps run, by [`Running`].
//! - Writes: never the file, which is its owner's and wins over what is stored.
//! - Publishes: [`seawall_messages::Snapshot`]. Its generation goes on counting
//!   over restarts of the component, and begins again with the worker.
//! - Tells: `datapath`, after every publication. Asks nobody.
//! - While it is down, the policy in force stays in force; changes of the file
//!   wait until it is back.
//!
//! A file that can't be used never loosens the policy: the old one stays, and
//! at a start the last good copy of the file holds. Without one, Seawall
//! refuses to start. Only where there never was a file, all is permitted, and
//! the log says so.

mod actor;
pub mod adopt;
pub mod built_in;
mod changes;
mod choice;
pub mod effective;
pub mod error;
mod events;
pub mod file;
pub mod layer;
mod networks;
mod pause;
pub mod rule;
mod running;
mod startup;
pub mod store;
pub mod stored;
#[cfg(test)]
mod tests;
mod tidy;
mod time;
pub mod transfer;
pub mod users;
mod watch;

pub use self::{
    actor::{Arguments, Policy},
    adopt::{FoundSocket, Role, Survey, SurveyError},
    error::Error,
    events::describe_metrics,
    file::{PolicyFile, ServiceSettings},
    pause::MAX_PAUSE,
    running::{Running, RunningError, Wait, Wanted},
    startup::{Startup, startup},
    store::{Store, StoreError},
    transfer::MAX_IMPORT_BYTES,
};
