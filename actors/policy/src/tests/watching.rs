//! The file changes without anybody saying so.

use std::fs;
use std::os::unix::fs::symlink;

use seawall_messages::policy::{DefaultAction, PolicyGeneration};

use super::{Machine, Worker, wait_until};

const BLOCK: &str = "[filter]\ndefault_action = \"block\"\n";

fn wait_for(worker: &Worker, generation: u64, action: DefaultAction) {
    wait_until("the change is published", || {
        let snapshot = worker.snapshot();
        snapshot.generation == PolicyGeneration(generation)
            && snapshot.filter.default_action == action
    });
}

#[test]
fn changes_of_the_file_are_noticed_however_they_are_made() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    // Written in place.
    machine.write(BLOCK);
    wait_for(&worker, 2, DefaultAction::Block);
    // Replaced, as editors do.
    let other = machine.folder.path().join(".seawall.toml.swp");
    fs::write(&other, "").unwrap();
    fs::rename(&other, machine.file()).unwrap();
    wait_for(&worker, 3, DefaultAction::Permit);
    // Removed, then there again.
    fs::remove_file(machine.file()).unwrap();
    wait_until("the loss is noticed", || worker.status().refused.is_some());
    machine.write(BLOCK);
    wait_for(&worker, 4, DefaultAction::Block);
    // Bad, then good again.
    machine.write("[filter]\ndefault_action = 1\n");
    wait_until("the mistake is noticed", || worker.status().refused.is_some());
    assert_eq!(worker.snapshot().generation, PolicyGeneration(4));
    machine.write("");
    wait_for(&worker, 5, DefaultAction::Permit);
    worker.stop();
}

#[test]
fn links_that_are_swapped_are_noticed() {
    let machine = Machine::new();
    let folder = machine.folder.path();
    for (name, text) in [("one", ""), ("two", BLOCK)] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("seawall.toml"), text).unwrap();
    }
    // As configuration management does: file -> data/file, data -> version.
    symlink("one", folder.join("data")).unwrap();
    symlink("data/seawall.toml", machine.file()).unwrap();
    let worker = machine.start();
    symlink("two", folder.join("next")).unwrap();
    fs::rename(folder.join("next"), folder.join("data")).unwrap();
    wait_for(&worker, 2, DefaultAction::Block);
    // A change of the file that the link now leads to.
    fs::write(folder.join("two").join("seawall.toml"), "").unwrap();
    wait_for(&worker, 3, DefaultAction::Permit);
    worker.stop();
}

#[test]
fn a_folder_that_comes_later_is_noticed() {
    let machine = Machine::new();
    let folder = machine.folder.path().join("etc");
    let file = folder.join("seawall.toml");
    let worker = machine.try_start_with(&file).expect("it starts");
    fs::create_dir(&folder).unwrap();
    fs::write(&file, BLOCK).unwrap();
    wait_for(&worker, 2, DefaultAction::Block);
    worker.stop();
}
