//! Long-lived connections with both ends in the test's hands.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::check::uninterrupted;
use crate::probe::Path;

/// How long opening may take.
const OPENS: Duration = Duration::from_secs(10);

/// A TCP connection.
#[derive(Debug)]
pub struct Talk {
    caller: TcpStream,
    called: TcpStream,
}

/// A UDP flow.
#[derive(Debug)]
pub struct Datagrams {
    caller: UdpSocket,
    called: UdpSocket,
}

impl Talk {
    /// Listens at the far end of the path, and connects.
    ///
    /// # Panics
    /// When that does not work within ten seconds.
    #[track_caller]
    pub fn open(path: &Path<'_>, port: u16) -> Self {
        let listener = path.to.listen(SocketAddr::new(path.destination, port));
        Self::open_to(path, &listener)
    }

    /// Connects to a listener at the far end of the path.
    #[track_caller]
    pub fn open_to(path: &Path<'_>, listener: &TcpListener) -> Self {
        let port = listener.local_addr().map_or(0, |address| address.port());
        let to = SocketAddr::new(path.destination, port);
        let connected = path.from.inside(|| {
            let from = SocketAddr::new(path.source, 0);
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&from.into())?;
            socket.connect_timeout(&to.into(), OPENS)?;
            Ok::<_, std::io::Error>(TcpStream::from(socket))
        });
        let caller = connected.unwrap_or_else(|error| panic!("can't connect to {to}: {error}"));
        let (called, _) =
            listener.accept().unwrap_or_else(|error| panic!("can't accept on {to}: {error}"));
        for end in [&caller, &called] {
            end.set_nodelay(true).unwrap_or_else(|error| panic!("no TCP_NODELAY: {error}"));
        }
        Self { caller, called }
    }

    /// A byte there and a byte back; how long that took, or what went wrong.
    pub fn round_trip(&mut self, within: Duration) -> std::io::Result<Duration> {
        let begun = Instant::now();
        let mut byte = [0x5a_u8];
        self.caller.set_read_timeout(Some(within))?;
        self.called.set_read_timeout(Some(within))?;
        self.caller.write_all(&byte)?;
        self.called.read_exact(&mut byte)?;
        self.called.write_all(&byte)?;
        self.caller.read_exact(&mut byte)?;
        Ok(begun.elapsed())
    }

    /// Whether the caller sees the connection end within the time, without saying anything itself.
    pub fn caller_sees_the_end(&mut self, within: Duration) -> bool {
        sees_the_end(&mut self.caller, within)
    }

    /// Whether the side that was called sees the connection end within the time.
    pub fn called_sees_the_end(&mut self, within: Duration) -> bool {
        sees_the_end(&mut self.called, within)
    }
}

fn sees_the_end(end: &mut TcpStream, within: Duration) -> bool {
    let mut byte = [0_u8];
    if end.set_read_timeout(Some(within)).is_err() {
        return false;
    }
    match end.read(&mut byte) {
        Ok(length) => length == 0,
        Err(error) => {
            !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        }
    }
}

impl Datagrams {
    /// Binds both ends. Nothing is sent yet.
    #[track_caller]
    pub fn open(path: &Path<'_>, port: u16) -> Self {
        Self::open_marked(path, port, 0)
    }

    /// As [`Datagrams::open`], with a mark on the caller's packets.
    #[track_caller]
    pub fn open_marked(path: &Path<'_>, port: u16, mark: u32) -> Self {
        let called = path.to.datagrams(SocketAddr::new(path.destination, port));
        let caller = path.from.datagrams(SocketAddr::new(path.source, 0));
        SockRef::from(&caller)
            .set_mark(mark)
            .and_then(|()| caller.connect(SocketAddr::new(path.destination, port)))
            .unwrap_or_else(|error| panic!("can't connect a datagram socket: {error}"));
        Self { caller, called }
    }

    /// A datagram there and one back; how long that took, or what went wrong.
    pub fn round_trip(&self, within: Duration) -> std::io::Result<Duration> {
        let begun = Instant::now();
        let mut buffer = [0_u8; 64];
        self.caller.set_read_timeout(Some(within))?;
        self.called.set_read_timeout(Some(within))?;
        self.caller.send(b"there")?;
        let (length, from) = uninterrupted(|| self.called.recv_from(&mut buffer))?;
        self.called.send_to(&buffer[..length], from)?;
        uninterrupted(|| self.caller.recv(&mut buffer))?;
        Ok(begun.elapsed())
    }
}
