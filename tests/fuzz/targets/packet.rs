//! Any bytes that a network card may deliver, whole and cut short.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_messages::Transport;
use seawall_platform::packet;

fuzz_target!(|bytes: &[u8]| {
    let Some(whole) = packet::parse(bytes) else { return };
    assert_eq!(whole.source.is_ipv4(), whole.destination.is_ipv4());
    // What is read of the first bytes may be less than what is read of all, never something else:
    // otherwise the copy range could turn a forbidden port into a permitted one.
    for length in 0..bytes.len() {
        let Some(cut) = packet::parse(&bytes[..length]) else { continue };
        assert_eq!((cut.source, cut.destination), (whole.source, whole.destination));
        if matches!(cut.transport, Transport::Ports { .. } | Transport::Icmp { .. }) {
            assert_eq!((cut.protocol, cut.transport), (whole.protocol, whole.transport));
        }
    }
});
