//! Linux: NFQUEUE, iptables and nft, ctnetlink, sock_diag, memfd, Unix sockets.

pub mod conntrack;
pub mod ebpf;
pub mod inherited;
pub mod journal;
pub mod layout;
pub mod link;
pub mod memory;
pub mod neighbours;
mod netlink;
pub mod network;
pub mod privileges;
pub mod processes;
pub mod queue;
pub mod routes;
pub mod rules;
pub mod signals;
pub mod sockets;
pub mod wake;
