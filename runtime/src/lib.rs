//! The microkernel: components that may panic, hang or be killed at any
//! moment while the rest of the process goes on.
//!
//! It knows no actor and no packet. What it adds to ractor: addresses that
//! survive restarts, bounded mailboxes that belong to the address, asks that
//! wait for a successor, generations, supervision groups, health, supervised
//! threads, exclusive resources, durable state, fault injection.

pub mod address;
mod body;
mod clock;
pub mod component;
pub mod durable;
pub mod fault;
mod incarnation;
pub mod kernel;
pub mod lease;
mod mailbox;
mod pace;
pub mod published;
mod random;
pub mod reply;
mod slot;
pub mod spec;
pub mod status;
mod sync;
pub mod table;
#[cfg(test)]
mod tests;
pub mod thread;
mod vitals;
pub mod wake;

pub use self::{
    address::{Address, TellError},
    component::{Component, Context, Failure, StartError},
    kernel::{Introspect, Kernel, ROOT_GROUP, TreeBuilder, TreeError},
    lease::{Lease, LeaseError, Lender},
    pace::Pace,
    published::{Published, Publisher},
    reply::{AnswerSink, AskError, Reply},
    spec::{Backoff, Deadlines, Generation, Intensity, Mailbox, Overflow, Spec, Strategy},
    status::{ComponentState, ComponentStatus},
    table::BoundedTable,
    thread::{Thread, ThreadContext},
    wake::Wake,
};
