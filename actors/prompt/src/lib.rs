//! Asks the user about connections, and remembers the answers.
//!
//! - Owns: the prompts, and the answers that count for a time; durably, in its
//!   [`Store`]. (An answer for good is a rule of the policy.)
//! - Receives: [`seawall_messages::prompt`], from `verdict` and from `api`.
//! - Publishes: [`Answers`](seawall_messages::prompt::Answers), which `verdict`
//!   and the datapath read.
//! - Asks: `policy`, to add a rule, and to have live connections follow an
//!   answer. Tells `datapath` that answers changed.
//! - While it is down, connections that the user should be asked about wait, at
//!   most 5 s; those that wait for an answer go on waiting, and all others don't notice.
//!
//! A connection waits in the datapath, not here. What is here can be lost
//! without harm to it: when this component is back, all that waits is asked
//! about again, and finds its prompt in the store.
//!
//! [`book`] is the heart of it, pure: which connections share a prompt, when
//! it is missed, what an answer covers.

mod actor;
mod book;
mod error;
mod events;
mod rule;
pub mod store;
#[cfg(test)]
mod tests;

pub use self::{
    actor::{Arguments, Processes, Prompts},
    events::describe_metrics,
    store::{Store, StoreError},
};
