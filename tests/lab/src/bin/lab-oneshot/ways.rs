//! The ways in which a short-lived program comes to be, and to its socket.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use lab::oneshot::{Deed, Done, Way};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use seawall_messages::flow::Protocol;

use crate::deed;

/// Starts the program in any way but [`Way::Fork`], and waits until it is gone.
pub(crate) fn start(way: Way, program: &Path, deed: Deed, to: SocketAddr) -> anyhow::Result<Done> {
    let mut command = Command::new(program);
    command.args(["shot", way.as_str(), deed.as_str(), &to.to_string()]);
    command.stderr(Stdio::inherit()).stdout(Stdio::piped()).stdin(Stdio::null());
    match way {
        Way::Exec | Way::Fork | Way::Thread => {}
        Way::Inherited => {
            let socket = made_elsewhere(deed, to)?;
            command.stdin(std::os::fd::OwnedFd::from(socket));
        }
        Way::Passed => {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                    .context("a pair of Unix sockets")?;
            // It waits in the pair until the program is there to take it.
            pass(ours.as_fd(), made_elsewhere(deed, to)?.as_fd())?;
            command.stdin(theirs);
        }
    }
    let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let output = child.wait_with_output().context("waiting for a program")?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    String::from_utf8_lossy(&output.stdout).parse().map_err(anyhow::Error::msg)
}

/// A socket that this program makes and another one uses. Datagram sockets are bound, too.
fn made_elsewhere(deed: Deed, to: SocketAddr) -> anyhow::Result<socket2::Socket> {
    let socket = deed::socket(deed, to).context("a socket")?;
    if deed.protocol() == Protocol::UDP {
        socket.bind(&deed::any(to, 0).into()).context("binding")?;
    }
    Ok(socket)
}

/// Sends a descriptor over a Unix socket (unix(7), SCM_RIGHTS).
fn pass(over: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> anyhow::Result<()> {
    let descriptors = [descriptor];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(over, &[IoSlice::new(b"s")], &mut ancillary, SendFlags::empty())
        .context("passing a socket")?;
    Ok(())
}
