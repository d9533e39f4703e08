//! What the kernel notes of connections' owners: loaded by the first worker,
//! taken up by the later ones, so that nothing noted is lost with a worker.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use seawall_messages::keeper::ToKeeper;
use seawall_platform::linux::ebpf::{self, CountIn, Events};
use seawall_platform::linux::link::Link;
use seawall_platform::linux::sockets::ClosedSockets;
use seawall_process::{Counting, Finding};
use seawall_runtime::Lender;

use crate::verbs::describe;

/// Chooses how owners are found: `socket-tables` does without the kernel's notes, `off` finds none.
const CHOICE: &str = "SEAWALL_ATTRIBUTION";

/// Chooses how bytes are counted: `connections` leaves it to the kernel's connection tracking, `off` to nobody.
const COUNTING: &str = "SEAWALL_COUNTING";

/// What came of it.
pub(crate) struct Notes {
    /// The notes, where there are any.
    pub(crate) notes: Option<Arc<ebpf::Notes>>,
    /// The kernel's events, where there are any.
    pub(crate) events: Option<Lender<Events>>,
    /// Word of datagram sockets that close, where the events don't tell of them.
    pub(crate) closed: Option<Lender<ClosedSockets>>,
    /// Why there are none.
    pub(crate) problem: Option<String>,
    /// How bytes are counted.
    pub(crate) counting: Counting,
    /// Whose owner is looked for.
    pub(crate) finding: Finding,
}

impl Notes {
    /// Takes up what is kept, or loads the programs. Whatever goes wrong is no
    /// reason not to judge: owners are then found in other ways.
    pub(super) fn open(kept: &mut BTreeMap<String, OwnedFd>, link: &Link) -> Self {
        let chosen = chosen_counting();
        if let Some(choice) = std::env::var_os(CHOICE) {
            match choice.to_str() {
                Some("socket-tables") => {
                    return Self::none(format!("{CHOICE}=socket-tables"), chosen);
                }
                Some("off") => {
                    tracing::warn!("No connection's owner is looked for: {CHOICE}=off");
                    let none = Self::none(format!("{CHOICE}=off"), chosen);
                    return Self { finding: Finding::None, ..none };
                }
                _ => {
                    tracing::warn!(
                        ?choice,
                        "{CHOICE} is left aside: expected socket-tables or off"
                    );
                }
            }
        }
        match Self::try_open(kept, link, chosen) {
            Ok(notes) => notes,
            Err(error) => {
                let problem = describe(&error);
                tracing::warn!(problem, "The kernel takes no notes: owners are found more slowly");
                Self::none(problem, chosen)
            }
        }
    }

    fn none(problem: String, chosen: Option<Counting>) -> Self {
        let counting = chosen.unwrap_or(Counting::Connections);
        let (notes, events, finding) = (None, None, Finding::All);
        Self { notes, events, closed: closed_sockets(), problem: Some(problem), counting, finding }
    }

    fn try_open(
        kept: &mut BTreeMap<String, OwnedFd>,
        link: &Link,
        chosen: Option<Counting>,
    ) -> Result<Self, ebpf::NotesError> {
        let notes = match ebpf::Notes::take_up(kept) {
            Some(notes) => notes?,
            None => {
                withdraw(kept, link);
                let (notes, to_keep) = ebpf::load(match chosen {
                    Some(_) => CountIn::Elsewhere,
                    None => CountIn::Programs,
                })?;
                deposit(&to_keep, link);
                notes
            }
        };
        for hook in notes.hooks() {
            if let Some(problem) = &hook.missing {
                tracing::warn!(
                    hook = hook.name,
                    problem,
                    serves = hook.serves,
                    "A hook is missing"
                );
            }
        }
        let counting = chosen.unwrap_or(match notes.counts_traffic() {
            true => Counting::Sockets,
            false => Counting::Connections,
        });
        let events = Some(Lender::new(notes.events()?));
        let closed = if notes.tells_of_closed() { None } else { closed_sockets() };
        let notes = Some(Arc::new(notes));
        Ok(Self { notes, events, closed, problem: None, counting, finding: Finding::All })
    }
}

/// Without it a datagram connection that is taken over keeps its verdict until the kernel tracks it no longer.
fn closed_sockets() -> Option<Lender<ClosedSockets>> {
    let opened = ClosedSockets::open().inspect_err(|error| {
        tracing::warn!(%error, "Nobody tells when datagram sockets close");
    });
    opened.ok().map(Lender::new)
}

/// What was chosen; `None`: whatever this kernel can do best.
fn chosen_counting() -> Option<Counting> {
    let choice = std::env::var_os(COUNTING)?;
    match choice.to_str() {
        Some("connections") => Some(Counting::Connections),
        Some("off") => Some(Counting::Nothing),
        _ => {
            tracing::warn!(?choice, "{COUNTING} is left aside: expected connections or off");
            None
        }
    }
}

/// What another build left is of no use: its programs end with it.
fn withdraw(kept: &BTreeMap<String, OwnedFd>, link: &Link) {
    for name in kept.keys().filter(|name| name.starts_with(ebpf::ANY_KEPT_PREFIX)) {
        // The keeper closes it at the latest when it ends.
        let _ = link.send_to_keeper(&ToKeeper::Withdraw { name: name.clone() }, None);
    }
}

/// Without it the programs end with this worker.
fn deposit(descriptors: &BTreeMap<String, OwnedFd>, link: &Link) {
    for (name, descriptor) in descriptors {
        let frame = ToKeeper::Deposit { name: name.clone() };
        if let Err(error) = link.send_to_keeper(&frame, Some(descriptor.as_fd())) {
            tracing::warn!(name, %error, "A map or hook could not be deposited");
        }
    }
}
