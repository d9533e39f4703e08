//! Tests of the modules that the model checker (`tests/loom.rs`) includes as
//! they are, and which therefore have none inside.

mod lease;
mod mailbox;
