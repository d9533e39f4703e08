//! What the policy forbids does not cross, whatever it is, whichever way it
//! goes; what is allowed does.

#[path = "matrix/crossing.rs"]
mod crossing;

use crossing::{Manner, Way, nothing_forbidden_crosses};

#[test]
fn outbound_with_iptables_nft() {
    nothing_forbidden_crosses("iptables-nft", Way::Outbound, Manner::Usual);
}

#[test]
fn outbound_with_iptables_nft_in_lockdown() {
    nothing_forbidden_crosses("iptables-nft", Way::Outbound, Manner::Strict);
}

#[test]
fn outbound_with_iptables_legacy() {
    nothing_forbidden_crosses("iptables-legacy", Way::Outbound, Manner::Usual);
}

#[test]
fn outbound_with_iptables_legacy_in_lockdown() {
    nothing_forbidden_crosses("iptables-legacy", Way::Outbound, Manner::Strict);
}

#[test]
fn inbound_with_iptables_nft() {
    nothing_forbidden_crosses("iptables-nft", Way::Inbound, Manner::Usual);
}

#[test]
fn inbound_with_iptables_nft_in_lockdown() {
    nothing_forbidden_crosses("iptables-nft", Way::Inbound, Manner::Strict);
}

#[test]
fn inbound_with_iptables_legacy() {
    nothing_forbidden_crosses("iptables-legacy", Way::Inbound, Manner::Usual);
}

#[test]
fn inbound_with_iptables_legacy_in_lockdown() {
    nothing_forbidden_crosses("iptables-legacy", Way::Inbound, Manner::Strict);
}

#[test]
fn forwarded_with_iptables_nft() {
    nothing_forbidden_crosses("iptables-nft", Way::Forwarded, Manner::Usual);
}

#[test]
fn forwarded_with_iptables_nft_in_lockdown() {
    nothing_forbidden_crosses("iptables-nft", Way::Forwarded, Manner::Strict);
}

#[test]
fn forwarded_with_iptables_legacy() {
    nothing_forbidden_crosses("iptables-legacy", Way::Forwarded, Manner::Usual);
}

#[test]
fn forwarded_with_iptables_legacy_in_lockdown() {
    nothing_forbidden_crosses("iptables-legacy", Way::Forwarded, Manner::Strict);
}
