//! A stand-in for systemd, of which there is none in the lab: it takes
//! notifications (`sd_notify(3)`), keeps descriptors, and passes them to the
//! next start (`sd_listen_fds(3)`).

use std::fmt::Write as _;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lab::SeawallBuilder;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use tempfile::TempDir;

/// Passed descriptors are gathered from here on, out of the way of the first.
const GATHERED_FROM: i32 = 200;

/// What it knows of its service.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Descriptors by name, in the order in which they came.
    pub(crate) store: Vec<(String, OwnedFd)>,
    /// Every assignment but those about the store.
    pub(crate) said: Vec<String>,
}

/// The manager of one service.
pub(crate) struct Manager {
    folder: TempDir,
    known: Arc<Mutex<Known>>,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("seawall-manager-").expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        let known = Arc::new(Mutex::new(Known::default()));
        let filled = Arc::clone(&known);
        // Ends with the test: nobody else holds the socket open.
        std::thread::spawn(move || while hear(&socket, &filled).is_some() {});
        Self { folder, known }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names in the store.
    pub(crate) fn stored(&self) -> Vec<String> {
        self.known().store.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How often it was told so.
    pub(crate) fn told(&self, assignment: &str) -> usize {
        self.known().said.iter().filter(|said| *said == assignment).count()
    }

    /// Will start the service under this manager, with what is in the store.
    pub(crate) fn start<'a>(
        &self,
        seawall: SeawallBuilder<'a>,
        program: &Path,
    ) -> SeawallBuilder<'a> {
        let script = self.script(program);
        seawall
            .program(script)
            .environment("NOTIFY_SOCKET", &self.folder.path().join("notify").to_string_lossy())
            .environment("WATCHDOG_USEC", "1000000")
    }

    /// A program that puts the descriptors in their places, as systemd does between fork and exec.
    fn script(&self, program: &Path) -> PathBuf {
        let mut known = self.known();
        let mut text = "#!/bin/bash\n".to_owned();
        let names: Vec<_> = known.store.iter().map(|(name, _)| name.clone()).collect();
        for (index, (_, descriptor)) in known.store.iter_mut().enumerate() {
            if descriptor.as_raw_fd() < GATHERED_FROM {
                *descriptor = rustix::io::fcntl_dupfd_cloexec(&*descriptor, GATHERED_FROM)
                    .expect("there is room for descriptors");
            }
            rustix::io::fcntl_setfd(descriptor.as_fd(), rustix::io::FdFlags::empty())
                .expect("flags can be set");
            let (to, from) = (index + 3, descriptor.as_raw_fd());
            writeln!(text, "exec {to}<&{from} {from}<&-").expect("text grows");
        }
        writeln!(
            text,
            "export LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={} WATCHDOG_PID=$$\nexec {} \"$@\"",
            names.len(),
            names.join(":"),
            program.display()
        )
        .expect("text grows");
        let path = self.folder.path().join("start");
        std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
            .expect("the script can be written");
        path
    }

    /// As after the start: the copies are the manager's own again.
    pub(crate) fn started(&self) {
        for (_, descriptor) in &self.known().store {
            rustix::io::fcntl_setfd(descriptor.as_fd(), rustix::io::FdFlags::CLOEXEC)
                .expect("flags can be set");
        }
    }
}

/// Takes one notification.
fn hear(socket: &UnixDatagram, known: &Mutex<Known>) -> Option<()> {
    let mut buffer = [0_u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(socket, &mut parts, &mut control, flags).ok()?.bytes;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let text = String::from_utf8_lossy(buffer.get(..length)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let name = lines.iter().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored");
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    for line in &lines {
        match *line {
            "FDSTORE=1" => {
                assert!(lines.contains(&"FDPOLL=0"), "a queue is always readable: {lines:?}");
                known.store.extend(descriptors.drain(..).map(|fd| (name.to_owned(), fd)));
            }
            "FDSTOREREMOVE=1" => known.store.retain(|(stored, _)| stored != name),
            other => known.said.push(other.to_owned()),
        }
    }
    Some(())
}

/// How long anything may take to be told.
pub(crate) const TOLD: Duration = Duration::from_secs(20);
