//! The units, as systemd's own tools read them.

use std::process::Command;

use lab::{Finished, run};
use tempfile::TempDir;

const UNITS: [&str; 2] = ["seawall.service", "seawall-early.service"];

fn analyze(arguments: &[&str], folder: &TempDir) -> Finished {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).args(UNITS.map(|unit| folder.path().join(unit)));
    run(&mut command)
}

/// A folder with the units, whose program is one that every machine has.
fn units() -> TempDir {
    let folder = TempDir::with_prefix("seawall-units-").expect("a folder");
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    for unit in UNITS {
        let text = std::fs::read_to_string(packaging.join(unit)).expect("the unit is there");
        assert!(text.contains("ExecStart=/usr/bin/seawall "), "{unit}");
        let text = text.replace("/usr/bin/seawall", "/bin/true");
        std::fs::write(folder.path().join(unit), text).expect("written");
    }
    folder
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let answer = analyze(&["verify", "--man=no"], &units());
    assert!(answer.ok() && answer.stderr.trim().is_empty(), "{answer:?}");
}

#[test]
fn the_services_are_not_exposed_for_nothing() {
    // Of ten. Without mount namespaces, which would make every program a
    // stranger's, five is what can be had.
    let answer = analyze(&["security", "--offline=yes", "--threshold=55", "--no-pager"], &units());
    assert!(answer.ok(), "{}", answer.stdout);
}
