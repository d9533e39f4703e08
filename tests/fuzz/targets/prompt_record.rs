//! Any record that may lie in the store of prompts: the first byte says which kind, the rest is its value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_prompt::store::decode_all;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, value)) = bytes.split_first() else { return };
    let key: &[u8] = match kind % 3 {
        0 => b"prompt/12345678",
        1 => b"answer/12345678",
        _ => b"next-id",
    };
    if let Ok(kept) = decode_all([(key, value)]) {
        let again = decode_all([(key, value)]).expect("as before");
        assert_eq!(kept, again, "the same record is the same");
    }
});
