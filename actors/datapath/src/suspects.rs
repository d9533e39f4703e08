//! Whom to blame for a crash, and what to do about it.
//!
//! Before a packet is judged, the service that it calls is noted. A successor
//! finds the note of the one that crashed: after two crashes over the same
//! service its packets are denied for a minute without a look, and nobody
//! else's. Crashes that no packet explains are counted apart: after two in ten
//! seconds whatever was held may be the cause, and is dropped.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use seawall_messages::{Direction, Flow, Protocol};

/// How long a crash counts.
const WINDOW: Duration = Duration::from_secs(10);
/// Crashes that are enough, blamed or not.
const CRASHES_ENOUGH: usize = 2;
/// How long a service is denied.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(60);
/// Services that are remembered; beyond it the one whose time ends first is forgotten.
const MOST_SERVICES: usize = 1_024;

/// What connections to one port of one host have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    direction: Direction,
    protocol: Protocol,
    responder: IpAddr,
    port: Option<u16>,
}

/// Crashes of late, kept beyond incarnations.
#[derive(Debug, Default)]
pub struct Suspects {
    in_hand: Option<Service>,
    blamed: HashMap<Service, Blame>,
    unexplained: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Blame {
    crashes: usize,
    until: Instant,
}

impl From<&Flow> for Service {
    fn from(flow: &Flow) -> Self {
        Self {
            direction: flow.direction,
            protocol: flow.protocol,
            responder: flow.responder,
            port: flow.destination_port(),
        }
    }
}

impl Suspects {
    /// Nobody is blamed; `crashes` of earlier workers have just happened, for all that is known.
    pub fn after(crashes: u32, now: Instant) -> Self {
        let crashes = usize::try_from(crashes).unwrap_or(CRASHES_ENOUGH).min(CRASHES_ENOUGH);
        Self { unexplained: std::iter::repeat_n(now, crashes).collect(), ..Self::default() }
    }

    /// Notes what is about to be judged. `false`: it is quarantined, don't look at it.
    pub(crate) fn take(&mut self, flow: &Flow, now: Instant) -> bool {
        let service = Service::from(flow);
        if !self.blamed.is_empty() && self.is_quarantined(&service, now) {
            return false;
        }
        self.in_hand = Some(service);
        true
    }

    /// Nothing is being judged.
    pub(crate) fn put_down(&mut self) {
        self.in_hand = None;
    }

    /// The incarnation before this one crashed or was abandoned.
    pub(crate) fn crashed(&mut self, now: Instant) {
        match self.in_hand.take() {
            Some(service) => self.blame(service, 1, now),
            None => {
                self.unexplained.push_back(now);
                while self.unexplained.len() > CRASHES_ENOUGH {
                    self.unexplained.pop_front();
                }
            }
        }
    }

    /// Denies a service from now on: its judgement crashed another component often enough.
    pub(crate) fn quarantine(&mut self, flow: &Flow, now: Instant) {
        self.blame(Service::from(flow), CRASHES_ENOUGH, now);
    }

    /// Whether a service is denied.
    pub(crate) fn is_quarantined(&self, service: &Service, now: Instant) -> bool {
        self.blamed
            .get(service)
            .is_some_and(|blame| blame.crashes >= CRASHES_ENOUGH && now < blame.until)
    }

    /// Whether anything that was held may be the cause of crashes.
    pub(crate) fn distrusts_held(&self, now: Instant) -> bool {
        let recent = self.unexplained.iter().filter(|at| now.duration_since(**at) < WINDOW);
        recent.count() >= CRASHES_ENOUGH
    }

    fn blame(&mut self, service: Service, crashes: usize, now: Instant) {
        self.blamed.retain(|_, blame| now < blame.until);
        if self.blamed.len() >= MOST_SERVICES
            && let Some(first) =
                self.blamed.iter().min_by_key(|(_, blame)| blame.until).map(|(key, _)| *key)
        {
            self.blamed.remove(&first);
        }
        let until = now + QUARANTINE;
        let blame = self.blamed.entry(service).or_insert(Blame { crashes: 0, until });
        blame.crashes += crashes;
        blame.until = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_messages::Transport;

    fn flow(source_port: u16, port: u16) -> Flow {
        Flow {
            direction: Direction::Outbound,
            protocol: Protocol::TCP,
            initiator: [10, 0, 0, 1].into(),
            responder: [10, 0, 0, 2].into(),
            transport: Transport::Ports { initiator: source_port, responder: port },
        }
    }

    #[test]
    fn two_unexplained_crashes_within_ten_seconds_cost_the_held_packets() {
        let start = Instant::now();
        let mut suspects = Suspects::default();
        suspects.crashed(start);
        assert!(!suspects.distrusts_held(start));
        suspects.crashed(start + Duration::from_secs(9));
        assert!(suspects.distrusts_held(start + Duration::from_secs(9)));
        assert!(!suspects.distrusts_held(start + Duration::from_secs(11)));
    }

    #[test]
    fn crashes_of_earlier_workers_count() {
        let now = Instant::now();
        assert!(!Suspects::after(1, now).distrusts_held(now));
        assert!(Suspects::after(7, now).distrusts_held(now));
    }

    #[test]
    fn the_service_in_hand_is_blamed_and_nobody_else_suffers() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for source_port in [1, 2] {
            assert!(suspects.take(&flow(source_port, 666), now));
            suspects.crashed(now);
        }
        assert!(!suspects.distrusts_held(now));
        assert!(!suspects.take(&flow(3, 666), now));
        assert!(suspects.take(&flow(4, 80), now));
        assert!(suspects.take(&flow(5, 666), now + QUARANTINE));
    }

    #[test]
    fn what_was_put_down_is_not_blamed() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for _ in 0..2 {
            assert!(suspects.take(&flow(1, 80), now));
            suspects.put_down();
            suspects.crashed(now);
        }
        assert!(suspects.take(&flow(1, 80), now));
        assert!(suspects.distrusts_held(now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for port in 0..5_000 {
            suspects.quarantine(&flow(1, port), now);
        }
        assert!(suspects.blamed.len() <= MOST_SERVICES);
    }
}
