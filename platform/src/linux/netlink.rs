//! The few things of netlink that our conversations with the kernel need:
//! messages built and taken apart with checked bounds, dumps, batches.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// No answer of the kernel takes longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Dumps come in pieces of at most 32 KiB (netlink(7)).
const RECEIVE_BYTES: usize = 64 * 1024;

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const ALIGNMENT: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLA_F_NESTED: u16 = 1 << 15;
/// The bits of an attribute's type that aren't NLA_F_NESTED or NLA_F_NET_BYTEORDER.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// How often a dump starts anew because the table changed meanwhile.
const DUMP_ATTEMPTS: usize = 3;

/// A connected netlink socket.
pub(super) struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A request being built.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

/// An open nested attribute.
#[must_use]
pub(super) struct Nest(usize);

/// A received message.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Netlink {
    /// `None`: NETLINK_ROUTE, whose number is 0.
    pub(super) fn open(protocol: Option<Protocol>) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(TIMEOUT))?;
        sockopt::set_socket_timeout(&fd, Timeout::Send, Some(TIMEOUT))?;
        // Connected to the kernel, it takes messages from nobody else.
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// Asks for a list and calls `each` with the payload of every item. Starts
    /// anew (with `restart`) when the kernel says that the list changed while it was read.
    pub(super) fn dump<T: Default>(
        &mut self,
        request: &Request,
        mut each: impl FnMut(&mut T, &[u8]),
    ) -> Result<T> {
        for attempt in 1.. {
            let mut into = T::default();
            let consistent = self.dump_once(request, |item| each(&mut into, item))?;
            if consistent || attempt == DUMP_ATTEMPTS {
                return Ok(into);
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn dump_once(&mut self, request: &Request, mut each: impl FnMut(&[u8])) -> Result<bool> {
        let sequence = self.send(&mut [request.clone()], NLM_F_DUMP)?;
        let mut consistent = true;
        loop {
            let length = self.receive()?;
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        return outcome(message.payload).map(|()| consistent);
                    }
                    _ => each(message.payload),
                }
            }
        }
    }

    /// Asks for one thing: the payload of the answer, `None` for a bare acknowledgement.
    pub(super) fn ask(&mut self, request: Request) -> Result<Option<Vec<u8>>> {
        let sequence = self.send(&mut [request], NLM_F_ACK)?;
        let mut answer = None;
        loop {
            let length = self.receive()?;
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                if message.kind == NLMSG_ERROR {
                    return outcome(message.payload).map(|()| answer);
                }
                answer = Some(message.payload.to_vec());
            }
        }
    }

    /// Asks for one thing that the kernel answers with one message: it, or why not.
    pub(super) fn look_up(&mut self, mut request: Request) -> Result<Vec<u8>> {
        let sequence = self.sequence.wrapping_add(1);
        self.sequence = sequence;
        request.finish(NLM_F_REQUEST, sequence)?;
        self.transmit(&request.bytes)?;
        loop {
            let length = self.receive()?;
            let answers = messages(self.buffer.get(..length).unwrap_or_default());
            let Some(answer) = answers.into_iter().find(|message| message.sequence == sequence)
            else {
                continue;
            };
            if answer.kind == NLMSG_ERROR {
                outcome(answer.payload)?;
            }
            return Ok(answer.payload.to_vec());
        }
    }

    /// Sends requests in one go and calls `refused` with the error of each that the
    /// kernel refused. Only the last is acknowledged if all goes well.
    pub(super) fn batch(
        &mut self,
        requests: &mut [Request],
        mut refused: impl FnMut(Error),
    ) -> Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(requests.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let first = self.send(requests, 0)?;
        let last = first.wrapping_add(count - 1);
        loop {
            let length = self.receive()?;
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                if message.kind != NLMSG_ERROR || message.sequence.wrapping_sub(first) >= count {
                    continue;
                }
                if let Err(error) = outcome(message.payload) {
                    refused(error);
                }
                if message.sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// Numbers and sends requests. Returns the first one's number.
    fn send(&mut self, requests: &mut [Request], flags: u16) -> Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let last = requests.len().saturating_sub(1);
        let mut bytes = Vec::new();
        for (index, request) in requests.iter_mut().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let ack = if index == last && flags & NLM_F_DUMP == 0 { NLM_F_ACK } else { 0 };
            request.finish(flags | ack | NLM_F_REQUEST, self.sequence)?;
            bytes.extend_from_slice(&request.bytes);
        }
        self.transmit(&bytes)?;
        Ok(first)
    }

    fn transmit(&self, bytes: &[u8]) -> Result<()> {
        let sent =
            rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty()))?;
        if sent == bytes.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
    }

    fn receive(&mut self) -> Result<usize> {
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::TRUNC)
        });
        match received {
            Ok((_, length)) if length <= self.buffer.len() => Ok(length),
            Ok(_) => Err(Error::new(ErrorKind::InvalidData, "an answer of the kernel is too long")),
            Err(Errno::AGAIN) => Err(ErrorKind::TimedOut.into()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Request {
    /// Of this type, with the family's own header.
    pub(super) fn new(kind: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(header);
        let mut request = Self { bytes };
        request.pad();
        request
    }

    /// Appends an attribute. Its value has at most 64 KiB less four bytes.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Opens an attribute that holds attributes.
    pub(super) fn nest(&mut self, kind: u16) -> Nest {
        let start = self.bytes.len();
        self.attribute(kind | NLA_F_NESTED, &[]);
        Nest(start)
    }

    /// Closes the innermost open one.
    pub(super) fn close(&mut self, nest: Nest) {
        let length = u16::try_from(self.bytes.len() - nest.0).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(nest.0..nest.0 + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn finish(&mut self, flags: u16, sequence: u32) -> Result<()> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| ErrorKind::InvalidInput)?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// The attributes in a piece of a message; ends at the first that is malformed.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(read_u16(bytes, 0)?);
        let kind = read_u16(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A number in native byte order.
pub(super) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A number in native byte order.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An IPv4 or IPv6 address, by its length.
pub(super) fn read_address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(bytes).ok().map(Into::into),
        _ => None,
    }
}

/// How far what waited at a socket was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether the kernel had no room for some of it.
    pub(super) missed: bool,
    /// Whether more waits.
    pub(super) more: bool,
}

/// Takes up to so many messages that wait at a socket which never blocks: the type and payload of each.
/// `buffer` has room for the longest.
pub(super) fn take_unasked(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    most: usize,
    mut each: impl FnMut(u16, &[u8]),
) -> Result<Taken> {
    let mut missed = false;
    for _ in 0..most {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Ok((_, length)) => match buffer.get(..length) {
                Some(bytes) => messages(bytes).for_each(|it| each(it.kind, it.payload)),
                None => missed = true,
            },
            Err(Errno::INTR) => {}
            Err(Errno::NOBUFS) => missed = true,
            Err(Errno::AGAIN) => return Ok(Taken { missed, more: false }),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Taken { missed, more: true })
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(read_u32(bytes, 0)?).ok()?;
        let message = Message {
            kind: read_u16(bytes, 4)?,
            flags: read_u16(bytes, 6)?,
            sequence: read_u32(bytes, 8)?,
            payload: bytes.get(HEADER_BYTES..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(message)
    })
}

/// Has a socket hear what is said in a group of that number.
#[allow(unsafe_code, reason = "rustix has no NETLINK_ADD_MEMBERSHIP")]
pub(super) fn join_group(socket: BorrowedFd<'_>, group: u32) -> Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&group)).unwrap_or_default();
    // SAFETY: the descriptor is open, and the value is a live local of the length that is told.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            std::ptr::from_ref(&group).cast(),
            length,
        )
    };
    if refused == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// What an error message says, or the end of a dump: zero is success.
fn outcome(payload: &[u8]) -> Result<()> {
    match read_u32(payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(negated) => Err(Error::from_raw_os_error(negated.saturating_neg())),
        None => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_out_as_they_went_in() {
        let mut request = Request::new(1, &[9, 9]);
        request.attribute(1, b"abc");
        let nest = request.nest(2);
        request.attribute(3, &[]);
        request.attribute(4, &7_u32.to_ne_bytes());
        request.close(nest);
        let found: Vec<_> = attributes(&request.bytes[HEADER_BYTES + 4..]).collect();
        assert_eq!(found[0], (1, b"abc".as_slice()));
        let inner: Vec<_> = attributes(found[1].1).collect();
        assert_eq!(inner, [(3, [].as_slice()), (4, 7_u32.to_ne_bytes().as_slice())]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn malformed_input_ends_the_list() {
        for bytes in [&[][..], &[3, 0, 1, 0], &[8, 0, 1, 0, 1], &[0, 0, 0, 0, 0], &[4, 0]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
            assert_eq!(messages(bytes).count(), 0, "{bytes:?}");
        }
        let mut short = [0; HEADER_BYTES];
        short[0] = 15;
        assert_eq!(messages(&short).count(), 0);
    }
}
