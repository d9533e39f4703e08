//! The keeper's own socket, for `seawall upgrade`: the API's is the worker's,
//! and the worker is what an upgrade replaces. Root alone may open it; who
//! connected is asked of the kernel besides. One applicant at a time.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use seawall_messages::upgrade::{KEEPER_SOCKET, MAX_LINE_BYTES, Report, Request};

use super::events;

/// How long an applicant may be connected without an upgrade under way.
const IDLE: Duration = Duration::from_secs(120);

/// Where applicants come in.
pub(super) struct Control {
    listener: UnixListener,
}

/// Who asked for an upgrade, or may.
pub(super) struct Applicant {
    stream: UnixStream,
    heard: Vec<u8>,
    until: Instant,
}

impl Control {
    /// Opens the socket in the run folder, in place of one that was left behind.
    pub(super) fn open(run_dir: &Path) -> io::Result<Self> {
        let path = run_dir.join(KEEPER_SOCKET);
        // Bound elsewhere and moved: at its place it is never open to others.
        let beside = run_dir.join(format!("{KEEPER_SOCKET}.new"));
        remove(&beside)?;
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Whoever has connected, if it is root.
    pub(super) fn accept(&self) -> Option<Applicant> {
        let (stream, _) = self.listener.accept().ok()?;
        let user = rustix::net::sockopt::socket_peercred(&stream).map(|peer| peer.uid);
        if !user.is_ok_and(rustix::process::Uid::is_root) {
            events::applicant_refused();
            return None;
        }
        Applicant::of(stream).ok()
    }
}

impl Applicant {
    /// One that was handed on.
    pub(super) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Self::of(UnixStream::from(fd))
    }

    fn of(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, heard: Vec::new(), until: Instant::now() + IDLE })
    }

    /// When it is sent away, unless an upgrade is under way.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// What it asks next, if it has. An error: it is gone, or talks nonsense.
    pub(super) fn next(&mut self) -> io::Result<Option<Request>> {
        let mut buffer = [0; MAX_LINE_BYTES];
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.heard.len() > MAX_LINE_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.heard.extend(buffer.iter().take(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells it something. Whoever went away, or doesn't read, misses it: that
    /// an applicant is gone shows when it is heard.
    pub(super) fn tell(&mut self, report: &Report) {
        let Ok(mut line) = serde_json::to_vec(report) else { return };
        line.push(b'\n');
        let _ = self.stream.write_all(&line);
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl AsFd for Applicant {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Applicant, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (Applicant::of(ours).expect("an applicant"), theirs)
    }

    #[test]
    fn requests_are_lines_however_they_arrive() {
        let (mut applicant, mut other) = pair();
        assert_eq!(applicant.next().expect("still there"), None);
        other.write_all(b"{\"say\":\"upg").expect("room");
        assert_eq!(applicant.next().expect("still there"), None);
        other.write_all(b"rade\"}\n{\"say\":\"accept\"}\n").expect("room");
        assert_eq!(applicant.next().expect("a line"), Some(Request::Upgrade));
        assert_eq!(applicant.next().expect("a line"), Some(Request::Accept));
        drop(other);
        assert!(applicant.next().is_err(), "it is gone");
    }

    #[test]
    fn nonsense_is_an_error_and_is_not_collected_for_ever() {
        let (mut applicant, mut other) = pair();
        other.write_all(b"hello\n").expect("room");
        assert!(applicant.next().is_err());
        let (mut applicant, mut other) = pair();
        other.write_all(&vec![b'x'; 2 * MAX_LINE_BYTES]).expect("room");
        assert!(applicant.next().is_err());
    }
}
