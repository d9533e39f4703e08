//! The installed program and its predecessor beside it. Each change is a
//! rename: at any moment there is a whole program at the installed path.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::program;
use crate::installed::{beside, copy, sync_folder};

/// Where they lie.
pub(super) struct Files {
    installed: PathBuf,
    previous: PathBuf,
    staged: PathBuf,
    running: PathBuf,
}

impl Files {
    /// For this path, where a keeper of that process id runs.
    pub(super) fn new(installed: &Path, keeper_pid: i32) -> Self {
        Self {
            installed: installed.to_owned(),
            previous: beside(installed, ".previous"),
            staged: beside(installed, ".new"),
            // What it runs, also where another file lies in its place by now.
            running: PathBuf::from(format!("/proc/{keeper_pid}/exe")),
        }
    }

    /// Where the running program is kept.
    pub(super) fn previous(&self) -> &Path {
        &self.previous
    }

    /// Copies a file beside the installed one, and makes sure of the copy that
    /// it is a Seawall for this machine. Gives what it says for its version.
    pub(super) fn stage(&self, file: &Path) -> Result<String, String> {
        copy(file, &self.staged).map_err(|error| {
            format!("can't copy {} to {}: {error}", file.display(), self.staged.display())
        })?;
        program::examine(&self.staged).map_err(|problem| format!("{} {problem}", file.display()))
    }

    /// Puts what was staged in its place.
    pub(super) fn install(&self) -> Result<(), String> {
        self.rename(&self.staged)
    }

    /// Whether the keeper runs the very file that is installed.
    pub(super) fn runs_what_is_installed(&self) -> Result<bool, String> {
        let look = |path: &Path| {
            fs::metadata(path)
                .map(|file| (file.dev(), file.ino()))
                .map_err(|error| format!("can't look at {}: {error}", path.display()))
        };
        Ok(look(&self.installed)? == look(&self.running)?)
    }

    /// Keeps the running program beside the installed one.
    pub(super) fn keep_running_one(&self) -> Result<(), String> {
        let (from, to) = (self.running.display(), self.previous.display());
        copy(&self.running, &self.previous)
            .map_err(|error| format!("can't copy {from} to {to}: {error}"))
    }

    /// Puts the program that was kept back in its place.
    pub(super) fn put_back(&self) -> Result<(), String> {
        self.rename(&self.previous)
    }

    fn rename(&self, from: &Path) -> Result<(), String> {
        fs::rename(from, &self.installed).and_then(|()| sync_folder(&self.installed)).map_err(
            |error| {
                let (from, to) = (from.display(), self.installed.display());
                format!("can't put {from} in the place of {to}: {error}")
            },
        )
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Installed, it has another name; otherwise nobody wants it any more.
        let _ = fs::remove_file(&self.staged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("seawall-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            Self(folder)
        }

        fn files(&self) -> Files {
            let installed = self.0.join("seawall");
            fs::write(&installed, "old").expect("written");
            let mut files = Files::new(&installed, 1);
            files.running = installed;
            files
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_old_program_is_kept_and_put_back() {
        let folder = Folder::new("files");
        let files = folder.files();
        assert_eq!(files.runs_what_is_installed(), Ok(true));
        files.keep_running_one().expect("kept");
        fs::write(&files.staged, "new").expect("written");
        files.install().expect("installed");
        assert_eq!(fs::read_to_string(&files.installed).expect("readable"), "new");
        files.put_back().expect("back");
        assert_eq!(fs::read_to_string(&files.installed).expect("readable"), "old");
        assert_eq!(fs::read_dir(&folder.0).expect("listed").count(), 1, "nothing is left over");
    }

    #[test]
    fn what_is_no_seawall_leaves_no_trace() {
        let folder = Folder::new("stage");
        let files = folder.files();
        let file = folder.0.join("letter");
        fs::write(&file, "Dear reader").expect("written");
        let problem = files.stage(&file).expect_err("refused");
        assert!(problem.contains("letter") && problem.contains("no program"), "{problem}");
        assert!(files.stage(&folder.0).is_err(), "a folder is no file");
        assert!(files.stage(&folder.0.join("nothing")).is_err());
        drop(files);
        assert_eq!(fs::read_dir(&folder.0).expect("listed").count(), 2);
    }
}
