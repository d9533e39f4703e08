//! Linux: changes in the folders of the policy file (inotify(7)).

use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for a few events with the longest names.
const BUFFER_BYTES: usize = 4096;

/// Most buffers read in a row: a folder may be busier than we care for.
const MAX_READS: usize = 64;

/// Watches the folder of a file, and that of the file it links to.
pub(super) struct Notifier {
    path: PathBuf,
    armed: Option<Armed>,
}

struct Armed {
    inotify: AsyncFd<OwnedFd>,
    /// What is watched, and the names in there that matter.
    places: Places,
}

#[derive(PartialEq, Eq)]
struct Places {
    folders: Vec<PathBuf>,
    names: Vec<std::ffi::OsString>,
}

impl Notifier {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), armed: None }
    }

    /// Watches what has to be watched now. To be called again after every change.
    pub(super) fn arm(&mut self) -> io::Result<()> {
        let places = Places::of(&self.path);
        if self.armed.as_ref().is_some_and(|armed| armed.places == places) {
            return Ok(());
        }
        self.armed = None;
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for folder in &places.folders {
            inotify::add_watch(&inotify, folder, flags)?;
        }
        self.armed = Some(Armed { inotify: readable(inotify)?, places });
        Ok(())
    }

    /// Waits until something happened. `true`: to the file itself, by name.
    pub(super) async fn changed(&mut self) -> bool {
        let Some(armed) = &self.armed else { return pending().await };
        let Ok(mut ready) = armed.inotify.readable().await else {
            self.armed = None;
            return false;
        };
        let drained = armed.drain();
        ready.clear_ready();
        match drained {
            Ok(Happened { named, watch_lost }) => {
                if watch_lost {
                    self.armed = None;
                }
                named
            }
            Err(_) => {
                self.armed = None;
                false
            }
        }
    }
}

struct Happened {
    /// Something of the name of the file was written, came or went.
    named: bool,
    /// A watched folder went, or events were lost: begin again.
    watch_lost: bool,
}

impl Armed {
    fn drain(&self) -> io::Result<Happened> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut happened = Happened { named: false, watch_lost: false };
        let mut reads = 0;
        loop {
            if reader.is_buffer_empty() {
                reads += 1;
                if reads > MAX_READS {
                    // The rest is still there: as good as lost, for what we ask.
                    happened.watch_lost = true;
                    return Ok(happened);
                }
            }
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(happened),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let lost = ReadFlags::IGNORED
                | ReadFlags::QUEUE_OVERFLOW
                | ReadFlags::UNMOUNT
                | ReadFlags::DELETE_SELF
                | ReadFlags::MOVE_SELF;
            happened.watch_lost |= event.events().intersects(lost);
            happened.named |= event.file_name().is_some_and(|name| {
                let name = OsStr::from_bytes(name.to_bytes());
                self.places.names.iter().any(|own| own == name)
            });
        }
    }
}

/// Registers a descriptor with the reactor of this incarnation.
#[expect(
    deprecated,
    reason = "its successor is unsafe, because some types may change their descriptor behind tokio's back; an OwnedFd can't"
)]
fn readable(inotify: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(inotify, Interest::READABLE)
}

impl Places {
    fn of(path: &Path) -> Self {
        let linked = std::fs::canonicalize(path).ok();
        let (mut folders, mut names) = (Vec::new(), Vec::new());
        for path in [Some(path), linked.as_deref()].into_iter().flatten() {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_owned());
            }
            names.extend(path.file_name().map(OsStr::to_owned));
        }
        Self { folders, names }
    }
}
