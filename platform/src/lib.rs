//! The operating system: packet queues, firewall rules, connection tracking,
//! sockets, descriptors handed between processes.
//!
//! Mechanism only. Nothing here chooses a policy, and nothing above it knows
//! which system it is on.

#[cfg(target_os = "linux")]
pub mod linux;
pub mod packet;
