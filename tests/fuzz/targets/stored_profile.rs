//! Any bytes that a damaged disk may give for a profile, or for the named networks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_messages::setting::Values;
use seawall_policy::store::{network_bytes, profile_bytes, read_networks, read_profile};
use seawall_policy::stored::Stored;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = read_profile(7, bytes) {
        let again = read_profile(7, &profile_bytes(&profile)).expect("what is written is read");
        assert_eq!(again, profile);
        // Whatever it says is read as far as it can be, and the rest is told.
        let stored = Stored::new(Values::new(), vec![profile]);
        assert!(stored.problems().all(|problem| !problem.is_empty()));
    }
    if let Ok(networks) = read_networks(bytes) {
        let again = read_networks(&network_bytes(&networks)).expect("what is written is read");
        assert_eq!(again, networks);
    }
});
