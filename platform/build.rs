//! Chooses the programs in the kernel, and tells those of one build from those of
//! another: by a checksum of the objects.
//!
//! They are those that are kept in `ebpf/objects`, unless `SEAWALL_EBPF_OBJECTS` names another
//! folder, by its absolute path: so rebuilt ones are tested before they are kept (`scripts/ebpf check`).

use std::hash::{DefaultHasher, Hasher as _};
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=SEAWALL_EBPF_OBJECTS");
    let folder = std::env::var_os("SEAWALL_EBPF_OBJECTS").map_or_else(kept, PathBuf::from);
    let mut hasher = DefaultHasher::new();
    for name in ["sockets.o", "output.o"] {
        let path = folder.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        match std::fs::read(&path) {
            Ok(bytes) => hasher.write(&bytes),
            Err(error) => panic!("can't read {}: {error}", path.display()),
        }
    }
    println!("cargo:rustc-env=SEAWALL_EBPF_OBJECTS={}", folder.display());
    println!("cargo:rustc-env=SEAWALL_EBPF_ID={:016x}", hasher.finish());
}

fn kept() -> PathBuf {
    let platform = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    platform.expect("cargo says where the crate is").join("../ebpf/objects")
}
