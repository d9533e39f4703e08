//! The installed program: what an upgrade starts with the keeper's rights.
//! Nobody but root may be able to change it, or any folder on the way to it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The largest program that is installed.
const MAX_PROGRAM_BYTES: u64 = 1024 * 1024 * 1024;

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
pub(crate) fn own_path() -> io::Result<PathBuf> {
    let path = fs::read_link("/proc/self/exe")?;
    let name = path.to_string_lossy();
    Ok(match name.strip_suffix(REPLACED) {
        Some(name) => PathBuf::from(name),
        None => path,
    })
}

/// Opens the program for its execution. The error says who could change it.
pub(crate) fn open(path: &Path) -> Result<File, String> {
    let cant = |error: io::Error| format!("can't open {}: {error}", path.display());
    // A link could lead elsewhere the next moment.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cant)?;
    let part = part(&file.metadata().map_err(cant)?);
    if part.is_folder || part.mode & EXECUTABLE == 0 {
        return Err(format!("{} is no program", path.display()));
    }
    check(path, part)?;
    for folder in path.ancestors().skip(1) {
        let found = fs::metadata(folder);
        let found =
            found.map_err(|error| format!("can't look at {}: {error}", folder.display()))?;
        check(folder, self::part(&found))?;
    }
    Ok(file)
}

/// A path whose name ends with something more.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().map(std::ffi::OsStr::to_owned).unwrap_or_default();
    name.push(ending);
    path.with_file_name(name)
}

/// A copy that is root's, whole and on disk once this returns; beside it there
/// is never half of one.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let part = beside(to, ".part");
    let copied = copy_whole(from, &part).and_then(|()| fs::rename(&part, to));
    if copied.is_err() {
        let _ = fs::remove_file(&part);
    }
    copied
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let found = from.metadata()?;
    if !found.is_file() || found.len() > MAX_PROGRAM_BYTES {
        return Err(io::Error::other("it is no file, or far too large"));
    }
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o755).open(to)?;
    // Whatever the caller's mask is.
    rustix::fs::fchmod(&to, rustix::fs::Mode::from_raw_mode(0o755))?;
    io::copy(&mut from, &mut to)?;
    to.flush()?;
    to.sync_all()
}

/// Has a change of names in the folder of a path on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().as_bytes().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
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
