//! Any text that an editor may leave behind as the policy.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seawall_policy::file;

fuzz_target!(|text: &str| {
    let path = Path::new("seawall.toml");
    if let Err(problems) = file::parse(text, path) {
        assert!(!problems.to_string().is_empty(), "a refusal says why");
    }
});
