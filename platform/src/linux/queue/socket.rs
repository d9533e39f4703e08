//! Queue sockets: opened and set up through `nfq`, then held as plain descriptors.
//!
//! `nfq` keeps its descriptor to itself and leaves it open on exec, which we do
//! with no other: so the socket is the one netfilter socket among our own
//! descriptors that programs would inherit. One thread at a time opens them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::io::{Errno, FdFlags};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, sockopt};
use seawall_messages::keeper::Layout;

use super::counters::rows;
use super::requeue::{StaleIds, requeue};
use super::verdict::Verdicts;
use super::{QueueError, QueueSettings};
use crate::linux::layout::QueueId;

/// How often a send is repeated before the caller is told: the kernel is short of memory for an instant.
const SEND_ATTEMPTS: usize = 8;

/// A netlink socket with one or more queues bound to it.
#[derive(Debug)]
pub struct QueueSocket {
    fd: OwnedFd,
    /// Set once by [`QueueReader::requeue_all`](super::QueueReader::requeue_all), for the reader to come.
    pub(super) stale: OnceLock<StaleIds>,
}

impl QueueSocket {
    /// Opens a socket and binds these queues to it. By the keeper.
    ///
    /// Packets that come while this runs (rules that a dead keeper left behind) are sent through
    /// their chain again.
    pub fn open(
        queues: &[QueueId],
        layout: &Layout,
        settings: &QueueSettings,
    ) -> Result<Self, QueueError> {
        static OPENING: Mutex<()> = Mutex::new(());
        let opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nfq = nfq::Queue::open().map_err(system("open a packet queue socket"))?;
        // At once: a program that is started meanwhile would inherit the socket.
        let socket = Self::from_fd(take_inheritable()?);
        for queue in queues {
            set_up(&mut nfq, queue.number(layout), settings)?;
        }
        drop(nfq);
        drop(opening);
        socket.size_buffer(settings.receive_buffer_bytes)?;
        requeue(&socket, layout)?;
        Ok(socket)
    }

    /// One that was handed over.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd, stale: OnceLock::new() }
    }

    /// The socket's netlink address, by which the kernel names it.
    pub(super) fn port_id(&self) -> Result<u32, QueueError> {
        rustix::net::getsockname(&self.fd)
            .and_then(SocketAddrNetlink::try_from)
            .map(|address| address.pid())
            .map_err(system("ask for a queue socket's address"))
    }

    /// Sends verdicts, all of them or an error. Never blocks. Sending one again does no harm.
    pub(super) fn send(&self, verdicts: &Verdicts) -> Result<(), QueueError> {
        verdicts
            .chunks()
            .try_for_each(|chunk| self.send_chunk(chunk))
            .map_err(system("send verdicts"))
    }

    fn send_chunk(&self, chunk: &[u8]) -> Result<(), Errno> {
        let mut attempt = 1;
        loop {
            match rustix::net::send(&self.fd, chunk, SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR | Errno::AGAIN | Errno::NOBUFS) if attempt < SEND_ATTEMPTS => {
                    attempt += 1
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// What waits while no worker lives must fit here, so the limit for ordinary sockets is overruled.
    fn size_buffer(&self, bytes: usize) -> Result<(), QueueError> {
        sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&self.fd, bytes))
            .map_err(system("size a queue socket's buffer"))
    }
}

impl AsFd for QueueSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Binds a queue and sets it up. Full means dropped, never passed: flooding must not be a way around.
fn set_up(nfq: &mut nfq::Queue, number: u16, settings: &QueueSettings) -> Result<(), QueueError> {
    nfq.bind(number).map_err(|error| bind_error(number, error))?;
    let copy_range = u16::try_from(settings.copy_range).unwrap_or(u16::MAX);
    nfq.set_copy_range(number, copy_range).map_err(system("set a queue's copy range"))?;
    nfq.set_recv_gso(number, true).map_err(system("ask for whole GSO packets"))?;
    nfq.set_recv_uid_gid(number, true).map_err(system("ask for the users of packets"))?;
    nfq.set_fail_open(number, false).map_err(system("make a full queue drop"))?;
    nfq.set_queue_max_len(number, settings.max_length).map_err(system("set a queue's length"))
}

/// The kernel says EPERM both to who may not and to who comes second.
fn bind_error(number: u16, error: std::io::Error) -> QueueError {
    let refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EBUSY));
    let is_taken = || rows().is_ok_and(|rows| rows.iter().any(|row| row.counters.number == number));
    if refused && is_taken() {
        QueueError::Busy { number }
    } else {
        system("bind a packet queue")(error)
    }
}

/// Finds the one netfilter socket of this process that programs would inherit, which is the
/// library's; makes a duplicate, and sees to it that no program inherits either.
fn take_inheritable() -> Result<OwnedFd, QueueError> {
    let numbers =
        std::fs::read_dir("/proc/thread-self/fd").map_err(system("list own descriptors"))?;
    numbers
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find_map(duplicate_of_inheritable)
        .ok_or_else(|| system("find the socket of a queue")(Errno::NOENT))
}

fn is_netfilter_socket(fd: BorrowedFd<'_>) -> bool {
    let protocol = rustix::net::netlink::NETFILTER;
    sockopt::socket_domain(fd) == Ok(AddressFamily::NETLINK)
        && sockopt::socket_protocol(fd) == Ok(Some(protocol))
}

#[allow(unsafe_code, reason = "the number of a descriptor that a library keeps to itself")]
fn duplicate_of_inheritable(number: i32) -> Option<OwnedFd> {
    // SAFETY: borrowed for a few system calls, which fail where the number is
    // no longer in use. What it stands for is checked on the duplicate, before
    // the flag of the original is touched.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    if rustix::io::fcntl_getfd(borrowed).ok()?.contains(FdFlags::CLOEXEC) {
        return None;
    }
    let duplicate = rustix::io::fcntl_dupfd_cloexec(borrowed, 0).ok()?;
    if !is_netfilter_socket(duplicate.as_fd()) {
        return None;
    }
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    Some(duplicate)
}

pub(super) fn system<E: Into<std::io::Error>>(doing: &'static str) -> impl Fn(E) -> QueueError {
    move |error| QueueError::System { doing, source: error.into() }
}
