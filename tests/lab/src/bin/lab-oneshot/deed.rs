//! What a program does with a socket.

use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use lab::oneshot::{Deed, Done};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// How long a connect may take. A verdict may have to wait for a successor of whoever gives it.
const CONNECTS: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// What a datagram carries.
const PAYLOAD: &[u8] = b"gone at once";

/// A socket for the deed.
pub(crate) fn socket(deed: Deed, to: SocketAddr) -> Result<Socket> {
    let (kind, protocol) = match deed {
        Deed::Connect | Deed::ConnectAndGo => (Type::STREAM, Protocol::TCP),
        Deed::SendTo | Deed::ConnectAndSend => (Type::DGRAM, Protocol::UDP),
    };
    Socket::new(Domain::for_address(to), kind, Some(protocol))
}

/// Binds a source port, which is free at once when the socket is closed: by a reset, for TCP.
pub(crate) fn take_port(deed: Deed, socket: &Socket, to: SocketAddr, port: u16) -> Result<()> {
    if deed.protocol() == seawall_messages::flow::Protocol::TCP {
        socket.set_reuse_address(true)?;
        socket.set_linger(Some(Duration::ZERO))?;
    }
    socket.bind(&any(to, port).into())
}

/// No address in particular, of the other end's family.
pub(crate) fn any(to: SocketAddr, port: u16) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// Does it. The port is asked for before an answer can have taken it away.
pub(crate) fn perform(deed: Deed, socket: &Socket, to: SocketAddr) -> Result<Done> {
    let (from_port, outcome) = match deed {
        Deed::Connect | Deed::ConnectAndGo => {
            socket.set_nonblocking(true)?;
            let begun = socket.connect(&to.into());
            let from_port = port_of(socket)?;
            let outcome = match begun {
                Err(error)
                    if error.raw_os_error()
                        != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
                {
                    Err(error)
                }
                _ if deed == Deed::Connect => connected(socket),
                _ => Ok(()),
            };
            (from_port, outcome)
        }
        Deed::SendTo => {
            let sent = socket.send_to(PAYLOAD, &to.into());
            (port_of(socket)?, sent.map(drop))
        }
        Deed::ConnectAndSend => {
            let sent = socket.connect(&to.into()).and_then(|()| socket.send(PAYLOAD));
            (port_of(socket)?, sent.map(drop))
        }
    };
    let outcome = outcome.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    Ok(Done { from_port, outcome })
}

/// Waits until a connect is over; gives its error, if it has one.
fn connected(socket: &Socket) -> Result<()> {
    let mut watched = [PollFd::new(socket, PollFlags::OUT)];
    if poll(&mut watched, Some(&CONNECTS))? == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    socket.take_error()?.map_or(Ok(()), Err)
}

fn port_of(socket: &Socket) -> Result<u16> {
    Ok(socket.local_addr()?.as_socket().map_or(0, |address| address.port()))
}
