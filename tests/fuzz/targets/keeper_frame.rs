//! Any bytes that may come over the link between keeper and worker.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_messages::keeper::{ToKeeper, ToWorker};

fuzz_target!(|bytes: &[u8]| {
    // What was understood is written and understood again as the same.
    if let Ok(frame) = postcard::from_bytes::<ToKeeper>(bytes) {
        let again = postcard::to_stdvec(&frame).expect("a frame can be written");
        assert_eq!(postcard::from_bytes(&again), Ok(frame));
    }
    if let Ok(frame) = postcard::from_bytes::<ToWorker>(bytes) {
        let again = postcard::to_stdvec(&frame).expect("a frame can be written");
        assert_eq!(postcard::from_bytes(&again), Ok(frame));
    }
});
