//! The installed program: what an upgrade starts with the keeper's rights.
//! Nobody but root may be able to change it, or any folder on the way to it.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bits of a file's mode.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
const EXECUTABLE: u32 = 0o111;

/// What a name in /proc ends with when its file was replaced.
const REPLACED: &str = " (deleted)";

/// What counts of a file or folder on the way to the program.
#[derive(Clone, Copy, Debug)]
struct Part {
    is_folder: bool,
    owner: u32,
    mode: u32,
}

/// The path of this process's program, where another one may lie by now.
pub(crate) fn own_path() -> std::io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let name = path.to_string_lossy();
    Ok(match name.strip_suffix(REPLACED) {
        Some(name) => PathBuf::from(name),
        None => path,
    })
}

/// Opens the program for its execution. The error says who could change it.
pub(crate) fn open(path: &Path) -> Result<File, String> {
    let cant = |error: std::io::Error| format!("can't open {}: {error}", path.display());
    // A link could lead elsewhere the next moment.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cant)?;
    let part = part(&file.metadata().map_err(cant)?);
    if part.is_folder || part.mode & EXECUTABLE == 0 {
        return Err(format!("{} is no program", path.display()));
    }
    check(path, part)?;
    for folder in path.ancestors().skip(1) {
        let found = std::fs::metadata(folder);
        let found =
            found.map_err(|error| format!("can't look at {}: {error}", folder.display()))?;
        check(folder, self::part(&found))?;
    }
    Ok(file)
}

fn part(found: &Metadata) -> Part {
    Part { is_folder: found.is_dir(), owner: found.uid(), mode: found.mode() }
}

/// Whether only root may change it. In a folder with the sticky bit nobody
/// replaces what is root's.
fn check(path: &Path, part: Part) -> Result<(), String> {
    let path = path.display();
    if part.owner != 0 {
        return Err(format!("{path} belongs to user {}, and must be root's", part.owner));
    }
    let kept_apart = part.is_folder && part.mode & STICKY != 0;
    if part.mode & WRITABLE_BY_OTHERS != 0 && !kept_apart {
        return Err(format!("others than root may write to {path} (chmod go-w {path})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_root_alone_may_change_is_trusted() {
        let cases = [
            (false, 0, 0o100_755, true),
            (false, 0, 0o100_775, false),
            (false, 0, 0o100_757, false),
            (false, 1000, 0o100_755, false),
            (true, 0, 0o040_755, true),
            (true, 0, 0o040_775, false),
            (true, 0, 0o041_777, true),
            (true, 7, 0o041_777, false),
            // The sticky bit means nothing on a file.
            (false, 0, 0o101_777, false),
        ];
        for (is_folder, owner, mode, trusted) in cases {
            let part = Part { is_folder, owner, mode };
            assert_eq!(check(Path::new("x"), part).is_ok(), trusted, "{part:?}");
        }
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let nothing = open(Path::new("/etc/seawall-does-not-exist")).expect_err("not there");
        assert!(nothing.contains("/etc/seawall-does-not-exist"), "{nothing}");
        assert!(open(Path::new("/etc/passwd")).is_err_and(|error| error.contains("no program")));
        assert!(open(Path::new("/etc")).is_err());
    }
}
