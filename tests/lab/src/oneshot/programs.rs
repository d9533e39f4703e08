//! The files of short-lived programs: copies of one, each a file of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::load::program;
use crate::process::run_ok;
use crate::world::needs;

/// Asks an interpreter where its file is, and where its library.
const ASK: &str =
    "import os, sys; print(os.path.realpath('/proc/self/exe')); print(sys.base_prefix)";

/// The Python that forks without an exec: in Rust that can't be had without unsafe code.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its file.
    pub path: PathBuf,
    /// Where its library is: what a copy is told as `PYTHONHOME`.
    pub home: PathBuf,
}

impl Interpreter {
    /// The one in the search path.
    ///
    /// # Panics
    /// When there is none.
    pub fn find() -> Self {
        needs("python3");
        let answer = run_ok(Command::new("python3").args(["-c", ASK]));
        let mut lines = answer.lines().map(PathBuf::from);
        match (lines.next(), lines.next()) {
            (Some(path), Some(home)) => Self { path, home },
            _ => panic!("python3 does not say where it is: {answer}"),
        }
    }
}

/// A folder of copies. Removed when dropped.
#[derive(Debug)]
pub struct Programs {
    folder: TempDir,
    interpreter: Interpreter,
}

impl Programs {
    /// What names of the copies begin with.
    pub const APP: &'static str = "app-";
    /// What names of the programs that fork begin with.
    pub const FORKER: &'static str = "forker-";
    /// Programs alive at once, unless told otherwise.
    pub const PARALLEL: usize = 8;
    /// How many copies. Shares no factor with the sizes of the matrix, so that each meets every case.
    const COPIES: usize = 13;

    /// Makes the copies.
    ///
    /// # Panics
    /// When they can't be made, or python3 is missing.
    pub fn new() -> Self {
        // The path as the kernel tells it, without links.
        let folder = std::env::temp_dir()
            .canonicalize()
            .and_then(|parent| TempDir::with_prefix_in("lab-oneshot-", parent))
            .unwrap_or_else(|error| panic!("can't make a temporary folder: {error}"));
        // Also for programs that are not root's.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .unwrap_or_else(|error| panic!("can't open the folder to others: {error}"));
        let programs = Self { folder, interpreter: Interpreter::find() };
        for number in 0..Self::COPIES {
            programs.copy(&format!("{}{number:02}", Self::APP));
        }
        for number in 0..Self::PARALLEL {
            programs.copy_interpreter(&format!("{}{number:02}", Self::FORKER));
        }
        programs
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The interpreter that some are copies of.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// One of the copies.
    pub fn app(&self, number: usize) -> PathBuf {
        self.folder().join(format!("{}{:02}", Self::APP, number % Self::COPIES))
    }

    /// One of the copies of the interpreter.
    pub fn forker(&self, number: usize) -> PathBuf {
        self.folder().join(format!("{}{:02}", Self::FORKER, number % Self::PARALLEL))
    }

    /// One copy more, by its name or by its path below the folder. One that is there is
    /// replaced, as a package manager does: programs that run it go on with the old file.
    pub fn copy(&self, name: &str) -> PathBuf {
        self.copy_of(&program("lab-oneshot", "LAB_ONESHOT_BIN"), name)
    }

    /// A copy of the interpreter.
    pub fn copy_interpreter(&self, name: &str) -> PathBuf {
        self.copy_of(&self.interpreter.path, name)
    }

    fn copy_of(&self, file: &Path, name: &str) -> PathBuf {
        let path = self.folder().join(name);
        copy_to(file, &path);
        path
    }
}

impl Default for Programs {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies beside the path and renames, so that a file in use can be replaced.
fn copy_to(file: &Path, path: &Path) {
    let beside = path.with_extension("new");
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::copy(file, &beside))
        .and_then(|_| std::fs::rename(&beside, path))
        .unwrap_or_else(|error| {
            panic!("can't copy {} to {}: {error}", file.display(), path.display())
        });
}
