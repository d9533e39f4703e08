//! From what is known of a process to its app, and to the path that rules mean.
//!
//! Pure: whoever asks brings the facts and the means to look names up. Rules
//! that hold here:
//!
//! - The first that fits decides: kernel, container, Snap, Flatpak, unknown
//!   container, AppImage, script, Nix, path.
//! - A bare path is a file of the host. What another mount namespace shows under
//!   a path counts as that only if it is the very file; else the path begins
//!   with the place: `docker:web:/usr/bin/curl`, `unknown:/usr/bin/curl`.
//! - A process writes its own arguments, and whoever starts it writes its
//!   environment. They only tell apart what is one file otherwise; never do they give
//!   a process the path of a file that it doesn't run.
//! - Control groups below a user's service manager are the user's to name;
//!   containers there carry the user: `docker@1000`.

mod container;
mod grammar;
mod package;
mod script;
mod unit;
mod version;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use seawall_messages::process::{App, AppKind};
use seawall_platform::linux::processes::{Environment, FileId, ProcessFacts};

use crate::names::{DesktopIndex, Label, readable};

pub(crate) use self::grammar::is_interpreter;
pub use self::{
    container::{Container, Engine},
    script::{Script, script_of},
    version::without_version,
};

/// Bytes of a program's arguments that the kernel notes.
pub const NOTED_ARGUMENT_BYTES: usize = 256;

/// What an app is recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Path of the file that it runs, as the kernel tells it; empty where nobody knows.
    pub exe: String,
    /// Where that path is valid.
    pub place: Place,
    /// Whether its root is the host's: else absolute paths among its arguments mean something else.
    pub has_our_root: bool,
    /// Whether it is in our user namespace.
    pub in_our_user_namespace: bool,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// Whether there were more: the last word may be a part only.
    pub arguments_cut: bool,
    /// Where relative paths begin.
    pub working_directory: Option<String>,
    /// Control group below the root of its hierarchy; empty where nobody knows.
    pub cgroup: String,
    /// What of its environment tells of packages; empty where nobody knows.
    pub environment: Environment,
}

/// Where a process's path is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It sees the mounts that we see.
    Host,
    /// It sees other mounts, but this file is the host's.
    HostFile,
    /// It sees other mounts, and this file is another, or nobody knows.
    Foreign,
}

/// What the kernel noted of a process that may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Path of its file.
    pub exe: String,
    /// Which file that is, where it was noted.
    pub exe_file: Option<FileId>,
    /// Program and arguments with zero bytes between: the first [`NOTED_ARGUMENT_BYTES`].
    pub arguments: Vec<u8>,
    /// Its working directory.
    pub working_directory: Option<String>,
    /// Path of its control group.
    pub cgroup: String,
    /// Whether it saw the mounts that we see.
    pub in_our_mount_namespace: bool,
    /// Whether it was in our user namespace; `false` where nobody knows.
    pub in_our_user_namespace: bool,
    /// Whether its root was ours; `false` where nobody knows.
    pub has_our_root: bool,
}

/// What is looked up for a name. None of it decides whether a connection is somebody's.
#[derive(Clone, Copy)]
pub struct Lookups<'a> {
    /// What a container is called.
    pub container_name: &'a dyn Fn(&Container) -> Option<String>,
    /// Whether the host has a regular file of this path.
    pub file_exists: &'a dyn Fn(&str) -> bool,
    /// What desktop files say.
    pub desktop: &'a DesktopIndex,
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its app.
    pub app: App,
    /// Its file, as rules mean it; see [`Process::path`](seawall_messages::process::Process::path).
    pub path: Arc<str>,
    /// The systemd unit that it belongs to, such as `ssh.service`.
    pub unit: Option<String>,
}

impl Place {
    /// From what a process sees, and which file the host has at its path
    /// (`host_file`, needed only where the mount namespace is another).
    pub fn of(
        in_our_mount_namespace: bool,
        file: Option<FileId>,
        host_file: Option<FileId>,
    ) -> Self {
        match (in_our_mount_namespace, file) {
            (true, _) => Self::Host,
            (false, Some(_)) if file == host_file => Self::HostFile,
            (false, _) => Self::Foreign,
        }
    }
}

impl Facts {
    /// Of a process that `/proc` tells of. `host_file`: which file the host has
    /// at its path now.
    pub fn of_process(process: &ProcessFacts, host_file: Option<FileId>) -> Self {
        let mut place = Place::of(process.in_our_mount_namespace, process.exe_file, host_file);
        // A service with a private /tmp whose file was updated under it. Without
        // privilege nobody gets into a mount namespace like that, so nobody fakes it.
        let is_service = process.in_our_user_namespace && process.has_our_root;
        if place == Place::Foreign && process.deleted && is_service {
            place = Place::HostFile;
        }
        Self {
            exe: process.exe.clone().unwrap_or_default(),
            place,
            has_our_root: process.has_our_root,
            in_our_user_namespace: process.in_our_user_namespace,
            is_kernel_thread: process.is_kernel_thread,
            arguments: process.command_line.clone(),
            arguments_cut: process.command_line_cut,
            working_directory: process.working_directory.clone(),
            cgroup: process.cgroup.clone(),
            environment: process.environment.clone(),
        }
    }

    /// Of a process that the kernel noted. `host_file` as in [`of_process`](Self::of_process).
    pub fn of_noted(noted: &Noted, host_file: Option<FileId>) -> Self {
        let bytes = noted.arguments.as_slice();
        let words = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        let arguments = words.split(|byte| *byte == 0);
        Self {
            exe: noted.exe.clone(),
            place: Place::of(noted.in_our_mount_namespace, noted.exe_file, host_file),
            has_our_root: noted.has_our_root,
            in_our_user_namespace: noted.in_our_user_namespace,
            is_kernel_thread: false,
            arguments: arguments.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            arguments_cut: bytes.len() >= NOTED_ARGUMENT_BYTES,
            working_directory: noted.working_directory.clone(),
            cgroup: noted.cgroup.clone(),
            environment: Environment::default(),
        }
    }
}

/// The app of a process, and the path that rules mean.
pub fn identify(facts: &Facts, lookups: &Lookups<'_>) -> Identity {
    if facts.is_kernel_thread {
        return Identity { app: kernel_app(), path: Arc::from(""), unit: None };
    }
    let unit = unit::unit_of(&facts.cgroup);
    if facts.exe.is_empty() {
        return Identity { app: App::unidentified(), path: Arc::from(""), unit };
    }
    let file = file_path(facts);
    let (app, prefix) = recognise(facts, &file, lookups);
    let path = match facts.place {
        Place::Foreign => Arc::from(format!("{prefix}{file}")),
        Place::Host | Place::HostFile => Arc::from(file),
    };
    Identity { app, path, unit }
}

/// The app, and what the path of a file that isn't the host's begins with.
fn recognise(facts: &Facts, file: &str, lookups: &Lookups<'_>) -> (App, String) {
    let desktop = lookups.desktop;
    let is_elsewhere = facts.place != Place::Host;
    if let Some(container) = Container::of(&facts.cgroup).filter(|_| is_elsewhere) {
        return contained(&container, file, lookups);
    }
    if let Some(snap) = package::snap(facts) {
        let app = named(AppKind::Snap, &snap, desktop.snap(&snap), || readable(&snap));
        return (app, format!("snap:{snap}:"));
    }
    if let Some(id) = package::flatpak(facts) {
        let last = id.rsplit('.').next().unwrap_or(&id);
        let app = named(AppKind::Flatpak, &id, desktop.flatpak(&id), || readable(last));
        return (app, format!("flatpak:{id}:"));
    }
    if facts.place == Place::Foreign {
        return contained(&Container::unknown(), file, lookups);
    }
    (on_host(facts, file, lookups), String::new())
}

fn on_host(facts: &Facts, file: &str, lookups: &Lookups<'_>) -> App {
    let desktop = lookups.desktop;
    if let Some(image) = package::app_image(facts) {
        let label = desktop.program(image.path.as_deref().unwrap_or(file));
        return named(AppKind::AppImage, &image.id, label, || readable(&image.name));
    }
    let script = script::script_of_process(facts).filter(|script| match script {
        Script::File(path) => (lookups.file_exists)(path),
        Script::PythonModule(_) => true,
    });
    if let Some(Script::PythonModule(module)) = &script {
        let id = format!("python-module:{module}");
        return named(AppKind::Script, &id, None, || readable(module));
    }
    let program = match &script {
        Some(Script::File(path)) => path,
        _ => file,
    };
    let label = desktop.program(program);
    if let Some(package) = package::nix(program) {
        return named(AppKind::Nix, package, label, || readable(package));
    }
    match script {
        Some(_) => named(AppKind::Script, program, label, || readable(file_name(program))),
        None => {
            let id = without_version(program);
            named(AppKind::Path, &id, label, || readable(file_name(program)))
        }
    }
}

fn contained(container: &Container, file: &str, lookups: &Lookups<'_>) -> (App, String) {
    let label = container.label();
    let name = container.display_name(|container| (lookups.container_name)(container));
    let (place, words) = match &name {
        Some(name) => (format!("{label}/{name}"), format!("{label} {name}")),
        None => (label.clone(), format!("{label} container")),
    };
    let app = App {
        id: Arc::from(format!("container:{place}:{}", without_version(file))),
        kind: AppKind::Container,
        name: Arc::from(format!("{} ({words})", file_name(file))),
        icon: None,
    };
    let prefix = match name {
        Some(name) => format!("{label}:{name}:"),
        None => format!("{label}:"),
    };
    (app, prefix)
}

/// The app of the kernel's own threads and sockets.
pub(crate) fn kernel_app() -> App {
    App {
        id: Arc::from("kernel"),
        kind: AppKind::Kernel,
        name: Arc::from("Linux kernel"),
        icon: None,
    }
}

fn named(kind: AppKind, id: &str, label: Option<&Label>, fallback: impl FnOnce() -> String) -> App {
    let name = label.map_or_else(|| Arc::from(fallback()), |label| Arc::clone(&label.name));
    let icon = label.and_then(|label| label.icon.clone());
    App { id: Arc::from(format!("{}:{id}", kind.as_str())), kind, name, icon }
}

/// The path without what the kernel puts before it: a file that only ever was
/// memory is `memfd:NAME` (memfd_create(2)), a Flatpak's may begin with the root that it left behind.
fn file_path(facts: &Facts) -> String {
    if let Some(name) = facts.exe.strip_prefix("/memfd:") {
        return format!("memfd:{name}");
    }
    match facts.exe.strip_prefix("/newroot/") {
        Some(rest) if facts.place == Place::Foreign => format!("/{rest}"),
        _ => facts.exe.clone(),
    }
}

fn file_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix("memfd:").unwrap_or(name)
}
