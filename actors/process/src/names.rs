//! What people call a program: its desktop file's name, its container's, or one made from its file's.

mod containers;
mod desktop;
mod exec;
mod read;

#[cfg(test)]
mod tests;

pub use self::{
    containers::{ContainerFiles, container_name, docker_name, podman_name},
    desktop::{DesktopEntry, DesktopIndex, Label, MAX_DESKTOP_FILES, parse_desktop_file},
    exec::command_of,
    read::{DesktopFolder, read_desktop_files, resolve},
};

/// Longest name, in characters.
const MAX_NAME_CHARACTERS: usize = 64;

/// Endings that say what kind of file it is, not what it is called.
const ENDINGS: [&str; 12] = [
    ".appimage",
    ".bash",
    ".bin",
    ".exe",
    ".jar",
    ".js",
    ".php",
    ".pl",
    ".py",
    ".rb",
    ".sh",
    ".ts",
];

/// A name for people from the name of a file: `VirtualBoxVM` is `Virtual Box VM`.
///
/// Words end at `.`, `_`, `-` and blanks, and where a capital follows a small
/// letter; a version stays whole.
pub fn readable(file_name: &str) -> String {
    let name = without_ending(file_name);
    let mut words: Vec<String> = Vec::new();
    for token in name.split(['_', ' ']) {
        if is_version(token) {
            words.push(token.to_owned());
            continue;
        }
        for part in pieces(token) {
            words.extend(humps(&part).iter().map(|word| capitalised(word)));
        }
    }
    let joined = printable(&words.join(" "));
    if joined.is_empty() { "Unnamed program".to_owned() } else { joined }
}

fn without_ending(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let ending = ENDINGS.iter().find(|ending| lower.ends_with(*ending));
    let cut = ending.and_then(|ending| name.get(..name.len() - ending.len()));
    cut.filter(|cut| cut.chars().any(char::is_alphanumeric)).unwrap_or(name)
}

/// `v0-1-2`
fn is_version(token: &str) -> bool {
    token.strip_prefix('v').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'.')
    })
}

/// Splits at dashes and dots, but for those between two digits: `python3.11`.
fn pieces(token: &str) -> Vec<String> {
    let characters: Vec<char> = token.chars().collect();
    let mut pieces = vec![String::new()];
    for (at, character) in characters.iter().enumerate() {
        let is_digit = |at: Option<usize>| {
            at.and_then(|at| characters.get(at)).is_some_and(char::is_ascii_digit)
        };
        let is_point = *character == '.' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
        if matches!(character, '-' | '.') && !is_point {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push(*character);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// `SIHClient` is two words.
fn humps(piece: &str) -> Vec<String> {
    let characters: Vec<char> = piece.chars().collect();
    let mut words = vec![String::new()];
    for (at, character) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| characters.get(at));
        let after = characters.get(at + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut() {
            last.push(*character);
        }
    }
    words
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// A name that somebody else wrote: one short line that reads as it stands.
pub(crate) fn printable(name: &str) -> String {
    let turns_text = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let kept: String = name
        .chars()
        .filter(|c| !c.is_control() && !turns_text(*c))
        .take(MAX_NAME_CHARACTERS)
        .collect();
    kept.trim().to_owned()
}
