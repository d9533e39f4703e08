//! Puts a new text in the place of the policy file, whole or not at all.
//!
//! Written beside it, to disk, then renamed: no reader and no power cut sees half
//! a file. Mode and owner stay. A link stays a link: what it leads to is replaced.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use crate::file::{self, ReadError};

/// Mode of a file, and of a folder, that was not there before.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Why the file is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    /// Somebody else writes it, too.
    #[error("{}: it was changed a moment ago; try again", .0.display())]
    Changed(PathBuf),
    /// It can't be compared with what was read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The system refused.
    #[error("can't {doing} {}: {source}", path.display())]
    Failed {
        /// Which file or folder.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Replaces the file. `old` is what it said when it was read; `None` where there was none.
pub(crate) fn replace(file: &Path, old: Option<&str>, text: &str) -> Result<(), ReplaceError> {
    let target = match std::fs::canonicalize(file) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => file.to_owned(),
        Err(error) => return Err(failed("find", file)(error)),
    };
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if old.is_none() {
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(FOLDER_MODE).create(folder);
        made.map_err(failed("make the folder", folder))?;
    }
    let beside = beside(&target);
    let written = write_beside(&beside, &target, old.is_some(), text).and_then(|()| {
        is_unchanged(file, old)?;
        std::fs::rename(&beside, &target).map_err(failed("replace", &target))
    });
    if written.is_err() {
        // It may not be there at all.
        let _ = std::fs::remove_file(&beside);
        return written;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("store", folder))
}

fn is_unchanged(file: &Path, old: Option<&str>) -> Result<(), ReplaceError> {
    let now = match file::read(file) {
        Ok(text) => Some(text),
        Err(ReadError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if now.as_deref() == old { Ok(()) } else { Err(ReplaceError::Changed(file.to_owned())) }
}

/// A name of our own in the same folder: what a crash leaves there is overwritten.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.seawall"))
}

fn write_beside(
    beside: &Path,
    target: &Path,
    exists: bool,
    text: &str,
) -> Result<(), ReplaceError> {
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed("remove", beside)(error));
        }
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let mut made = made.map_err(failed("write", beside))?;
    let mode = if exists {
        let old = std::fs::metadata(target).map_err(failed("look at", target))?;
        let own = made.metadata().map_err(failed("look at", beside))?;
        if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
            std::os::unix::fs::fchown(&made, Some(old.uid()), Some(old.gid()))
                .map_err(failed("keep the owner of", target))?;
        }
        old.mode() & 0o7777
    } else {
        FILE_MODE
    };
    made.set_permissions(Permissions::from_mode(mode))
        .map_err(failed("set the mode of", beside))?;
    made.write_all(text.as_bytes()).map_err(failed("write", beside))?;
    made.sync_all().map_err(failed("store", beside))
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ReplaceError {
    let path = path.to_owned();
    move |source| ReplaceError::Failed { path: path.clone(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("seawall.toml");
        (folder, file)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }

    #[test]
    fn mode_stays_and_nothing_is_left_beside() {
        let (folder, file) = folder();
        std::fs::write(&file, "old").expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("a mode");
        std::fs::write(beside(&file), "left by a crash").expect("written");
        replace(&file, Some("old"), "new").expect("replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("a text"), "new");
        assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["seawall.toml"]);
    }

    #[test]
    fn what_is_not_there_is_made_with_its_folder() {
        let (folder, _) = folder();
        let file = folder.path().join("etc/seawall/seawall.toml");
        replace(&file, None, "new").expect("made");
        assert_eq!(std::fs::read_to_string(&file).expect("a text"), "new");
        assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o7777, FILE_MODE);
    }

    #[test]
    fn a_link_stays_one() {
        let (folder, file) = folder();
        let target = folder.path().join("managed.toml");
        std::fs::write(&target, "old").expect("written");
        std::os::unix::fs::symlink(&target, &file).expect("a link");
        replace(&file, Some("old"), "new").expect("replaced");
        assert!(std::fs::symlink_metadata(&file).expect("there").is_symlink());
        assert_eq!(std::fs::read_to_string(&target).expect("a text"), "new");
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_not_lost() {
        for (now, old) in [("theirs", Some("old")), ("theirs", None)] {
            let (folder, file) = folder();
            std::fs::write(&file, now).expect("written");
            let refused = replace(&file, old, "new").expect_err("changed");
            assert!(matches!(refused, ReplaceError::Changed(_)), "{refused}");
            assert_eq!(std::fs::read_to_string(&file).expect("a text"), now);
            assert_eq!(names(folder.path()), ["seawall.toml"]);
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_says_which() {
        let (folder, file) = folder();
        std::fs::write(&file, "old").expect("written");
        std::fs::create_dir(beside(&file)).expect("something in the way");
        let refused = replace(&file, Some("old"), "new").expect_err("in the way");
        assert!(refused.to_string().contains(".seawall.toml.seawall"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).expect("a text"), "old");
        drop(folder);
    }
}
