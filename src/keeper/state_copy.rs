//! A copy of what is durable, made before a new program may write to it: an
//! old program gets back what it can read, whatever the new one made of it.
//!
//! The copy is there from the start of a trial to its end. One that is found
//! at a start was left by a trial that nobody ended: the version that made it
//! takes it back, any other goes on with what is there.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::VERSION;

/// The folder of the copy, below the state folder.
const COPY_NAME: &str = "before-upgrade";

/// The file in it that says who made it; written last, so that half a copy is none.
const MADE_BY: &str = "made-by";

/// The durable state: each store has a folder.
const STORE_NAMES: [&str; 2] =
    [seawall_policy::store::FOLDER_NAME, seawall_prompt::store::FOLDER_NAME];

/// More than the stores ever hold.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The copy of one state folder, there or not.
pub(super) struct StateCopy {
    state: PathBuf,
    copy: PathBuf,
}

impl StateCopy {
    /// Of that state folder.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self { state: state_dir.to_owned(), copy: state_dir.join(COPY_NAME) }
    }

    /// Makes it. Nobody may have a store open.
    pub(super) fn make(&self) -> io::Result<()> {
        self.forget()?;
        make_folder(&self.copy)?;
        let mut left = Bounds { files: MAX_FILES, bytes: MAX_BYTES };
        for name in STORE_NAMES {
            let store = self.state.join(name);
            if store.exists() {
                copy_folder(&store, &self.copy.join(name), &mut left)?;
            }
        }
        fs::write(self.copy.join(MADE_BY), VERSION)
    }

    /// Takes it back, and is done with it. Nobody may have a store open. Where it is
    /// interrupted, all of it is still there to be taken back.
    pub(super) fn restore(&self) -> io::Result<()> {
        let mut left = Bounds { files: MAX_FILES, bytes: MAX_BYTES };
        for name in STORE_NAMES {
            let kept = self.copy.join(name);
            remove_folder(&self.state.join(name))?;
            // Otherwise there was no such store then.
            if kept.exists() {
                copy_folder(&kept, &self.state.join(name), &mut left)?;
            }
        }
        self.forget()
    }

    /// Removes it. Half a copy is none.
    pub(super) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.copy.join(MADE_BY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        remove_folder(&self.copy)
    }

    /// Ends what a trial left, at a start. Whether the copy was taken back.
    pub(super) fn settle(&self) -> io::Result<bool> {
        match fs::read_to_string(self.copy.join(MADE_BY)) {
            Ok(made_by) if made_by == VERSION => self.restore().map(|()| true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.forget().map(|()| false),
        }
    }
}

/// What may still be copied.
struct Bounds {
    files: usize,
    bytes: u64,
}

fn copy_folder(from: &Path, to: &Path, left: &mut Bounds) -> io::Result<()> {
    make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target, left)?;
            continue;
        }
        let size_bytes = entry.metadata()?.len();
        let (Some(files), Some(bytes)) =
            (left.files.checked_sub(1), left.bytes.checked_sub(size_bytes))
        else {
            return Err(io::Error::other(format!(
                "there is more than {MAX_FILES} files or {MAX_BYTES} bytes in it"
            )));
        };
        *left = Bounds { files, bytes };
        fs::copy(entry.path(), target)?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state folder whose stores hold `text`.
    struct State(PathBuf);

    impl State {
        fn new(name: &str) -> Self {
            let folder = format!("seawall-state-{name}-{}", std::process::id());
            let state = Self(std::env::temp_dir().join(folder));
            for name in STORE_NAMES {
                fs::create_dir_all(state.0.join(name).join("tables")).expect("a folder");
            }
            state.write("old");
            state
        }

        fn files(&self) -> [PathBuf; 2] {
            STORE_NAMES.map(|name| self.0.join(name).join("tables").join("0"))
        }

        fn write(&self, text: &str) {
            for file in self.files() {
                fs::write(file, text).expect("written");
            }
        }

        fn text(&self) -> String {
            let [first, second] =
                self.files().map(|file| fs::read_to_string(file).expect("readable"));
            assert_eq!(first, second, "all stores are treated alike");
            first
        }
    }

    impl Drop for State {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_copied_comes_back_and_the_copy_goes() {
        let state = State::new("back");
        let copy = StateCopy::of(&state.0);
        copy.make().expect("made");
        state.write("new");
        copy.restore().expect("restored");
        assert_eq!(state.text(), "old");
        assert!(!state.0.join(COPY_NAME).exists());
    }

    #[test]
    fn what_a_trial_left_is_taken_back_by_the_version_that_made_it_alone() {
        let state = State::new("left");
        let copy = StateCopy::of(&state.0);
        assert!(!copy.settle().expect("nothing to do"));
        copy.make().expect("made");
        state.write("new");
        assert!(copy.settle().expect("settled"));
        assert_eq!(state.text(), "old");

        copy.make().expect("made");
        fs::write(state.0.join(COPY_NAME).join(MADE_BY), "another").expect("written");
        state.write("new");
        assert!(!copy.settle().expect("settled"));
        assert_eq!(state.text(), "new");
        assert!(!state.0.join(COPY_NAME).exists());

        // A copy that was interrupted.
        copy.make().expect("made");
        fs::remove_file(state.0.join(COPY_NAME).join(MADE_BY)).expect("removed");
        assert!(!copy.settle().expect("settled"));
        assert_eq!(state.text(), "new");
    }
}
