//! Reads desktop files, and finds the programs that they name. Everything is bounded.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::desktop::{DesktopEntry, MAX_DESKTOP_FILES, parse_desktop_file};

/// Most bytes read of a desktop file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Most entries looked at in one folder.
const MAX_FOLDER_ENTRIES: usize = 20_000;

/// Folders in folders: the format allows them (`kde4/`).
const MAX_DEPTH: usize = 2;

/// Where a command without a slash is looked for.
const SEARCH_PATH: [&str; 8] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/games",
    "/usr/local/games",
];

/// Where desktop files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesktopFolder {
    /// For all users: only root writes there.
    System,
    /// For one user, whose home this is.
    Home(PathBuf),
}

impl DesktopFolder {
    fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::System => [
                "/usr/local/share/applications",
                "/usr/share/applications",
                "/var/lib/snapd/desktop/applications",
                "/var/lib/flatpak/exports/share/applications",
            ]
            .map(PathBuf::from)
            .to_vec(),
            Self::Home(home) => vec![
                home.join(".local/share/applications"),
                home.join(".local/share/flatpak/exports/share/applications"),
            ],
        }
    }
}

/// Reads the desktop files of folders, in this order: give those of the system
/// first, so that no user renames a program of the system. What can't be read is left out.
pub fn read_desktop_files(folders: &[DesktopFolder]) -> Vec<DesktopEntry> {
    let mut entries = Vec::new();
    for folder in folders {
        let start = entries.len();
        for path in folder.paths() {
            read_folder(&path, MAX_DEPTH, &mut entries);
        }
        let is_users = matches!(folder, DesktopFolder::Home(_));
        entries.iter_mut().skip(start).for_each(|entry| entry.is_users = is_users);
    }
    entries
}

pub(super) fn read_folder(folder: &Path, depth: usize, entries: &mut Vec<DesktopEntry>) {
    let Ok(listing) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> =
        listing.flatten().take(MAX_FOLDER_ENTRIES).map(|entry| entry.path()).collect();
    // The same order each time.
    paths.sort_unstable();
    for path in paths {
        if entries.len() >= MAX_DESKTOP_FILES {
            return;
        }
        if path.extension().is_some_and(|extension| extension == "desktop") {
            let text = read_bounded(&path, MAX_FILE_BYTES);
            entries.extend(text.and_then(|text| parse_desktop_file(&text)));
        } else if depth > 1 && path.is_dir() {
            read_folder(&path, depth - 1, entries);
        }
    }
}

/// The text of a regular file that isn't larger. Never waits, as for a pipe's writer.
pub(super) fn read_bounded(path: &Path, most_bytes: u64) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most_bytes + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > most_bytes {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// All paths that the program of a command stands for: the file found, and
/// where links lead from there.
pub fn resolve(program: &str) -> Vec<String> {
    let found = if program.starts_with('/') {
        Some(PathBuf::from(program)).filter(|path| path.is_file())
    } else if program.contains('/') {
        None
    } else {
        SEARCH_PATH.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
    };
    let Some(found) = found else { return Vec::new() };
    let target = std::fs::canonicalize(&found).ok();
    let mut paths: Vec<String> = [Some(found), target]
        .into_iter()
        .flatten()
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect();
    paths.dedup();
    paths
}
