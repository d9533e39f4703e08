//! Imports run down the floors of the house, never up, never sideways.

use std::path::Path;

use cargo_metadata::{MetadataCommand, Package};

use crate::source::root;

/// An import of one workspace crate by another: their folders, relative to the root.
struct Import {
    from: String,
    to: String,
}

/// The floor on which a folder stands, counted from the ground. `None`: no such room.
fn floor(folder: &str) -> Option<u8> {
    match folder.split('/').collect::<Vec<_>>().as_slice() {
        ["runtime"] | ["ebpf", ..] => Some(0),
        ["messages", ..] => Some(1),
        ["platform", ..] => Some(2),
        ["actors", _] | ["spn", ..] => Some(3),
        [""] => Some(4),
        ["tests"] => Some(5),
        ["benches"] => Some(6),
        _ => None,
    }
}

/// What is wrong with an import, if anything. Crates of the one room `spn`
/// or of `messages`, `platform` and `ebpf` may be split inside it.
fn violation(import: &Import) -> Option<String> {
    let Import { from, to } = import;
    let (Some(from_floor), Some(to_floor)) = (floor(from), floor(to)) else {
        return Some(format!("{from} imports {to}: one of them stands in no known room"));
    };
    let room = |folder: &str| folder.split('/').next().unwrap_or_default().to_owned();
    let same_room = room(from) == room(to) && room(from) != "actors";
    if from_floor > to_floor || (from_floor == to_floor && same_room) {
        None
    } else if from_floor == to_floor {
        Some(format!("{from} imports {to}: sideways"))
    } else {
        Some(format!("{from} imports {to}: up the floors"))
    }
}

fn folder_of(package: &Package) -> String {
    let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
    let relative =
        Path::new(folder.as_str()).strip_prefix(root()).expect("members lie below the root");
    relative.to_str().expect("folders have plain names").to_owned()
}

fn workspace_packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata works");
    metadata.workspace_packages().into_iter().cloned().collect()
}

#[test]
fn imports_never_run_up_the_floors_nor_sideways() {
    let packages = workspace_packages();
    assert!(packages.len() >= 9, "cargo metadata shows {} crates only", packages.len());
    let imports = packages.iter().flat_map(|package| {
        // Development and build dependencies count, too: a test of an actor that needs another actor is an end-to-end test.
        package.dependencies.iter().filter_map(|dependency| {
            let target = dependency.path.as_ref()?;
            let to = Path::new(target.as_str()).strip_prefix(root()).ok()?;
            Some(Import { from: folder_of(package), to: to.to_str()?.to_owned() })
        })
    });
    let imports: Vec<_> = imports.collect();
    assert!(imports.len() >= 10, "only {} imports were found", imports.len());
    let wrong: Vec<_> = imports.iter().filter_map(violation).collect();
    assert!(wrong.is_empty(), "imports that may not be:\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_stands_in_a_known_room() {
    for package in workspace_packages() {
        let folder = folder_of(&package);
        assert!(floor(&folder).is_some(), "{folder} is not a room of the house");
    }
}

#[test]
fn wrong_imports_are_told_from_right_ones() {
    let cases = [
        ("actors/policy", "messages", true),
        ("actors/policy", "runtime", true),
        ("actors/policy", "actors/verdict", false),
        ("actors/policy", "spn/engine", false),
        ("actors/policy", "", false),
        ("messages", "platform", false),
        ("messages", "runtime", true),
        ("platform", "messages", true),
        ("platform", "actors/policy", false),
        ("runtime", "messages", false),
        ("runtime", "ebpf/abi", false),
        ("spn/client", "spn/engine", true),
        ("spn/client", "actors/dns", false),
        ("", "actors/datapath", true),
        ("tests", "messages", true),
        ("benches", "tests", true),
        ("tests", "benches", false),
        ("messages", "cellar", false),
    ];
    for (from, to, allowed) in cases {
        let import = Import { from: from.to_owned(), to: to.to_owned() };
        assert_eq!(violation(&import).is_none(), allowed, "{from} -> {to}");
    }
}
