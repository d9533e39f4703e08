//! The script that an interpreter runs.
//!
//! The arguments tell, and a process may write over its own. So a script only
//! is claimed for an interpreter's file in a place that root alone writes to,
//! and if the script exists; the path that rules mean stays the interpreter's.

#[cfg(test)]
mod tests;

use super::grammar::{Asked, asked, is_interpreter};
use super::{Facts, Place};

/// Where interpreters lie that only root writes to.
const TRUSTED_FOLDERS: [&str; 5] = ["/usr/", "/bin/", "/sbin/", "/opt/", "/nix/store/"];

/// Longest name of a module that is taken for one.
const MAX_MODULE_BYTES: usize = 128;

/// What an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A file: its absolute path, without `.` and `..`.
    File(String),
    /// A module that Python looks up itself (`-m`).
    PythonModule(String),
}

/// The script that a process on the host runs, if it exists.
pub(super) fn script_of_process(facts: &Facts) -> Option<Script> {
    let is_trusted = TRUSTED_FOLDERS.iter().any(|folder| facts.exe.starts_with(folder));
    if !is_trusted || facts.place == Place::Foreign || !facts.has_our_root {
        return None;
    }
    let whole = facts.arguments.len().checked_sub(usize::from(facts.arguments_cut))?;
    let arguments = facts.arguments.get(..whole)?;
    script_of(&facts.exe, arguments, facts.working_directory.as_deref())
}

/// The script in a command line, if the program is an interpreter.
pub fn script_of(
    program: &str,
    arguments: &[String],
    working_directory: Option<&str>,
) -> Option<Script> {
    let name = interpreter_name(program, arguments)?;
    match asked(name, arguments.get(1..)?)? {
        Asked::File(file) if file.starts_with('/') => Some(Script::File(normalise(file))),
        Asked::File(file) => {
            let folder = working_directory.filter(|folder| folder.starts_with('/'))?;
            Some(Script::File(normalise(&format!("{folder}/{file}"))))
        }
        Asked::Module(module) => {
            let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let fits = !module.is_empty()
                && module.len() <= MAX_MODULE_BYTES
                && module.chars().all(is_plain);
            fits.then(|| Script::PythonModule(module.to_owned()))
        }
    }
}

/// One file may be many programs: BusyBox goes by the name that it is called by.
fn interpreter_name<'a>(program: &'a str, arguments: &'a [String]) -> Option<&'a str> {
    let name = file_name(program);
    let name = match name {
        "busybox" => file_name(arguments.first()?),
        _ => name,
    };
    is_interpreter(name).then_some(name)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An absolute path without `.`, `..` and doubled slashes. Links are left alone.
pub(super) fn normalise(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
