//! Processes that this test starts itself, as `/proc` tells of them. Needs root.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use seawall_platform::linux::processes::{
    ControlGroups, ProcessFacts, all_socket_owners, file_id, owners_of_inode, read, sha256_of,
};

/// A user that nothing else here runs as.
const SOME_UID: u32 = 47_110;

/// Ends its process when the test does.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}")))
    }

    /// Waits until it is the program that it shall become: a moment before, that has no arguments.
    fn facts(&self, is_it: impl Fn(&ProcessFacts) -> bool) -> ProcessFacts {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let facts = read(self.0.id()).expect("it can be read").expect("it runs");
            if is_it(&facts) && !facts.command_line.is_empty() {
                return facts;
            }
            assert!(Instant::now() < until, "still {facts:?}");
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

/// A copy of `sleep` with another name. Made by a program: a file that this one
/// writes can't be run while a child of another test, just forked, has it open.
fn sleeper(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let status = Command::new("cp").arg("-L").arg("/bin/sleep").arg(&path).status();
    assert!(status.expect("cp runs").success());
    path
}

fn runs(path: &Path) -> impl Fn(&ProcessFacts) -> bool {
    let path = path.to_str().expect("a plain name").to_owned();
    move |facts| facts.exe.as_deref() == Some(path.as_str())
}

#[test]
fn a_program_with_any_name_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("others may enter");
    for name in ["plain", "a b", "a) S 1 (b", ")", "x (deleted)"] {
        let path = sleeper(folder.path(), name);
        let command_line = vec![path.to_str().expect("a plain name").to_owned(), "600".to_owned()];
        let mut command = Command::new(&path);
        command.arg("600").current_dir(folder.path()).env_clear().uid(SOME_UID);
        command.env("FLATPAK_ID", "org.example.App").env("HOME", "/root");
        let running = Running::start(&mut command);
        let facts = running.facts(runs(&path));
        assert_eq!(facts.parent_pid, std::process::id());
        assert_eq!(facts.uid, SOME_UID);
        assert_eq!(facts.comm, name);
        assert!(!facts.deleted);
        assert_eq!(facts.exe_file, file_id(&path));
        assert!(facts.in_our_mount_namespace && facts.in_our_user_namespace && facts.has_our_root);
        assert!(facts.network_namespace.is_some());
        assert_eq!(facts.command_line, command_line);
        assert_eq!(facts.working_directory.as_deref(), folder.path().to_str());
        assert_eq!(facts.environment.flatpak_id.as_deref(), Some("org.example.App"));
        assert_eq!(facts.environment.snap, None);
        assert!(facts.cgroup.starts_with('/') && !facts.is_kernel_thread);
        assert!(facts.started_ticks > 0);
    }
}

#[test]
fn a_file_that_was_deleted_or_replaced_keeps_its_name_and_contents() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = sleeper(folder.path(), "victim");
    let running = Running::start(Command::new(&path).arg("600"));
    let before = running.facts(runs(&path));
    let digest = sha256_of(&path).expect("it can be hashed");

    fs::remove_file(&path).expect("it can be removed");
    let deleted = running.facts(|facts| facts.deleted);
    assert_eq!(deleted, ProcessFacts { deleted: true, ..before.clone() });

    let other = folder.path().join("other");
    fs::write(&other, "#!/bin/sh\n").expect("a file");
    fs::rename(&other, &path).expect("a new file in its place");
    let replaced = running.facts(|facts| facts.deleted);
    assert_eq!(replaced.exe, before.exe);
    assert_ne!(replaced.exe_file, file_id(&path));
    let own = format!("/proc/{}/exe", replaced.pid);
    assert_eq!(sha256_of(own).expect("its own file can be hashed"), digest);
}

#[test]
fn who_is_gone_is_nobody() {
    let mut child = Command::new("true").spawn().expect("true starts");
    let pid = child.id();
    child.wait().expect("it ends");
    assert_eq!(read(pid).expect("no failure"), None);
    assert_eq!(read(0).expect("no failure"), None);
    assert_eq!(read(u32::MAX).expect("no failure"), None);
}

#[test]
fn long_command_lines_are_cut() {
    let running = Running::start(Command::new("sleep").args(vec!["1"; 3000]));
    let facts = running.facts(|facts| facts.command_line.len() > 1);
    assert!(facts.command_line_cut && facts.command_line.len() < 2100, "{facts:?}");
}

#[test]
fn other_mount_namespaces_are_noticed() {
    let running = Running::start(Command::new("unshare").args(["-m", "sleep", "600"]));
    let facts = running.facts(|facts| facts.comm == "sleep");
    assert!(!facts.in_our_mount_namespace && facts.in_our_user_namespace && facts.has_our_root);
    let path = facts.exe.expect("it has a file");
    assert_eq!(facts.exe_file, file_id(path), "it is the host's own");
}

#[test]
fn other_user_and_network_namespaces_are_noticed() {
    let running = Running::start(Command::new("unshare").args(["-Un", "sleep", "600"]));
    let facts = running.facts(|facts| facts.comm == "sleep");
    let ours = read(std::process::id()).expect("it can be read").expect("we run");
    assert!(facts.in_our_mount_namespace && !facts.in_our_user_namespace);
    assert_ne!(facts.network_namespace, ours.network_namespace);
}

#[test]
fn another_root_is_noticed_and_the_path_is_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    // A file of its own needs its libraries; those of the host are mounted for it alone.
    fs::create_dir_all(root.join("jail/usr")).expect("a folder");
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join("jail").join(name))
            .expect("a link");
    }
    let script = format!(
        "mount --bind /usr {0}/jail/usr && exec chroot {0}/jail /bin/sleep 600",
        root.to_str().expect("a plain name")
    );
    let running = Running::start(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    let facts = running.facts(|facts| facts.comm == "sleep");
    assert!(!facts.has_our_root && !facts.in_our_mount_namespace, "{facts:?}");
}

#[test]
fn owners_of_a_socket_are_found() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let me = std::process::id();
    let all = all_socket_owners().expect("the tables can be read");
    for raw in [listener.as_raw_fd(), datagrams.as_raw_fd()] {
        let link = fs::read_link(format!("/proc/self/fd/{raw}")).expect("a link");
        let text = link.to_str().expect("plain text").to_owned();
        let inode: u32 = text
            .trim_start_matches("socket:[")
            .trim_end_matches(']')
            .parse()
            .expect("a socket's number");
        assert!(all.contains_key(&inode));
        // Another user's: root's are looked at, too.
        for uid in [0, SOME_UID] {
            assert!(owners_of_inode(inode, uid).expect("no failure").contains(&me));
        }
    }
    assert_eq!(owners_of_inode(u32::MAX, 0).expect("no failure"), Vec::<u32>::new());
}

#[test]
fn a_control_group_is_found_by_its_number() {
    let groups = ControlGroups::open().expect("it can be opened").expect("cgroup2 is mounted");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there are mounts");
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("one of them");
    let point = Path::new(line.split(' ').nth(4).expect("a mount point"));
    let name = format!("seawall-test-{}", std::process::id());
    let folder = point.join(&name);
    fs::create_dir(&folder).expect("a group");
    let number = file_id(&folder).expect("it is there").inode;
    let found = groups.path(number);
    fs::remove_dir(&folder).expect("it can be removed");
    assert_eq!(found, Some(format!("/{name}")));
    assert_eq!(groups.path(number), None, "it is gone");
    assert_eq!(groups.path(file_id(point).expect("the root").inode).as_deref(), Some("/"));
    assert_eq!(groups.path(u64::MAX), None);
}
