//! Tells the programs in the kernel of one build from those of another: by a
//! checksum of the objects.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;

fn main() {
    let mut hasher = DefaultHasher::new();
    for name in ["sockets.o", "output.o"] {
        let path = Path::new("../ebpf/objects").join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        match std::fs::read(&path) {
            Ok(bytes) => hasher.write(&bytes),
            Err(error) => panic!("can't read {}: {error}", path.display()),
        }
    }
    println!("cargo:rustc-env=SEAWALL_EBPF_ID={:016x}", hasher.finish());
}
