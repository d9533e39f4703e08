//! The vocabulary of Seawall: plain data, and the messages that components
//! send each other, one file a conversation.
//!
//! Nothing here does I/O or makes a decision. Components know each other only
//! through these types; a variant's doc says who sends it, what comes back and
//! whether asking again is safe.

pub mod api;
pub mod datapath;
pub mod explain;
pub mod flow;
pub mod keeper;
pub mod network;
pub mod policy;
pub mod process;
pub mod prompt;
pub mod rule;
pub mod scope;
pub mod setting;
pub mod upgrade;
pub mod verdict;

pub use self::{
    flow::{Direction, Flow, Hook, Protocol, Transport},
    policy::{PolicyGeneration, Snapshot},
    scope::Scope,
    verdict::{Action, Breadth, Judgement, Layer, Lifetime, Reach, Reason, Whose},
};
