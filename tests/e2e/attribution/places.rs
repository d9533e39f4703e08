//! Where a program lives: other namespaces, sandboxes, control groups, mounted images.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::world::needs;
use lab::{Deed, Family, Findings, Held, Host, Programs, Seawall, World};
use seawall_messages::flow::Protocol;
use seawall_messages::process::{AppKind, Process};
use tempfile::TempDir;

use super::common::{POLICY, at, runs, serve};

/// A program inside something else on a host.
fn within(host: &Host, words: &[&str], executable: &Path) -> Command {
    let mut command = host.command(words[0]);
    command.args(&words[1..]).arg(executable);
    command
}

#[test]
fn a_program_in_other_namespaces_is_known_by_its_file() {
    for program in ["unshare", "bwrap"] {
        needs(program);
    }
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    let places: [(&str, &[&str]); 4] = [
        ("mount namespace", &["unshare", "--mount", "--propagation", "private"]),
        (
            "mount and pid namespace",
            &["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ),
        ("user namespace", &["unshare", "--user", "--map-root-user"]),
        (
            "bubblewrap",
            &["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid"],
        ),
    ];
    for (number, (place, words)) in places.into_iter().enumerate() {
        for (family, deed) in [(Family::V4, Deed::Connect), (Family::V6, Deed::SendTo)] {
            let executable = programs.app(number);
            let command = within(&world.desk, words, &executable);
            let held = Held::start(command, deed, at(family, 7001));
            let process = seawall.process_from(place, deed.protocol(), held.from_port());
            findings.check(runs(&process, &executable), format!("{place}, {deed:?}: {process:?}"));
        }
    }
    findings.settle();
}

/// Control groups made by hand; removed, where they were not there before, when dropped.
pub(crate) struct Group {
    folder: PathBuf,
    made: Vec<PathBuf>,
}

impl Group {
    /// Makes a group below the root of the hierarchy (cgroups(7), version 2).
    pub(crate) fn new(path: &str) -> Self {
        let mut folder = Self::root();
        let mut made = Vec::new();
        for part in path.split('/') {
            folder.push(part);
            if !folder.is_dir() {
                std::fs::create_dir(&folder).unwrap_or_else(|error| {
                    panic!("the test needs a control group {}: {error}", folder.display())
                });
                made.push(folder.clone());
            }
        }
        Self { folder, made }
    }

    fn root() -> PathBuf {
        let text = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts are listed");
        let found = text.lines().find_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
        });
        found.expect("the test needs a mount of cgroup2")
    }

    /// A program that starts in the group; `packaged`: with a root of its own, as snapd and Flatpak give it.
    pub(crate) fn command(&self, host: &Host, executable: &Path, packaged: bool) -> Command {
        let mut command = host.command("sh");
        command.args(["-ec", "echo $$ > \"$0/cgroup.procs\"; exec \"$@\""]).arg(&self.folder);
        if packaged {
            let mount = "mount -t tmpfs none /opt; cp \"$0\" /opt/app; exec /opt/app \"$@\"";
            command.args(["unshare", "--mount", "sh", "-ec", mount]);
        }
        command.arg(executable);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// What a process in a group is taken for.
fn in_group(
    world: &World,
    seawall: &Seawall<'_>,
    path: &str,
    executable: &Path,
    packaged: bool,
) -> Process {
    let group = Group::new(path);
    let command = group.command(&world.desk, executable, packaged);
    let mut held = Held::start(command, Deed::Connect, at(Family::V4, 7001));
    let process = seawall.process_from(path, Protocol::TCP, held.from_port());
    held.end();
    process
}

#[test]
fn packages_and_services_are_known_by_their_control_group() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let session = "user.slice/user-4242.slice/user@4242.service/app.slice";
    let mut findings = Findings::new();
    let cases = [
        ("system.slice/seawall-lab.service".to_owned(), AppKind::Path, None),
        (
            format!("{session}/app-flatpak-org.example.App-4242.scope"),
            AppKind::Flatpak,
            Some("flatpak:org.example.App"),
        ),
        (
            format!("{session}/snap.example.example-01234567-89ab.scope"),
            AppKind::Snap,
            Some("snap:example"),
        ),
        (
            "system.slice/snap.example.daemon.service".to_owned(),
            AppKind::Snap,
            Some("snap:example"),
        ),
    ];
    for (number, (path, kind, id)) in cases.iter().enumerate() {
        let executable = programs.app(number);
        let packaged = *kind != AppKind::Path;
        let process = in_group(&world, &seawall, path, &executable, packaged);
        findings.check(
            process.app.kind == *kind && id.is_none_or(|id| *process.app.id == *id),
            format!("{path}: {process:?}"),
        );
        findings.check(
            process.cgroup.strip_prefix('/') == Some(path.as_str()),
            format!("{path}: its group is {:?}", process.cgroup),
        );
    }
    findings.settle();
}

#[test]
fn an_image_is_the_same_app_wherever_it_is_mounted() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let image = programs.copy("Example-1.2-x86_64.AppImage");
    // The runtime of an image mounts it under such a name, another one at each start.
    let mounts = [(); 2].map(|()| TempDir::with_prefix(".mount_Exampl").expect("a folder"));
    let apps = mounts.each_ref().map(|mount| {
        let inside = mount.path().join("usr/bin/example");
        std::fs::create_dir_all(inside.parent().expect("a folder")).expect("folders are made");
        std::fs::copy(programs.app(0), &inside).expect("a program is copied");
        let mut command = world.desk.command(&inside.to_string_lossy());
        command.env("APPIMAGE", &image).env("APPDIR", mount.path());
        let held = Held::start(command, Deed::Connect, at(Family::V4, 7001));
        seawall.process_from("a program of an image", Protocol::TCP, held.from_port()).app
    });
    assert_eq!(apps[0].id, apps[1].id, "{apps:?}");
    assert_eq!(apps[0].kind, AppKind::AppImage, "{apps:?}");
    let mount = mounts[0].path().to_string_lossy().into_owned();
    let is_image = apps[0].id.ends_with("/Example-*-x86_64.AppImage");
    assert!(is_image && !apps[0].id.contains(&mount), "{apps:?}");
}
