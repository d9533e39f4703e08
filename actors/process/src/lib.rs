//! Which program owns a connection, and the app that people know it as.

pub mod identity;
pub mod names;
