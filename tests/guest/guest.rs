//! What takes a kernel or a PID 1 that this machine may lack. Run in the guests that `scripts/guests`
//! starts, never by a plain `cargo test`.

mod containers;
#[path = "../e2e/matrix/crossing.rs"]
mod crossing;
mod nft;
mod sctp;
mod wireguard;
mod wireless;
