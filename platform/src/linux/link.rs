//! The link between keeper and worker: frames and descriptors over a socket pair.
//!
//! One frame is one sequenced packet: a postcard value of at most
//! [`MAX_FRAME_BYTES`], with at most one descriptor beside it. Neither end
//! trusts the other: descriptors that nobody asked for are closed, what can't
//! be read is an error, and nothing blocks for longer than said.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use seawall_messages::keeper::{MAX_FRAME_BYTES, ToKeeper, ToWorker};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a sender waits for room before it gives up with [`LinkError::TimedOut`].
pub const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits are cut to this, so that a deadline never overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Room for descriptors of one message; the kernel itself closes those beyond.
const DESCRIPTORS_TAKEN: usize = 4;

/// The name of the namespace's lock. Abstract names are per network namespace.
const LOCK_NAME: &[u8] = b"seawall";

/// One end of the link.
pub struct Link {
    fd: OwnedFd,
}

/// What can go wrong on the link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other process is gone.
    #[error("the other process closed the link")]
    Closed,
    /// A frame that can't be read.
    #[error("an unreadable frame came over the link")]
    Garbled,
    /// Nothing came within the time given, or the other end made no room for a frame.
    #[error("the other end of the link did not answer in time")]
    TimedOut,
    /// The kernel refused something.
    #[error("can't {doing} over the link")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Link {
    /// Two connected ends (SOCK_SEQPACKET, CLOEXEC).
    pub fn pair() -> Result<(Self, Self), LinkError> {
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| failed("make two ends", errno))?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// An end that was inherited.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// By the worker. Waits at most [`SEND_TIMEOUT`] for room.
    pub fn send_to_keeper(
        &self,
        frame: &ToKeeper,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), LinkError> {
        self.send(frame, descriptor)
    }

    /// By the keeper. Waits at most [`SEND_TIMEOUT`] for room.
    pub fn send_to_worker(
        &self,
        frame: &ToWorker,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), LinkError> {
        self.send(frame, descriptor)
    }

    /// By the keeper. `at_most` zero: only what is there already.
    pub fn receive_from_worker(
        &self,
        at_most: Duration,
    ) -> Result<(ToKeeper, Option<OwnedFd>), LinkError> {
        self.receive(at_most)
    }

    /// By the worker. `at_most` zero: only what is there already.
    pub fn receive_from_keeper(
        &self,
        at_most: Duration,
    ) -> Result<(ToWorker, Option<OwnedFd>), LinkError> {
        self.receive(at_most)
    }

    fn send<T: Serialize>(
        &self,
        frame: &T,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), LinkError> {
        let bytes = postcard::to_stdvec(frame).map_err(|error| LinkError::System {
            doing: "encode a frame",
            source: std::io::Error::other(error),
        })?;
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(failed("send a frame of that size", Errno::MSGSIZE));
        }
        let deadline = Instant::now() + SEND_TIMEOUT;
        let descriptors: Option<[BorrowedFd<'_>; 1]> = descriptor.map(|fd| [fd]);
        loop {
            match self.send_bytes(&bytes, descriptors.as_ref().map(<[_; 1]>::as_slice)) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
                    return Err(LinkError::Closed);
                }
                Err(errno) => return Err(failed("send a frame", errno)),
            }
        }
    }

    fn send_bytes(
        &self,
        bytes: &[u8],
        descriptors: Option<&[BorrowedFd<'_>]>,
    ) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if let Some(descriptors) = descriptors
            && !control.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(Errno::NOBUFS);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags).map(drop)
    }

    fn receive<T: DeserializeOwned>(
        &self,
        at_most: Duration,
    ) -> Result<(T, Option<OwnedFd>), LinkError> {
        let deadline = Instant::now() + at_most.min(LONGEST_WAIT);
        let mut buffer = [0_u8; MAX_FRAME_BYTES];
        loop {
            match self.receive_bytes(&mut buffer) {
                Ok((0, ..)) => return Err(LinkError::Closed),
                Ok((_, flags, _)) if flags.contains(ReturnFlags::TRUNC) => {
                    return Err(LinkError::Garbled);
                }
                Ok((length, _, descriptor)) => {
                    let frame = buffer.get(..length).ok_or(LinkError::Garbled)?;
                    let frame = postcard::from_bytes(frame).map_err(|_| LinkError::Garbled)?;
                    return Ok((frame, descriptor));
                }
                // A peer that died with frames of ours unread raises ECONNRESET
                // once; its own last frames are behind it.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(errno) => return Err(failed("receive a frame", errno)),
            }
        }
    }

    /// One packet: its length, flags, and the first descriptor beside it.
    fn receive_bytes(
        &self,
        buffer: &mut [u8],
    ) -> rustix::io::Result<(usize, ReturnFlags, Option<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_TAKEN))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message =
            rustix::net::recvmsg(&self.fd, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
        let mut first = None;
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = ancillary {
                for descriptor in descriptors {
                    // Those after the first are dropped here, which closes them.
                    first.get_or_insert(descriptor);
                }
            }
        }
        Ok((message.bytes, message.flags, first))
    }

    /// Waits until the socket is ready for `what` or closed.
    fn wait(&self, what: PollFlags, deadline: Instant) -> Result<(), LinkError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(LinkError::TimedOut);
        }
        let timeout = Timespec::try_from(left).map_err(|_| failed("wait", Errno::INVAL))?;
        match poll(&mut [PollFd::new(&self.fd, what)], Some(&timeout)) {
            Ok(0) => Err(LinkError::TimedOut),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(failed("wait", errno)),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Names of the descriptors that the keeper itself makes for the worker.
pub mod names {
    /// Queue socket of first packets, untracked and parked ones.
    pub const QUEUE_NEW: &str = "queue/new";
    /// Queue socket of later packets.
    pub const QUEUE_REST: &str = "queue/rest";
    /// Journal of `queue/new`.
    pub const JOURNAL_NEW: &str = "journal/new";
    /// Journal of `queue/rest`.
    pub const JOURNAL_REST: &str = "journal/rest";
}

/// The lock of a network namespace: an abstract Unix socket, so it is gone with its holder.
#[derive(Debug)]
pub struct NamespaceLock {
    fd: OwnedFd,
}

impl NamespaceLock {
    /// Takes it. `Ok(None)`: another Seawall guards this namespace.
    pub fn take() -> std::io::Result<Option<Self>> {
        let fd = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        match rustix::net::bind(&fd, &SocketAddrUnix::new_abstract_name(LOCK_NAME)?) {
            Ok(()) => Ok(Some(Self { fd })),
            Err(Errno::ADDRINUSE) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// One that its holder handed on.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for NamespaceLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn failed(doing: &'static str, errno: Errno) -> LinkError {
    LinkError::System { doing, source: errno.into() }
}

#[cfg(test)]
mod tests;
