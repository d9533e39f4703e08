//! The baseline: the barest loop that takes packets from the kernel's queue and
//! accepts them all. It decides nothing, remembers nothing and survives nothing,
//! and uses every known trick: GSO packets whole, a short copy range, many
//! packets a receive, many verdicts a send, a large buffer. What Seawall takes
//! beyond it is the price of judging.

use std::io::{ErrorKind, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, NetlinkAddr, recvmmsg, send};
use seawall_messages::Hook;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::queue::{QueueSettings, QueueSocket};

/// Packets taken with one system call.
const BURST: usize = 64;
/// Room for one packet message: 128 bytes of packet, and what the kernel says about it.
const MESSAGE_BYTES: usize = 512;
const SETTINGS: QueueSettings =
    QueueSettings { copy_range: 128, max_length: 8192, receive_buffer_bytes: 8 << 20 };

/// `nlmsg_type` of a verdict: subsystem 3, message 1 (linux/netfilter/nfnetlink_queue.h).
const NFQNL_MSG_VERDICT: u16 = 0x0301;
const NLM_F_REQUEST: u16 = 1;
const NFQA_PACKET_HDR: u16 = 1;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_MARK: u16 = 3;
const NF_ACCEPT: u32 = 1;

/// How far the baseline goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Variant {
    /// Every packet comes through the loop.
    D,
    /// The first verdict marks the connection; its later packets skip the queue.
    G,
}

/// The connection mark that variant G sets.
pub(crate) const MARK: u32 = 1;

/// The queue that the loop reads, as its rules name it.
pub(crate) fn queue_number() -> u16 {
    queue().number(&Layout::default())
}

fn queue() -> QueueId {
    QueueId { hook: Hook::Output, kind: QueueKind::New }
}

/// Accepts everything until it is killed. Prints `ready` when it is bound.
pub(crate) fn run(variant: Variant, mut out: impl std::io::Write) -> anyhow::Result<()> {
    let socket = QueueSocket::open(&[queue()], &Layout::default(), &SETTINGS)
        .context("opening the baseline's queue")?;
    writeln!(out, "ready").and_then(|()| out.flush()).context("saying that it is ready")?;
    let mut verdicts = Verdicts::new(queue_number(), variant);
    let mut headers = MultiHeaders::<NetlinkAddr>::preallocate(BURST, None);
    let mut buffers = [[0_u8; MESSAGE_BYTES]; BURST];
    let descriptor = socket.as_fd().as_raw_fd();
    loop {
        let lengths = receive(descriptor, &mut headers, &mut buffers)?;
        for (buffer, length) in buffers.iter().zip(lengths) {
            if let Some(id) = packet_id(&buffer[..length.min(MESSAGE_BYTES)]) {
                verdicts.accept(id);
            }
        }
        verdicts.send(descriptor)?;
    }
}

/// Lengths of the messages received; zero for buffers that were not filled.
fn receive(
    descriptor: RawFd,
    headers: &mut MultiHeaders<NetlinkAddr>,
    buffers: &mut [[u8; MESSAGE_BYTES]; BURST],
) -> anyhow::Result<[usize; BURST]> {
    let mut lengths = [0; BURST];
    let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
    match recvmmsg(descriptor, headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
        Ok(messages) => {
            for (length, message) in lengths.iter_mut().zip(messages) {
                *length = message.bytes;
            }
        }
        Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOBUFS) => {}
        Err(error) => return Err(error).context("receiving packets"),
    }
    Ok(lengths)
}

/// The id in a packet message: its first attribute is the packet header.
fn packet_id(message: &[u8]) -> Option<u32> {
    let attribute = message.get(20..28)?;
    let kind = u16::from_ne_bytes([attribute[2], attribute[3]]);
    let id = [attribute[4], attribute[5], attribute[6], attribute[7]];
    (kind == NFQA_PACKET_HDR).then(|| u32::from_be_bytes(id))
}

/// Verdict messages, sent together.
struct Verdicts {
    template: Vec<u8>,
    batch: Vec<u8>,
}

impl Verdicts {
    /// Where the id stands in a verdict message.
    const ID_AT: usize = 28;

    fn new(queue: u16, variant: Variant) -> Self {
        let mut message = Vec::with_capacity(40);
        let length: u32 = if variant == Variant::G { 40 } else { 32 };
        message.extend(length.to_ne_bytes());
        message.extend(NFQNL_MSG_VERDICT.to_ne_bytes());
        message.extend(NLM_F_REQUEST.to_ne_bytes());
        message.extend([0; 8]); // sequence number and sender
        message.extend([0, 0]); // family and version
        message.extend(queue.to_be_bytes());
        message.extend(12_u16.to_ne_bytes());
        message.extend(NFQA_VERDICT_HDR.to_ne_bytes());
        message.extend(NF_ACCEPT.to_be_bytes());
        message.extend([0; 4]); // the id
        if variant == Variant::G {
            message.extend(8_u16.to_ne_bytes());
            message.extend(NFQA_MARK.to_ne_bytes());
            message.extend(MARK.to_be_bytes());
        }
        Self { batch: Vec::with_capacity(BURST * message.len()), template: message }
    }

    fn accept(&mut self, id: u32) {
        let start = self.batch.len();
        self.batch.extend_from_slice(&self.template);
        let at = start + Self::ID_AT;
        self.batch[at..at + 4].copy_from_slice(&id.to_be_bytes());
    }

    fn send(&mut self, descriptor: RawFd) -> anyhow::Result<()> {
        while !self.batch.is_empty() {
            match send(descriptor, &self.batch, MsgFlags::empty()) {
                Ok(_) => self.batch.clear(),
                Err(error) if std::io::Error::from(error).kind() == ErrorKind::Interrupted => {}
                Err(Errno::ENOBUFS | Errno::EAGAIN) => {}
                Err(error) => return Err(error).context("sending verdicts"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_message_is_laid_out_as_the_kernel_reads_it() {
        for (variant, length) in [(Variant::D, 32), (Variant::G, 40)] {
            let mut verdicts = Verdicts::new(7300, variant);
            verdicts.accept(0x0102_0304);
            verdicts.accept(5);
            assert_eq!(verdicts.batch.len(), 2 * length);
            assert_eq!(verdicts.batch[0..4], (length as u32).to_ne_bytes());
            assert_eq!(verdicts.batch[18..20], 7300_u16.to_be_bytes());
            assert_eq!(verdicts.batch[28..32], [1, 2, 3, 4]);
            assert_eq!(verdicts.batch[length + 28..length + 32], [0, 0, 0, 5]);
        }
    }

    #[test]
    fn only_packet_messages_have_an_id() {
        let mut message = [0_u8; 32];
        message[22..24].copy_from_slice(&NFQA_PACKET_HDR.to_ne_bytes());
        message[24..28].copy_from_slice(&77_u32.to_be_bytes());
        assert_eq!(packet_id(&message), Some(77));
        assert_eq!(packet_id(&message[..27]), None);
        message[22] = 9;
        assert_eq!(packet_id(&message), None);
    }
}
