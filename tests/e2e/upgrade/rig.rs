//! A Seawall that runs from a file of its own, so that another can be put there.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use lab::{Answer, Findings, Seawall, Serve, World};
use tempfile::TempDir;

use crate::load::{self, Load};

/// One test's folder of programs, with the Seawall that is installed in it.
pub(crate) struct Rig {
    folder: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("seawall-upgrade-").expect("a temporary folder");
        let rig = Self { folder };
        copy(&lab::seawall::binary(), &rig.installed());
        rig
    }

    /// The file that runs.
    pub(crate) fn installed(&self) -> PathBuf {
        self.folder.path().join("seawall")
    }

    /// The old one beside it.
    pub(crate) fn previous(&self) -> PathBuf {
        self.folder.path().join("seawall.previous")
    }

    /// A further copy of the program under test.
    pub(crate) fn good(&self) -> PathBuf {
        let path = self.folder.path().join("good");
        copy(&lab::seawall::binary(), &path);
        path
    }

    /// A program that fails like that; see `lab-impostor`.
    pub(crate) fn impostor(&self, how: &str) -> PathBuf {
        let path = self.folder.path().join("impostor");
        copy(Path::new(env!("CARGO_BIN_EXE_lab-impostor")), &path);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("it is there");
        write!(file, "\n{how}").expect("there is room");
        path
    }

    /// Puts a file in the place of the installed one, as a package manager does.
    pub(crate) fn put_in_place(&self, file: &Path) {
        std::fs::rename(file, self.installed()).expect("within one folder");
    }

    pub(crate) fn start<'a>(&self, world: &'a World) -> Seawall<'a> {
        Seawall::on(&world.desk).policy(load::POLICY).program(self.installed()).start()
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to)
        .and_then(|_| std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)))
        .unwrap_or_else(|error| panic!("can't copy {}: {error}", from.display()));
}

/// Which file a process runs.
pub(crate) fn inode_of(path: impl AsRef<Path>) -> u64 {
    let path = path.as_ref();
    let found = std::fs::metadata(path);
    found.unwrap_or_else(|error| panic!("can't look at {}: {error}", path.display())).ino()
}

pub(crate) fn runs(pid: u32) -> u64 {
    inode_of(format!("/proc/{pid}/exe"))
}

/// Runs `seawall upgrade` under load; gives what it said. Afterwards nothing has failed.
pub(crate) fn under_load(
    name: &str,
    world: &World,
    seawall: &Seawall<'_>,
    serve: &mut Serve,
    arguments: &[&str],
) -> Answer {
    let mut findings = Findings::new();
    let load = Load::start(world);
    load.go_on(serve);
    let answer = seawall.verb(&[&["upgrade"], arguments].concat());
    load.go_on(serve);
    let row = load.stop(name);
    row.judge(&mut findings);
    load::record(&format!("upgrade-{name}"), &[row]);
    load::nothing_crossed(&serve.report(), &mut findings);
    let status = seawall.verb(&["status"]);
    findings.check(status.code == Some(0), format!("{name}: afterwards: {status:?}"));
    findings.check(
        !seawall.path().join("state").join("before-upgrade").exists(),
        format!("{name}: the copy of the state is still there"),
    );
    if std::env::var_os("LAB_VERBOSE").is_some() {
        lab::process::print_for_failure(&format!("{answer:?}\n{}", seawall.log()));
    }
    findings.settle();
    answer
}
