//! The program itself: does one deed, prints its port, ends. Or stays, as `hold`.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, bail};
use lab::oneshot::{Deed, Done, Way};
use rustix::io::dup;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::Socket;

use crate::deed;
use crate::output;

/// Sockets that `hold` keeps.
const MOST_HELD: usize = 64;

/// `shot WAY DEED ADDRESS:PORT`
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    let [way, deed, to] = words else { bail!("shot WAY DEED ADDRESS:PORT") };
    let way: Way = way.parse().map_err(anyhow::Error::msg)?;
    let deed: Deed = deed.parse().map_err(anyhow::Error::msg)?;
    let to: SocketAddr = to.parse().context("the address")?;
    let own = || -> anyhow::Result<Done> {
        let socket = deed::socket(deed, to)?;
        Ok(deed::perform(deed, &socket, to)?)
    };
    let done = match way {
        Way::Exec | Way::Fork => own()?,
        Way::Thread => std::thread::scope(|scope| scope.spawn(own).join())
            .map_err(|_| anyhow::Error::msg("the thread panicked"))??,
        Way::Inherited => {
            let socket = dup(std::io::stdin().as_fd()).context("the inherited socket")?;
            deed::perform(deed, &Socket::from(socket), to)?
        }
        Way::Passed => {
            let socket = take_socket(std::io::stdin().as_fd())?;
            deed::perform(deed, &Socket::from(socket), to)?
        }
    };
    output::line(done);
    Ok(())
}

/// `hold DEED ADDRESS:PORT [SOURCE_PORT]`: does it, and again for each line of input, until that ends.
pub(crate) fn hold(words: &[String]) -> anyhow::Result<()> {
    let (deed, to, from_port) = match words {
        [deed, to] => (deed, to, None),
        [deed, to, from_port] => (deed, to, Some(from_port.parse().context("the port")?)),
        _ => bail!("hold DEED ADDRESS:PORT [SOURCE_PORT]"),
    };
    let deed: Deed = deed.parse().map_err(anyhow::Error::msg)?;
    let to: SocketAddr = to.parse().context("the address")?;
    let mut held = Vec::new();
    let mut input = std::io::stdin().lock().lines();
    loop {
        let socket = deed::socket(deed, to)?;
        if let Some(from_port) = from_port {
            deed::take_port(deed, &socket, to, from_port)?;
        }
        output::line(deed::perform(deed, &socket, to)?);
        held.push(socket);
        if held.len() == MOST_HELD || input.next().is_none() {
            return Ok(());
        }
    }
}

/// Receives the one descriptor that comes over a Unix socket (unix(7), SCM_RIGHTS).
fn take_socket(from: BorrowedFd<'_>) -> anyhow::Result<OwnedFd> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8];
    let mut parts = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(from, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .context("receiving a socket")?;
    let mut passed = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.next().context("no socket came")
}
