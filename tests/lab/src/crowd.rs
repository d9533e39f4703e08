//! Very many connections that stay open.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::world::Host;

/// Descriptors beside those of the crowd.
const OTHERS: u64 = 512;

/// Connections from one host to a service of another. What was called never takes them
/// up: they wait in its queue, open all the same, and take no descriptors there.
#[derive(Debug)]
pub struct Crowd {
    callers: Vec<TcpStream>,
    _called: Socket,
}

impl Crowd {
    /// Opens so many.
    ///
    /// # Panics
    /// When one can't be opened.
    pub fn open(from: &Host, to: &Host, address: SocketAddr, count: u32) -> Self {
        allow_descriptors(u64::from(count) + OTHERS);
        to.sysctl("net/core/somaxconn", &(count + 1).to_string());
        let called = to.inside(|| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.bind(&address.into())?;
            socket.listen(i32::try_from(count + 1).unwrap_or(i32::MAX))?;
            Ok::<_, std::io::Error>(socket)
        });
        let called = called.unwrap_or_else(|error| panic!("can't listen on {address}: {error}"));
        let callers = from.inside(|| {
            let connect = |_| TcpStream::connect(address);
            (0..count).map(connect).collect::<std::io::Result<Vec<_>>>()
        });
        let callers = callers.unwrap_or_else(|error| panic!("can't connect to {address}: {error}"));
        Self { callers, _called: called }
    }

    /// Says a byte on some of them, in turn; `round` counts the turns. How many it was said on.
    pub fn say(&self, count: usize, round: usize) -> usize {
        let all = self.callers.len().max(1);
        let from = round * count % all;
        let some = self.callers.iter().cycle().skip(from).take(count.min(all));
        some.filter_map(|mut caller| caller.write_all(b"!").ok()).count()
    }

    /// How many of them have ended, without anything being said on them.
    pub fn ended(&self) -> usize {
        let is_open = |caller: &&TcpStream| {
            let seen = recv(caller, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            matches!(seen, Ok((1.., _)) | Err(Errno::AGAIN))
        };
        self.callers.len() - self.callers.iter().filter(is_open).count()
    }
}

fn allow_descriptors(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let wanted = Rlimit { current: Some(count), maximum: limit.maximum };
        setrlimit(Resource::Nofile, wanted)
            .unwrap_or_else(|error| panic!("{count} open descriptors are not allowed: {error}"));
    }
}
