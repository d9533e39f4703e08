//! Desktop files (Desktop Entry Specification), and which program each is about.

use std::collections::HashMap;
use std::sync::Arc;

use super::exec::command_of;
use super::printable;
use crate::identity::{Script, is_interpreter, script_of};

/// Most desktop files in an index.
pub const MAX_DESKTOP_FILES: usize = 5_000;

/// Most lines looked at in one.
const MAX_LINES: usize = 2_000;

/// Longest name or path of an icon.
const MAX_ICON_BYTES: usize = 512;

/// Programs that start another: their desktop files are about that.
const LAUNCHERS: [&str; 22] = [
    "bwrap",
    "dbus-launch",
    "dbus-run-session",
    "exo-open",
    "firejail",
    "flatpak",
    "gapplication",
    "gio",
    "gksu",
    "gtk-launch",
    "kdesu",
    "kioclient",
    "kstart",
    "nohup",
    "pkexec",
    "run0",
    "snap",
    "su",
    "sudo",
    "systemd-run",
    "x-terminal-emulator",
    "xdg-open",
];

/// Folders with many programs that have nothing to do with each other.
const SHARED_FOLDERS: [&str; 10] =
    ["applications", "bin", "etc", "games", "lib", "lib64", "libexec", "sbin", "scripts", "share"];

/// Where only root writes, so that a file's name alone says something.
const TRUSTED_FOLDERS: [&str; 6] = ["/usr/", "/bin/", "/sbin/", "/opt/", "/nix/store/", "/snap/"];

/// What is used of a desktop file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesktopEntry {
    /// `Name`, in no language.
    pub name: String,
    /// `Icon`: a name, or a path.
    pub icon: Option<String>,
    /// `Exec`: program and arguments.
    pub command: Vec<String>,
    /// `X-Flatpak`: a Flatpak's id.
    pub flatpak: Option<String>,
    /// `X-SnapInstanceName`: a snap's name.
    pub snap: Option<String>,
    /// `NoDisplay` or `Hidden`: others go before it.
    pub is_hidden: bool,
    /// Whether it lies in a user's home: then it names no program of the system's.
    pub is_users: bool,
}

/// What a desktop file calls its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: Arc<str>,
    /// Name or path of its icon.
    pub icon: Option<Arc<str>>,
}

/// What programs are called, by what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesktopIndex {
    /// By path, of the program or its script.
    programs: HashMap<String, Label>,
    /// By the folder that a program has for itself.
    folders: HashMap<String, Label>,
    /// By the name of the file.
    file_names: HashMap<String, Label>,
    flatpaks: HashMap<String, Label>,
    snaps: HashMap<String, Label>,
}

/// Reads a desktop file. `None`: it has no name, or is about no program.
pub fn parse_desktop_file(text: &str) -> Option<DesktopEntry> {
    let mut entry = DesktopEntry::default();
    let mut is_in_group = false;
    let mut is_application = false;
    for line in text.lines().take(MAX_LINES).map(str::trim) {
        if line.starts_with('[') {
            is_in_group = line == "[Desktop Entry]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_in_group) else { continue };
        let value = value.trim_start();
        let some = || (!value.is_empty()).then(|| value.to_owned());
        match key.trim_end() {
            "Type" => is_application = value == "Application",
            "Name" => entry.name = printable(value),
            "Icon" => entry.icon = some().filter(|icon| is_icon(icon)),
            "Exec" => entry.command = command_of(value).unwrap_or_default(),
            "X-Flatpak" => entry.flatpak = some(),
            "X-SnapInstanceName" => entry.snap = some(),
            "NoDisplay" | "Hidden" => entry.is_hidden |= value == "true",
            _ => {}
        }
    }
    (is_application && !entry.name.is_empty()).then_some(entry)
}

impl DesktopIndex {
    /// From desktop files, the more trusted ones first: where several are about
    /// one program, those that are shown go before hidden ones, those with fewer
    /// arguments before those with more, and then the first.
    ///
    /// `resolve`: all paths that a program's word stands for (looked up in PATH, links followed).
    pub fn build(
        entries: impl IntoIterator<Item = DesktopEntry>,
        resolve: impl Fn(&str) -> Vec<String>,
    ) -> Self {
        let mut entries: Vec<DesktopEntry> = entries.into_iter().take(MAX_DESKTOP_FILES).collect();
        entries.sort_by_key(|entry| (entry.is_hidden, entry.command.len()));
        let mut index = Self::default();
        for entry in entries {
            index.add(&entry, &resolve);
        }
        index
    }

    /// What a program is called: by its path, else by its folder or its file's
    /// name, if it lies where only root writes.
    pub fn program(&self, path: &str) -> Option<&Label> {
        let exact = self.programs.get(path);
        if exact.is_some() || !is_trusted(path) {
            return exact;
        }
        let (folder, name) = path.rsplit_once('/')?;
        self.folders.get(folder).or_else(|| self.file_names.get(name))
    }

    /// What a Flatpak is called.
    pub fn flatpak(&self, id: &str) -> Option<&Label> {
        self.flatpaks.get(id)
    }

    /// What a snap is called.
    pub fn snap(&self, name: &str) -> Option<&Label> {
        self.snaps.get(name)
    }

    fn add(&mut self, entry: &DesktopEntry, resolve: &impl Fn(&str) -> Vec<String>) {
        let label = Label {
            name: Arc::from(entry.name.as_str()),
            icon: entry.icon.as_deref().map(Arc::from),
        };
        if let Some(id) = &entry.flatpak {
            keep_first(&mut self.flatpaks, id, &label);
            return;
        }
        if let Some(snap) = entry.snap.as_ref().filter(|_| !entry.is_users) {
            keep_first(&mut self.snaps, snap, &label);
            return;
        }
        let Some(program) = entry.command.first() else { return };
        let name = file_name(program);
        if LAUNCHERS.contains(&name) {
            return;
        }
        if let Some(script) = script_of(program, &entry.command, None) {
            // A module has no file to be known by.
            if let Script::File(path) = script
                && may_name(entry, &path)
            {
                keep_first(&mut self.programs, &path, &label);
            }
            return;
        }
        if is_interpreter(name) && entry.command.len() > 1 {
            return;
        }
        // A path says which file is meant; `/opt/x/run` names no other `run`.
        if !entry.is_users && !program.contains('/') {
            keep_first(&mut self.file_names, name, &label);
        }
        for path in resolve(program) {
            if may_name(entry, &path) {
                self.add_path(&path, &label);
            }
        }
    }

    fn add_path(&mut self, path: &str, label: &Label) {
        keep_first(&mut self.programs, path, label);
        if let Some((folder, _)) = path.rsplit_once('/') {
            let is_own =
                folder.matches('/').count() >= 2 && !SHARED_FOLDERS.contains(&file_name(folder));
            if is_own {
                keep_first(&mut self.folders, folder, label);
            }
        }
    }
}

/// Whoever writes to a home can't pass off one of the system's programs as another.
fn may_name(entry: &DesktopEntry, path: &str) -> bool {
    !entry.is_users || !is_trusted(path)
}

fn is_trusted(path: &str) -> bool {
    TRUSTED_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

fn keep_first(labels: &mut HashMap<String, Label>, key: &str, label: &Label) {
    if !labels.contains_key(key) {
        labels.insert(key.to_owned(), label.clone());
    }
}

fn is_icon(icon: &str) -> bool {
    icon.len() <= MAX_ICON_BYTES && !icon.chars().any(char::is_control)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
