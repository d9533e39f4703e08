//! `lab-demo`: Seawall at work in a neighbourhood of network namespaces, to look at.
//!
//! Started by `scripts/demo`, as root. Nothing leaves the machine and nothing
//! of it is touched; all is gone in the end. What a demo that was killed left
//! behind, the next one removes before it begins.

mod cast;
mod output;
mod show;
mod stage;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use seawall_platform::linux::signals::SignalFd;

/// Shows Seawall at work in a small neighbourhood of its own.
#[derive(Parser)]
struct Arguments {
    /// Ends by itself after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Prints what there is to see every few seconds, also where there is a monitor.
    #[arg(long)]
    plain: bool,
}

fn main() -> ExitCode {
    match demo(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    // Before there are threads.
    let signals = SignalFd::open().context("listening for signals")?;
    let _only_one = only_one()?;
    output::line("Making the neighbourhood: a desktop, a neighbour, a router, three sites");
    let folder = stage::folder()?;
    let place = stage::neighbourhood();
    let cast = cast::Cast::new(folder.path())?;
    output::line("Starting Seawall on the desktop, and the programs");
    let seawall = stage::seawall(&place, &cast, folder.path())?;
    let mut playing = cast.enter(&place)?;
    let show = show::Show { place: &place, seawall: &seawall, signals: &signals };
    show.explain();
    show.run(&mut playing, arguments.plain, arguments.seconds)?;
    output::line("Taking everything down");
    drop(playing);
    seawall.stop();
    Ok(())
}

/// Names are the same each time, so that people can type them: one demo at a time. The lock goes with the process.
fn only_one() -> anyhow::Result<UnixListener> {
    let name = SocketAddr::from_abstract_name(stage::NAME).context("naming the demo's lock")?;
    UnixListener::bind_addr(&name).context("another demo runs on this machine: end it first")
}
