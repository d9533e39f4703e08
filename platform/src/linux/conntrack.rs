//! Connection tracking: list flows, set and clear labels, all over ctnetlink.

use std::io::ErrorKind;
use std::net::IpAddr;

use rustix::net::netlink::NETFILTER;
use seawall_messages::Protocol;
use seawall_messages::keeper::Layout;

use self::wire::{delete_request, label_request, list_request, parse};
use super::layout::{Epoch, MarkAction, denied_label, label, transit_labels};
use super::netlink::{Netlink, Request};
use super::rules::judged_label;

mod accounting;
mod fill;
mod wire;

pub use self::accounting::{Accounting, count_traffic};
pub use self::fill::{Fill, fill};

/// Requests sent to the kernel in one go.
const BATCH: usize = 64;

/// A netlink socket for connection tracking. Blocking, bounded by a time-out.
pub struct Conntrack {
    netlink: Netlink,
}

/// One direction of an entry, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Source port, or ICMP identifier.
    pub source_port: u16,
    /// Destination port, or ICMP type and code.
    pub destination_port: u16,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As first seen.
    pub original: Tuple,
    /// As its replies look: differs from the reverse of `original` where NAT is at work.
    pub reply: Tuple,
    /// The connection mark. Never written by us.
    pub mark: u32,
    /// All 128 connection labels, if any is set. The kernel doesn't tell an entry
    /// without any label from one without room for them: `set_verdicts` finds out.
    pub labels: Option<u128>,
    /// Whether it is a TCP connection that is over: both ends closed it, or one reset it.
    pub ended: bool,
}

/// What went one way over a connection: packets as the kernel handled them, whole where they are
/// segmented later, with the bytes of their IP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A connection with what it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The connection.
    pub entry: Entry,
    /// From the side that opened it.
    pub original: Count,
    /// To it.
    pub reply: Count,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}")]
pub struct ConntrackError {
    /// What was attempted.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

impl Conntrack {
    /// Opens the socket.
    pub fn open() -> Result<Self, ConntrackError> {
        let netlink = Netlink::open(Some(NETFILTER)).map_err(failed("open connection tracking"))?;
        Ok(Self { netlink })
    }

    /// All entries of both families.
    pub fn list(&mut self) -> Result<Vec<Entry>, ConntrackError> {
        self.list_where(|_| true)
    }

    /// All entries that the kernel counts the traffic of: those that began after [`count_traffic`].
    pub fn list_counted(&mut self) -> Result<Vec<Counted>, ConntrackError> {
        let counted = |listed: wire::Listed| {
            let [original, reply] = listed.counts?;
            Some(Counted { entry: listed.entry, original, reply })
        };
        self.netlink
            .dump(&list_request(), |all: &mut Vec<Counted>, payload| {
                all.extend(parse(payload).filter_map(counted));
            })
            .map_err(failed("list the traffic of tracked connections"))
    }

    /// Gives each entry this standing verdict, and takes away our labels of
    /// others. An entry that is gone, or has no room for labels, is passed
    /// over and counted in the answer.
    pub fn set_verdicts(
        &mut self,
        layout: &Layout,
        verdicts: &[(Entry, MarkAction, Epoch)],
    ) -> Result<usize, ConntrackError> {
        let requests = verdicts.iter().map(|(entry, action, epoch)| {
            label_request(entry, labels_of(layout, *action, *epoch), verdict_labels(layout))
        });
        self.change("label connections", requests)
    }

    /// Takes the labels of verdicts from these entries. One that is gone is passed over and counted in the answer.
    pub fn take_labels(
        &mut self,
        layout: &Layout,
        entries: &[Entry],
    ) -> Result<usize, ConntrackError> {
        self.take(verdict_labels(layout), entries)
    }

    /// Takes all our labels from every entry, also those of packets whose
    /// verdict is under way: they are judged once more. Returns how many had any.
    pub fn clear_labels(&mut self, layout: &Layout) -> Result<usize, ConntrackError> {
        let ours = our_labels(layout);
        let entries = self.list()?;
        let labelled: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.labels.is_some_and(|labels| labels & ours != 0))
            .collect();
        let gone = self.take(ours, &labelled)?;
        Ok(labelled.len() - gone)
    }

    /// Deletes an entry, so that its next packet starts afresh. One that is gone already is no error.
    pub fn delete(&mut self, entry: &Entry) -> Result<(), ConntrackError> {
        match self.netlink.ask(delete_request(entry)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("delete a tracked connection")(error))
            }
            _ => Ok(()),
        }
    }

    /// Deletes entries that saw no reply and bear no label. Returns how many.
    pub(in crate::linux) fn delete_unanswered_unlabelled(
        &mut self,
    ) -> Result<usize, ConntrackError> {
        let entries =
            self.list_where(|listed| !listed.seen_reply && listed.entry.labels.is_none())?;
        let gone =
            self.change("delete unanswered connections", entries.iter().map(delete_request))?;
        Ok(entries.len() - gone)
    }

    fn take(&mut self, labels: u128, entries: &[Entry]) -> Result<usize, ConntrackError> {
        let requests = entries.iter().map(|entry| label_request(entry, 0, labels));
        self.change("clear connections of labels", requests)
    }

    fn list_where(
        &mut self,
        wanted: impl Fn(&wire::Listed) -> bool,
    ) -> Result<Vec<Entry>, ConntrackError> {
        self.netlink
            .dump(&list_request(), |entries: &mut Vec<Entry>, payload| {
                entries.extend(parse(payload).filter(&wanted).map(|listed| listed.entry));
            })
            .map_err(failed("list tracked connections"))
    }

    /// Sends requests in batches. Counts those that came too late or found no room.
    fn change(
        &mut self,
        doing: &'static str,
        requests: impl Iterator<Item = Request>,
    ) -> Result<usize, ConntrackError> {
        let mut requests = requests.peekable();
        let mut passed_over = 0;
        let mut failure = None;
        while requests.peek().is_some() {
            let mut batch: Vec<_> = requests.by_ref().take(BATCH).collect();
            let refused = |error: std::io::Error| match error.kind() {
                // Gone, or no room for labels (ENOSPC, nf_connlabels_replace).
                ErrorKind::NotFound | ErrorKind::StorageFull => passed_over += 1,
                _ => failure = Some(error),
            };
            self.netlink.batch(&mut batch, refused).map_err(failed(doing))?;
        }
        match failure {
            Some(error) => Err(failed(doing)(error)),
            None => Ok(passed_over),
        }
    }
}

/// All 64 of them.
fn our_labels(layout: &Layout) -> u128 {
    u128::from(u64::MAX) << layout.label_base
}

/// All but those of packets whose verdict is under way.
fn verdict_labels(layout: &Layout) -> u128 {
    our_labels(layout) & !transit_labels(layout)
}

/// The labels of a standing verdict: an allow counts as judged, too, and all
/// else as denied. See the rules.
fn labels_of(layout: &Layout, action: MarkAction, epoch: Epoch) -> u128 {
    let also = match action {
        MarkAction::Allow => judged_label(layout),
        _ => denied_label(layout),
    };
    1 << also | 1 << label(layout, action, epoch)
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> ConntrackError {
    move |source| ConntrackError { doing, source }
}
