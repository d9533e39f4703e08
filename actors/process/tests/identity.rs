//! Processes that this test starts itself, read from `/proc` and recognised. Needs root.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use seawall_messages::process::AppKind;
use seawall_platform::linux::processes::{ProcessFacts, file_id, read};
use seawall_process::identity::{Facts, Identity, Lookups, identify};
use seawall_process::names::DesktopIndex;

/// Ends its process when the test does.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}")))
    }

    /// Waits until it is the program that it shall become: a moment before, that has no arguments.
    fn identity(&self, is_it: impl Fn(&ProcessFacts) -> bool) -> Identity {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let process = read(self.0.id()).expect("it can be read").expect("it runs");
            if is_it(&process) && !process.command_line.is_empty() {
                return identity_of(&process);
            }
            assert!(Instant::now() < until, "still {process:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn identity_of(process: &ProcessFacts) -> Identity {
    let host_file = process.exe.as_deref().and_then(file_id);
    let lookups = Lookups {
        container_name: &|_| None,
        file_exists: &|path| Path::new(path).is_file(),
        desktop: &DesktopIndex::default(),
    };
    identify(&Facts::of_process(process, host_file), &lookups)
}

/// In a mount namespace of its own, whose changes stay there.
fn elsewhere(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script]);
    command
}

/// Where a command's file is.
fn located(command: &str) -> String {
    let path = fs::canonicalize(format!("/bin/{command}")).expect("it is installed");
    path.to_str().expect("a plain name").to_owned()
}

/// A copy of `sleep`, made by a program: a file that this one writes can't be run
/// while a child of another test, just forked, has it open.
fn sleeper(folder: &Path) -> String {
    let path = folder.join("sleeper");
    let status = Command::new("cp").arg("-L").arg("/bin/sleep").arg(&path).status();
    assert!(status.expect("cp runs").success());
    path.to_str().expect("a plain name").to_owned()
}

#[test]
fn a_script_is_told_from_its_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tool.sh"), "read line\n").expect("a script");
    let mut command = Command::new("sh");
    command.args(["-e", "./tool.sh"]).current_dir(folder.path());
    let running = Running::start(command.stdin(std::process::Stdio::piped()));
    let found = running.identity(|process| process.comm == "sh");
    let expected = format!("script:{}/tool.sh", folder.path().display());
    assert_eq!((found.app.kind, &*found.app.id), (AppKind::Script, expected.as_str()));
    assert_eq!(*found.path, *located("sh"));
}

#[test]
fn a_file_of_the_host_is_the_same_in_another_mount_namespace() {
    let running = Running::start(&mut elsewhere("exec sleep 600"));
    let found = running.identity(|process| process.comm == "sleep");
    assert_eq!((found.app.kind, &*found.path), (AppKind::Path, located("sleep").as_str()));
}

#[test]
fn another_file_under_the_path_of_a_hosts_is_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sleeper, victim) = (sleeper(folder.path()), located("true"));
    let script = format!("mount --bind {sleeper} {victim} && exec {victim} 600");
    let running = Running::start(&mut elsewhere(&script));
    let found = running.identity(|process| process.exe.as_deref() == Some(victim.as_str()));
    assert_eq!(found.app.kind, AppKind::Container);
    assert_eq!(*found.path, format!("unknown:{victim}"));
}

#[test]
fn a_file_that_was_replaced_keeps_its_path_in_a_namespace_of_the_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let sleeper = sleeper(folder.path());
    let running = Running::start(&mut elsewhere(&format!("exec {sleeper} 600")));
    let runs = |process: &ProcessFacts| process.exe.as_deref() == Some(sleeper.as_str());
    assert_eq!(*running.identity(runs).path, *sleeper);
    fs::remove_file(&sleeper).expect("it can be removed");
    assert_eq!(*running.identity(|process| process.deleted).path, *sleeper);
}

#[test]
fn a_users_namespace_keeps_no_path_of_a_file_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sleeper = sleeper(folder.path());
    let mut command = Command::new("unshare");
    let running = Running::start(command.args(["-Urm", &sleeper, "600"]));
    let runs = |process: &ProcessFacts| process.exe.as_deref() == Some(sleeper.as_str());
    assert_eq!(*running.identity(runs).path, *sleeper);
    fs::remove_file(&sleeper).expect("it can be removed");
    let found = running.identity(|process| process.deleted);
    assert_eq!(*found.path, format!("unknown:{sleeper}"));
}
