//! A release build can't be told to break itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{run, run_ok};

/// The variable that faults are set with before a start; its name is in every build that reads it.
const TELLTALE: &[u8] = b"SEAWALL_FAULTS";

/// The release build: `SEAWALL_RELEASE_BIN`, or built here without features.
fn release_build() -> PathBuf {
    if let Some(path) = std::env::var_os("SEAWALL_RELEASE_BIN") {
        return PathBuf::from(path);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let own = std::env::current_exe().expect("the path of this test");
    let target = own.ancestors().nth(3).expect("the target folder").join("release-check");
    run_ok(
        Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--package", "seawall", "--bin", "seawall"])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(&target),
    );
    target.join("release/seawall")
}

fn holds_telltale(program: &Path) -> bool {
    let bytes =
        std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    bytes.windows(TELLTALE.len()).any(|window| window == TELLTALE)
}

#[test]
fn a_release_build_has_no_fault_injection() {
    let tested = lab::seawall::binary();
    assert!(holds_telltale(&tested), "the program under test is built with fault injection");
    let version = run_ok(Command::new(&tested).arg("--version"));
    assert!(version.contains("+fault-injection"), "{version}");

    let release = release_build();
    assert!(!holds_telltale(&release), "the release build reads no faults");
    let version = run_ok(Command::new(&release).arg("--version"));
    assert!(!version.contains("fault"), "{version}");
    let fault = run(Command::new(&release).args(["fault", "verdict", "panic"]));
    assert_eq!(fault.code, Some(2), "the verb does not exist: {fault:?}");
    let help = run_ok(Command::new(&release).arg("--help"));
    // "[default: auto]" is no verb.
    let words = help.replace("default", "");
    assert!(!words.contains("fault"), "{help}");
}
