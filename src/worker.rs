//! The worker: the process that judges. It is given everything that must
//! outlive it by the keeper, builds the supervision tree, and ends when the
//! keeper says so or is gone.

mod error;
mod handover;
mod keeper_link;
mod listeners;
mod notes;

use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::thread::CapabilitySet;
use seawall_platform::linux::link::Link;
use seawall_platform::linux::{memory, privileges};

pub(crate) use self::{
    error::WorkerError,
    handover::Handover,
    keeper_link::{KeeperLink, KeeperLinkArguments},
    notes::Notes,
};
use crate::cli::WorkerArguments;
use crate::tree::{self, Parts};
use crate::verbs::{Outcome, describe};

/// Exit code: it can't work here, and another one could not either (EX_CONFIG of sysexits.h).
pub(crate) const EXIT_REFUSED: u8 = 78;

/// Exit code: the supervision tree gave up (EX_SOFTWARE).
const EXIT_FATAL: u8 = 70;

/// Exit code: something that another worker may not meet.
const EXIT_FAILED: u8 = 1;

/// How long the tree may take to stop: less than the keeper's patience.
const STOP_AT_MOST: Duration = Duration::from_secs(4);

/// Why the worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The keeper said so.
    Told,
    /// The keeper is gone.
    Orphaned,
}

/// The hidden verb `worker`.
pub(crate) fn run(arguments: &WorkerArguments) -> Outcome {
    memory::give_back_what_is_freed();
    crate::logging::start();
    memory::keep_program();
    // The file it was started from is called `exe`; a failure costs only the name.
    let _ = rustix::thread::set_name(c"seawall-worker");
    match work(arguments) {
        Ok(Finish::Told) => Outcome::Done,
        Ok(Finish::Orphaned) => Outcome::Worker(EXIT_FAILED),
        Err(error) => {
            tracing::error!(error = describe(&error), "The worker can't work");
            Outcome::Worker(if error.is_lasting() { EXIT_REFUSED } else { EXIT_FAILED })
        }
    }
}

fn work(arguments: &WorkerArguments) -> Result<Finish, WorkerError> {
    let started = Instant::now();
    privileges::die_with_parent(arguments.keeper_pid).map_err(WorkerError::NoKeeper)?;
    let link = take_link()?;
    let mut handover = Handover::receive(&link)?;
    let listeners = listeners::open(arguments, &mut handover.descriptors, &link)?;
    let notes = Notes::open(&mut handover.descriptors, &link);
    let to_read_maps = match notes.notes {
        Some(_) => privileges::to_read_maps(),
        None => CapabilitySet::empty(),
    };
    privileges::drop_privileges(to_read_maps).map_err(WorkerError::Privileges)?;
    let (finish, finished): (SyncSender<Finish>, Receiver<Finish>) = sync_channel(1);
    let parts = Parts { arguments, started, link, handover, listeners, notes, finish };
    let kernel = tree::plant(parts, give_up)?.start()?;
    // The sender lives in the tree: an error means that the tree is gone.
    let why = finished.recv().unwrap_or(Finish::Orphaned);
    if why == Finish::Told {
        for name in kernel.stop(STOP_AT_MOST) {
            tracing::warn!(name, "A component did not stop in time");
        }
    }
    Ok(why)
}

/// Standard input is the link; what reads standard input from now on gets nothing.
fn take_link() -> Result<Link, WorkerError> {
    let link = std::io::stdin().as_fd().try_clone_to_owned().map_err(WorkerError::Link)?;
    let nothing = std::fs::File::open("/dev/null").map_err(WorkerError::Link)?;
    rustix::stdio::dup2_stdin(&nothing).map_err(|errno| WorkerError::Link(errno.into()))?;
    Ok(Link::from_fd(link))
}

/// The supervision tree can't be kept up: a new process is the cure.
#[allow(clippy::disallowed_methods, reason = "the last resort of the tree, from its own thread")]
fn give_up(reason: String) {
    tracing::error!(reason, "The supervision tree gave up");
    std::process::exit(i32::from(EXIT_FATAL));
}
