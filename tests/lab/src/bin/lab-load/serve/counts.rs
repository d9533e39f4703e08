//! The account of one datagram socket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lab::report::{Times, UdpServed};

use crate::datagram::{Datagram, monotonic_ns};

/// Sequence numbers beyond this are not remembered one by one: 8 MiB a flow.
const REMEMBERED: u64 = 1 << 26;
/// Flows beyond this are counted, not remembered.
const FLOWS: usize = 65_536;
/// Delays are sampled at one datagram in so many.
const SAMPLED: u64 = 16;
const SAMPLES: usize = 1 << 20;

#[derive(Default)]
struct Flow {
    highest: Option<u64>,
    seen: Vec<u64>,
    received: u64,
}

/// Counts datagrams by flow.
pub(super) struct UdpCounts {
    report: UdpServed,
    flows: HashMap<u32, Flow>,
    last: Option<Instant>,
    longest_gap: Duration,
    delays_us: Vec<u64>,
}

impl UdpCounts {
    pub(super) fn new(port: u16) -> Self {
        Self {
            report: UdpServed { port, ..UdpServed::default() },
            flows: HashMap::new(),
            last: None,
            longest_gap: Duration::ZERO,
            delays_us: Vec::new(),
        }
    }

    /// Counts a datagram; true if its sender wants it back.
    pub(super) fn count(&mut self, bytes: &[u8]) -> bool {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        let Some(header) = Datagram::read(bytes) else {
            self.report.received += 1;
            return false;
        };
        if header.sequence.is_multiple_of(SAMPLED) && self.delays_us.len() < SAMPLES {
            self.delays_us.push(monotonic_ns().saturating_sub(header.sent_ns) / 1000);
        }
        if self.flows.len() < FLOWS || self.flows.contains_key(&header.flow) {
            let flow = self.flows.entry(header.flow).or_default();
            if flow.take(header.sequence, &mut self.report) {
                self.report.received += 1;
            }
        } else {
            self.report.received += 1;
        }
        header.wants_echo
    }

    pub(super) fn report(&self) -> UdpServed {
        let missing = |flow: &Flow| flow.highest.map_or(0, |highest| highest + 1 - flow.received);
        UdpServed {
            missing: self.flows.values().map(missing).sum(),
            longest_gap_us: self.longest_gap.as_micros() as u64,
            delay_us: Times::of(self.delays_us.clone()),
            ..self.report.clone()
        }
    }
}

impl Flow {
    /// Notes a sequence number; false if it was there before.
    fn take(&mut self, sequence: u64, report: &mut UdpServed) -> bool {
        if sequence < REMEMBERED {
            let (word, bit) = ((sequence / 64) as usize, 1 << (sequence % 64));
            if self.seen.len() <= word {
                self.seen.resize(word + 1, 0);
            }
            if self.seen[word] & bit != 0 {
                report.duplicated += 1;
                return false;
            }
            self.seen[word] |= bit;
        }
        match self.highest {
            Some(highest) if sequence < highest => report.reordered += 1,
            _ => self.highest = Some(sequence),
        }
        self.received += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::HEADER_BYTES;

    #[test]
    fn duplicates_gaps_and_late_datagrams_are_told_apart() {
        let mut counts = UdpCounts::new(9);
        for sequence in [0, 1, 4, 3, 3, 5] {
            let mut bytes = [0; HEADER_BYTES];
            Datagram { wants_echo: false, flow: 1, sequence, sent_ns: 0 }.write(&mut bytes);
            assert!(!counts.count(&bytes));
        }
        let report = counts.report();
        assert_eq!(
            (report.received, report.duplicated, report.reordered, report.missing),
            (5, 1, 1, 1)
        );
    }
}
