//! `serve`: answers whatever the other subcommands send. One thread with one
//! epoll for listeners, echoes and datagrams; a thread for each stream.
//!
//! The first byte of a TCP connection says what the client wants. The word
//! `report` on standard input prints the account so far; its end prints the
//! last one and ends the program.

mod counts;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::report::{Line, Served, StreamServed, TcpServed};
use rustix::event::epoll;
use rustix::io::Errno;

use self::counts::UdpCounts;
use crate::output;

/// "Send the byte back and close."
pub(crate) const ECHO: u8 = b'e';
/// "Swallow all that follows."
pub(crate) const SWALLOW: u8 = b's';
/// "Send until I close."
pub(crate) const POUR: u8 = b'p';
/// "Send all back, until I close."
const MIRROR: u8 = b'm';

const STREAM_BUFFER_BYTES: usize = 256 * 1024;
const BACKLOG: i32 = 4096;
const UDP_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams taken before other sockets get their turn.
const UDP_BURST: usize = 256;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A TCP address to listen on; may be repeated.
    #[arg(long)]
    tcp: Vec<SocketAddr>,
    /// A UDP address to bind; may be repeated.
    #[arg(long)]
    udp: Vec<SocketAddr>,
}

type Streams = Arc<Mutex<Vec<StreamServed>>>;

struct Listener {
    socket: TcpListener,
    report: TcpServed,
    streams: Streams,
}

struct Server {
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    sinks: Vec<(UdpSocket, UdpCounts)>,
    /// Accepted, first byte awaited, with the listener's index.
    waiting: Vec<Option<(TcpStream, usize)>>,
    free: Vec<usize>,
}

/// What an event of the epoll is about.
enum Token {
    Input,
    Listener(usize),
    Sink(usize),
    Connection(usize),
}

impl Token {
    fn pack(&self) -> epoll::EventData {
        let (kind, index) = match self {
            Self::Input => (0, 0),
            Self::Listener(index) => (1, *index),
            Self::Sink(index) => (2, *index),
            Self::Connection(index) => (3, *index),
        };
        epoll::EventData::new_u64(kind << 32 | index as u64)
    }

    fn unpack(data: u64) -> Self {
        let index = (data & 0xffff_ffff) as usize;
        match data >> 32 {
            0 => Self::Input,
            1 => Self::Listener(index),
            2 => Self::Sink(index),
            _ => Self::Connection(index),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut server = Server::bind(arguments)?;
    output::line(&Line::Ready);
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        match epoll::wait(&server.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for sockets"),
        }
        for event in events.drain(..) {
            match Token::unpack(event.data.u64()) {
                Token::Input => {
                    let more = wants_more();
                    output::line(&Line::Served(server.report()));
                    if !more {
                        return Ok(());
                    }
                }
                Token::Listener(index) => server.accept(index),
                Token::Sink(index) => server.sinks[index].receive(),
                Token::Connection(index) => server.first_byte(index),
            }
        }
    }
}

/// Takes a line from standard input; false at its end.
fn wants_more() -> bool {
    let mut bytes = [0_u8; 64];
    matches!(rustix::io::read(std::io::stdin().as_fd(), &mut bytes), Ok(length) if length > 0)
}

impl Server {
    fn bind(arguments: &Arguments) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("creating an epoll")?;
        let watch = |socket: &dyn AsFd, token: Token| {
            epoll::add(&epoll, socket.as_fd(), token.pack(), epoll::EventFlags::IN)
        };
        watch(&std::io::stdin(), Token::Input).context("watching standard input")?;
        let mut listeners = Vec::new();
        for (index, address) in arguments.tcp.iter().enumerate() {
            let socket = listen(*address).with_context(|| format!("listening on {address}"))?;
            watch(&socket, Token::Listener(index)).context("watching a listener")?;
            let report = TcpServed { port: address.port(), ..TcpServed::default() };
            listeners.push(Listener { socket, report, streams: Streams::default() });
        }
        let mut sinks = Vec::new();
        for (index, address) in arguments.udp.iter().enumerate() {
            let socket = UdpSocket::bind(address).with_context(|| format!("binding {address}"))?;
            socket.set_nonblocking(true)?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, UDP_BUFFER_BYTES)
                .context("enlarging a receive buffer")?;
            watch(&socket, Token::Sink(index)).context("watching a datagram socket")?;
            sinks.push((socket, UdpCounts::new(address.port())));
        }
        Ok(Self { epoll, listeners, sinks, waiting: Vec::new(), free: Vec::new() })
    }

    fn accept(&mut self, listener: usize) {
        while let Ok((connection, _)) = self.listeners[listener].socket.accept() {
            self.listeners[listener].report.accepted += 1;
            let index = self.free.pop().unwrap_or_else(|| {
                self.waiting.push(None);
                self.waiting.len() - 1
            });
            let watched = connection.set_nonblocking(true).is_ok()
                && epoll::add(
                    &self.epoll,
                    &connection,
                    Token::Connection(index).pack(),
                    epoll::EventFlags::IN,
                )
                .is_ok();
            if watched {
                self.waiting[index] = Some((connection, listener));
            } else {
                self.free.push(index);
            }
        }
    }

    fn first_byte(&mut self, index: usize) {
        let Some((mut connection, listener)) = self.waiting[index].take() else { return };
        let mut byte = [0_u8; 1];
        let wish = match connection.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.waiting[index] = Some((connection, listener));
                return;
            }
            _ => None,
        };
        self.free.push(index);
        let listener = &mut self.listeners[listener];
        match wish {
            Some(ECHO) => listener.report.echoed += u64::from(connection.write(&byte).is_ok()),
            Some(wish @ (SWALLOW | POUR | MIRROR)) => {
                let _ = epoll::delete(&self.epoll, &connection);
                let streams = Arc::clone(&listener.streams);
                std::thread::spawn(move || serve_stream(connection, wish, &streams));
            }
            _ => {}
        }
    }

    fn report(&self) -> Served {
        let tcp = self.listeners.iter().map(|listener| TcpServed {
            streams: listener.streams.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..listener.report.clone()
        });
        Served {
            tcp: tcp.collect(),
            udp: self.sinks.iter().map(|(_, counts)| counts.report()).collect(),
        }
    }
}

/// What happens to the datagrams of a socket.
trait Receive {
    fn receive(&mut self);
}

impl Receive for (UdpSocket, UdpCounts) {
    fn receive(&mut self) {
        let (socket, counts) = self;
        let mut buffer = [0_u8; 65_536];
        for _ in 0..UDP_BURST {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { break };
            if counts.count(&buffer[..length]) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn serve_stream(mut connection: TcpStream, wish: u8, streams: &Streams) {
    let mut buffer = vec![0_u8; STREAM_BUFFER_BYTES];
    let mut served = StreamServed::default();
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    if connection.set_nonblocking(false).is_err() {
        return;
    }
    loop {
        let step = match wish {
            SWALLOW => connection.read(&mut buffer),
            POUR => connection.write(&buffer),
            _ => connection
                .read(&mut buffer)
                .and_then(|length| connection.write_all(&buffer[..length]).map(|()| length)),
        };
        match step {
            Ok(0) => break,
            Ok(length) => served.bytes += length as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    served.longest_gap_us = longest.as_micros() as u64;
    streams.lock().unwrap_or_else(PoisonError::into_inner).push(served);
}
