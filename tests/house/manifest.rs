//! Versions, lints and metadata are said once, in the workspace manifest.

use toml::{Table, Value};

use crate::source::{files_below, read};

/// Fields that every crate takes from the workspace.
const INHERITED: [&str; 6] =
    ["version", "edition", "rust-version", "license", "authors", "publish"];

/// Workspaces of their own, for other targets or compilers.
const APART: [&str; 3] = ["ebpf/Cargo.toml", "ebpf/programs", "tests/fuzz"];

fn manifests() -> Vec<(String, Table)> {
    let paths = files_below("").into_iter().filter(|path| {
        path.file_name().is_some_and(|name| name == "Cargo.toml")
            && !APART.iter().any(|apart| path.starts_with(apart))
    });
    let manifests: Vec<_> = paths
        .map(|path| {
            let table = read(&path).parse().expect("a manifest is TOML");
            (path.display().to_string(), table)
        })
        .collect();
    assert!(manifests.len() >= 9, "only {} manifests were found", manifests.len());
    manifests
}

fn is_inherited(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

#[test]
fn every_crate_inherits_lints_and_metadata() {
    let mut wrong = Vec::new();
    for (path, manifest) in manifests() {
        if !is_inherited(manifest.get("lints")) {
            wrong.push(format!("{path}: [lints] workspace = true is missing"));
        }
        let package = manifest.get("package");
        for field in INHERITED {
            if !is_inherited(package.and_then(|package| package.get(field))) {
                wrong.push(format!("{path}: {field}.workspace = true is missing"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_takes_its_version_from_the_workspace() {
    let mut wrong = Vec::new();
    for (path, manifest) in manifests() {
        for (name, dependency) in dependencies(&manifest) {
            if !is_inherited(Some(dependency)) {
                wrong.push(format!("{path}: {name} names its own version"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All dependencies of a manifest: of each kind, and for each target.
fn dependencies(manifest: &Table) -> Vec<(&String, &Value)> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(tables)
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        .collect()
}

#[test]
fn panics_unwind_in_every_profile() {
    // Supervision catches panics: with "abort" one of them would end the worker.
    let root: Table = read("Cargo.toml").parse().expect("the manifest is TOML");
    let profiles = root.get("profile").and_then(Value::as_table).expect("profiles are set");
    for (name, profile) in profiles {
        let panic = profile.get("panic").and_then(Value::as_str).unwrap_or("unwind");
        assert_eq!(panic, "unwind", "profile {name}");
    }
}

#[test]
fn fault_injection_is_no_default() {
    for (path, manifest) in manifests() {
        let default = manifest.get("features").and_then(|features| features.get("default"));
        let names = default.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        assert!(
            names.iter().all(|name| name.as_str() != Some("fault-injection")),
            "{path} turns fault injection on by default"
        );
    }
}
