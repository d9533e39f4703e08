//! Somebody that a person speaks of, described as the owner of a connection
//! would be: a process, or one made up from its file or its app's id.

use std::sync::Arc;

use seawall_messages::Snapshot;
use seawall_messages::explain::{Described, Known, Whom};
use seawall_messages::process::{App, AppKind, Process};
use seawall_platform::linux::processes;

use crate::identity::without_version;
use crate::roster::{Roster, is_program, kernel};

/// Longest path or id that is taken.
const MAX_TEXT_BYTES: usize = 4_096;

/// How much of a file is read to see whether it is a script: as the kernel (BINPRM_BUF_SIZE).
const FIRST_LINE_BYTES: u64 = 256;

/// Describes somebody. `recent` finds the process that used the network last of
/// those that fit, among those that are remembered.
pub(crate) fn describe(
    whom: &Whom,
    roster: &mut Roster,
    snapshot: &Snapshot,
    recent: impl Fn(&dyn Fn(&Process) -> bool) -> Option<Arc<Process>>,
) -> Result<Described, String> {
    match whom {
        Whom::Nobody => Ok(nobody()),
        Whom::Pid(pid) => match roster.of_pid(*pid, snapshot) {
            Some(process) => {
                Ok(Described { process: Some(process), known: Known::Process, notes: Vec::new() })
            }
            None => Err(format!("there is no process {pid}")),
        },
        Whom::Path(text) | Whom::App(text) if text.len() > MAX_TEXT_BYTES => {
            Err(format!("at most {MAX_TEXT_BYTES} bytes name an app"))
        }
        Whom::Path(path) if path.starts_with('/') => Ok(of_file(path, roster, snapshot)),
        Whom::Path(path) => Ok(match recent(&|process| *process.path == **path) {
            Some(process) => as_seen(process),
            None => elsewhere(path),
        }),
        Whom::App(id) => match recent(&|process| *process.app.id == **id) {
            Some(process) => Ok(as_seen(process)),
            None => of_id(id, roster, snapshot),
        },
    }
}

fn nobody() -> Described {
    Described { process: None, known: Known::Nothing, notes: Vec::new() }
}

fn as_seen(process: Arc<Process>) -> Described {
    let note = format!("as process {}, seen on the network of late", process.key.pid);
    Described { process: Some(process), known: Known::Process, notes: vec![note] }
}

/// A program of the host, or a script, which its interpreter runs.
fn of_file(path: &str, roster: &mut Roster, snapshot: &Snapshot) -> Described {
    // Of other files nobody learns a word: we may read what the asker may not.
    let is_program = is_program(path);
    let interpreter = is_program.then(|| interpreter_of(path)).flatten();
    let process = match &interpreter {
        Some(interpreter) => {
            let arguments = vec![interpreter.clone(), path.to_owned()];
            roster.of_file(interpreter, arguments, snapshot)
        }
        None => roster.of_file(path, Vec::new(), snapshot),
    };
    let mut notes = Vec::new();
    if !is_program {
        notes.push(format!("there is no program {path}"));
    }
    if let Some(interpreter) = interpreter {
        notes.push(format!("{path} is a script: rules see {interpreter} as its path"));
    }
    Described { process: Some(process), known: Known::File, notes }
}

/// What a script's first line says runs it (execve(2)); `/usr/bin/env` is looked through.
fn interpreter_of(path: &str) -> Option<String> {
    let line = processes::first_bytes(path, FIRST_LINE_BYTES).ok()?;
    let named = interpreter_named(&line)?;
    let real = std::fs::canonicalize(&named)
        .ok()
        .and_then(|real| real.into_os_string().into_string().ok());
    Some(real.unwrap_or(named))
}

fn interpreter_named(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let interpreter = words.next()?;
    if !interpreter.ends_with("/env") {
        return interpreter.starts_with('/').then(|| interpreter.to_owned());
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    Some(if name.starts_with('/') { name.to_owned() } else { format!("/usr/bin/{name}") })
}

/// A file that isn't the host's, by the place before its path.
fn elsewhere(path: &str) -> Described {
    let made_up = place_of(path).map(|(place, file)| {
        let (kind, id) = match place.split_once(':') {
            Some(("snap", name)) => (AppKind::Snap, format!("snap:{name}")),
            Some(("flatpak", id)) => (AppKind::Flatpak, format!("flatpak:{id}")),
            Some((engine, name)) => {
                (AppKind::Container, format!("container:{engine}/{name}:{}", without_version(file)))
            }
            None => (AppKind::Container, format!("container:{place}:{}", without_version(file))),
        };
        (kind, id, file.rsplit('/').next().unwrap_or(file))
    });
    let (kind, id, name) = made_up.unwrap_or_else(|| (AppKind::Path, format!("path:{path}"), path));
    let app = App { id: Arc::from(id), kind, name: Arc::from(name), icon: None };
    let note = "no process with this path was seen on the network of late".to_owned();
    Described {
        process: Some(Arc::new(Process::made_up(app, path))),
        known: Known::File,
        notes: vec![note],
    }
}

/// `docker:web:/usr/bin/curl` is `docker:web` and `/usr/bin/curl`.
fn place_of(path: &str) -> Option<(&str, &str)> {
    let at = path.find(":/")?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// An app of which no process was seen.
fn of_id(id: &str, roster: &mut Roster, snapshot: &Snapshot) -> Result<Described, String> {
    let (word, rest) = id.split_once(':').unwrap_or((id, ""));
    let kind = match (word, rest) {
        ("unidentified", "") => return Ok(nobody()),
        ("kernel", "") => {
            let process = Some(kernel());
            return Ok(Described { process, known: Known::Process, notes: Vec::new() });
        }
        ("path" | "script", file) if file.starts_with('/') && !file.contains('*') => {
            return Ok(of_file(file, roster, snapshot));
        }
        (_, "") => return Err(format!("{id:?} is no app's id: see `id` in `seawall ps --json`")),
        ("path", _) => AppKind::Path,
        ("script", _) => AppKind::Script,
        ("snap", _) => AppKind::Snap,
        ("flatpak", _) => AppKind::Flatpak,
        ("app_image", _) => AppKind::AppImage,
        ("nix", _) => AppKind::Nix,
        ("container", _) => AppKind::Container,
        _ => return Err(format!("there is no kind of app called {word:?}")),
    };
    let app = App { id: Arc::from(id), kind, name: Arc::from(rest), icon: None };
    let note = format!("no process of {id} was seen on the network of late: only its id is known");
    Ok(Described {
        process: Some(Arc::new(Process::made_up(app, ""))),
        known: Known::App,
        notes: vec![note],
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn described(whom: &Whom) -> Result<Described, String> {
        describe(whom, &mut Roster::new(None), &Snapshot::unloaded(), |_| None)
    }

    fn seen(whom: Whom) -> (String, String, Known) {
        let described = described(&whom).unwrap_or_else(|error| panic!("{whom}: {error}"));
        let process = described.process.unwrap_or_else(|| panic!("{whom} is nobody"));
        (process.path.to_string(), process.app.id.to_string(), described.known)
    }

    #[test]
    fn whoever_is_named_gets_the_path_and_id_that_rules_mean() {
        let path = |text: &str| Whom::Path(text.to_owned());
        let app = |text: &str| Whom::App(text.to_owned());
        let own = std::env::current_exe().expect("a running program").display().to_string();
        let own_id = format!("path:{own}");
        let docker = "docker:web:/usr/bin/curl";
        let cases = [
            (path(&own), own.as_str(), own_id.as_str(), Known::File),
            (app(&own_id), &own, &own_id, Known::File),
            (path("/opt/none"), "/opt/none", "path:/opt/none", Known::File),
            (path(docker), docker, "container:docker/web:/usr/bin/curl", Known::File),
            (path("snap:firefox:/x"), "snap:firefox:/x", "snap:firefox", Known::File),
            (path("unknown:/x"), "unknown:/x", "container:unknown:/x", Known::File),
            (app("snap:firefox"), "", "snap:firefox", Known::App),
            (app("path:/opt/*/x"), "", "path:/opt/*/x", Known::App),
            (app("kernel"), "", "kernel", Known::Process),
            (Whom::Pid(std::process::id()), &own, &own_id, Known::Process),
        ];
        for (whom, path, id, known) in cases {
            let name = whom.to_string();
            assert_eq!(seen(whom), (path.to_owned(), id.to_owned(), known), "{name}");
        }
    }

    #[test]
    fn nobody_is_nobody_and_what_is_no_id_is_refused() {
        let app = |text: &str| Whom::App(text.to_owned());
        for whom in [Whom::Nobody, app("unidentified")] {
            assert_eq!(described(&whom), Ok(nobody()));
        }
        for whom in [app("snap"), app("firefox:x"), Whom::Pid(u32::MAX), app(&"x".repeat(5_000))] {
            assert!(described(&whom).is_err(), "{whom}");
        }
    }

    #[test]
    fn whoever_was_seen_of_late_is_taken_as_seen() {
        let app = App { id: Arc::from("snap:it"), kind: AppKind::Snap, ..App::unidentified() };
        let process = Arc::new(Process::made_up(app, "snap:it:/x"));
        for whom in [Whom::App("snap:it".to_owned()), Whom::Path("snap:it:/x".to_owned())] {
            let mut roster = Roster::new(None);
            let found = describe(&whom, &mut roster, &Snapshot::unloaded(), |fits| {
                fits(&process).then(|| Arc::clone(&process))
            });
            assert_eq!(found.map(|found| found.known), Ok(Known::Process), "{whom}");
        }
    }

    #[test]
    fn a_script_is_its_interpreter_with_a_name_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("backup.sh");
        std::fs::write(&script, "#!/bin/sh\nexit 0\n").expect("written");
        let named = Whom::Path(script.display().to_string());
        assert_eq!(seen(named).0, script.display().to_string(), "not as long as it can't be run");
        let may_run = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&script, may_run).expect("it is ours");
        let script = script.display().to_string();
        let shell = std::fs::canonicalize("/bin/sh").expect("every machine has a shell");
        let (path, id, known) = seen(Whom::Path(script.clone()));
        assert_eq!((path, known), (shell.display().to_string(), Known::File));
        assert_eq!(id, format!("script:{script}"));
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"#!/bin/sh\n", Some("/bin/sh")),
            (b"#! /usr/bin/perl -w\nx", Some("/usr/bin/perl")),
            (b"#!/usr/bin/env python3\n", Some("/usr/bin/python3")),
            (b"#!/usr/bin/env -S A=1 node --x\n", Some("/usr/bin/node")),
            (b"#!sh\n", None),
            (b"#!\n", None),
            (b"\x7fELF", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(interpreter_named(bytes).as_deref(), expected);
        }
    }
}
