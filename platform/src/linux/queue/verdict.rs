//! Writes verdicts (linux/netfilter/nfnetlink_queue.h) into a buffer that is sent as a whole.

use super::Answer;

/// What one send carries at most: far below the default send buffer of a netlink socket (208 KiB).
const CHUNK_BYTES: usize = 32 * 1024;

/// struct nlmsghdr, struct nfgenmsg, and the verdict attribute.
const VERDICT_BYTES: usize = 16 + 4 + 12;
/// An attribute of one word.
const MARK_BYTES: usize = 8;

/// NLM_F_REQUEST. No acknowledgement is asked for; errors come without asking.
const REQUEST: u16 = 1;

/// Verdicts of linux/netfilter.h.
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NF_QUEUE: u32 = 3;
const NF_REPEAT: u32 = 4;

/// How many packets a verdict is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Reach {
    /// The one with this id: NFNL_SUBSYS_QUEUE with NFQNL_MSG_VERDICT.
    One = 3 << 8 | 1,
    /// Every waiting one of the queue up to this id: NFNL_SUBSYS_QUEUE with NFQNL_MSG_VERDICT_BATCH.
    UpTo = 3 << 8 | 3,
}

/// Verdicts that were not sent yet, in the order in which they must be.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    bytes: Vec<u8>,
    /// Where a new send starts.
    cuts: Vec<usize>,
}

impl Verdicts {
    /// Adds a verdict.
    pub(super) fn push(&mut self, reach: Reach, queue_number: u16, id: u32, answer: Answer) {
        let (code, mark) = code(answer);
        self.push_code(reach, queue_number, id, code, mark);
    }

    /// Sends everything up to an id through its chain again, each packet with the mark that it has.
    pub(super) fn repeat_as_they_are(&mut self, queue_number: u16, id: u32) {
        self.push_code(Reach::UpTo, queue_number, id, NF_REPEAT, None);
    }

    fn push_code(
        &mut self,
        reach: Reach,
        queue_number: u16,
        id: u32,
        code: u32,
        mark: Option<u32>,
    ) {
        let start = self.bytes.len();
        if start - self.cuts.last().copied().unwrap_or(0) > CHUNK_BYTES - VERDICT_BYTES - MARK_BYTES
        {
            self.cuts.push(start);
        }
        let length_bytes = VERDICT_BYTES + if mark.is_some() { MARK_BYTES } else { 0 };
        self.bytes.extend_from_slice(&header(length_bytes, reach, queue_number));
        self.bytes.extend_from_slice(&verdict_attribute(code, id));
        if let Some(mark) = mark {
            self.bytes.extend_from_slice(&mark_attribute(mark));
        }
    }

    /// The sends to make.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain(std::iter::once(self.bytes.len()));
        starts
            .zip(ends)
            .filter_map(|(start, end)| self.bytes.get(start..end))
            .filter(|chunk| !chunk.is_empty())
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
    }
}

/// NF_QUEUE goes without the bypass flag: a queue that nobody reads drops, it doesn't accept.
fn code(answer: Answer) -> (u32, Option<u32>) {
    match answer {
        Answer::Drop => (NF_DROP, None),
        Answer::Accept => (NF_ACCEPT, None),
        Answer::HandOn { queue_number } => (NF_QUEUE | u32::from(queue_number) << 16, None),
        Answer::Repeat { mark } => (NF_REPEAT, Some(mark)),
    }
}

fn header(length_bytes: usize, reach: Reach, queue_number: u16) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[0..4].copy_from_slice(&(length_bytes as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&(reach as u16).to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    bytes[18..20].copy_from_slice(&queue_number.to_be_bytes());
    bytes
}

/// NFQA_VERDICT_HDR.
fn verdict_attribute(code: u32, id: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0..2].copy_from_slice(&12_u16.to_ne_bytes());
    bytes[2..4].copy_from_slice(&2_u16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&code.to_be_bytes());
    bytes[8..12].copy_from_slice(&id.to_be_bytes());
    bytes
}

/// NFQA_MARK.
fn mark_attribute(mark: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0..2].copy_from_slice(&8_u16.to_ne_bytes());
    bytes[2..4].copy_from_slice(&3_u16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&mark.to_be_bytes());
    bytes
}

#[cfg(test)]
pub(super) mod tests;
