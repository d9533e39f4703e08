//! Which file a path means, and what is in it.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
use rustix::path::Arg;

use super::{ProcessesError, failed};

/// Largest file that is hashed: larger than any program, and read in seconds.
pub const MAX_HASHED_BYTES: u64 = 512 * 1024 * 1024;

const BUFFER_BYTES: usize = 64 * 1024;

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The file system it is on, as in `st_dev` (stat(3type)).
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl FileId {
    /// Of a device as the kernel keeps it: 12 bits major, 20 bits minor (linux/kdev_t.h).
    pub fn of_kernel(device: u32, inode: u64) -> Self {
        Self { device: rustix::fs::makedev(device >> 20, device & 0xf_ffff), inode }
    }

    /// Which file a path leads to, links followed. What the kernel knows
    /// already has to do: a server that hangs must not hang us.
    pub(super) fn at(folder: impl AsFd, path: impl Arg) -> rustix::io::Result<Self> {
        let found = statx(folder, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
        let device = makedev(found.stx_dev_major, found.stx_dev_minor);
        Ok(Self { device, inode: found.stx_ino })
    }
}

/// Which file a path leads to, links followed; `None` where there is none.
pub fn file_id(path: impl AsRef<Path>) -> Option<FileId> {
    FileId::at(CWD, path.as_ref()).ok()
}

/// SHA-256 of a regular file in lower-case hexadecimal. A running program's own
/// file is `/proc/PID/exe`, even where it is deleted.
///
/// An error for anything that is no regular file, or larger than [`MAX_HASHED_BYTES`].
pub fn sha256_of(path: impl AsRef<Path>) -> Result<String, ProcessesError> {
    hash(path.as_ref(), MAX_HASHED_BYTES).map_err(failed("hash a program's file"))
}

/// The first bytes of a regular file, at most so many. Never waits for a pipe's writer.
pub fn first_bytes(path: impl AsRef<Path>, most_bytes: u64) -> Result<Vec<u8>, ProcessesError> {
    let read = || {
        let mut bytes = Vec::new();
        regular(path.as_ref())?.take(most_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(failed("read the beginning of a file"))
}

pub(super) fn hash(path: &Path, most_bytes: u64) -> Result<String, Error> {
    let mut file = regular(path)?;
    let mut context = Context::new(&SHA256);
    feed(&mut file, most_bytes, &mut context)?;
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn regular(path: &Path) -> Result<File, Error> {
    // A pipe would wait for its writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::new(ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Counts for itself: a file can grow while it is read.
fn feed(file: &mut File, most_bytes: u64, context: &mut Context) -> Result<(), Error> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut total: u64 = 0;
    loop {
        let length = match file.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if length == 0 {
            return Ok(());
        }
        total = total.saturating_add(length as u64);
        if total > most_bytes {
            return Err(Error::new(ErrorKind::FileTooLarge, "too large to be hashed"));
        }
        context.update(buffer.get(..length).unwrap_or_default());
    }
}
