//! What connections and apps moved: looked at now and then, and for whoever asks.

use std::collections::HashSet;
use std::time::Instant;

use seawall_messages::process::{Attribution, FlowUse, Method, Traffic};
use seawall_messages::{Flow, Snapshot};
use seawall_platform::linux::ebpf;
use seawall_runtime::LeaseError;

use super::{Counting, Processes};
use crate::events;
use crate::ledger::Counter;

impl Processes {
    /// A connection's owner and traffic: found now, if nobody asked before.
    pub(super) fn flow_use(
        &mut self,
        flow: &Flow,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<FlowUse, LeaseError> {
        let known = self.ledger.with(|ledger| ledger.flow_use(flow, now))?;
        if let Some(known) = &known
            && known.attribution.method != Method::Unidentified
        {
            return Ok(known.clone());
        }
        let unknown = FlowUse {
            attribution: Attribution::unidentified(),
            traffic: None,
            rates: None,
            socket: None,
        };
        let Some(found) = self.finder.find_noted(flow, snapshot) else {
            return Ok(known.unwrap_or(unknown));
        };
        self.ledger.with(|ledger| ledger.note(*flow, &found, now))?;
        if let Some(cookie) = found.cookie {
            self.look_at(cookie, now)?;
        }
        Ok(self.ledger.with(|ledger| ledger.flow_use(flow, now))?.unwrap_or(unknown))
    }

    /// For lists, which many may ask for: a look at many sockets takes its time, and
    /// verdicts wait behind it.
    pub(super) fn look_if_due(&mut self, now: Instant) -> Result<(), LeaseError> {
        if self.pace.is_due(now) { self.look(now) } else { Ok(()) }
    }

    /// Looks at what all sockets moved.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), LeaseError> {
        match self.arguments.counting {
            Counting::Connections => self.look_at_tracked(now)?,
            Counting::Sockets => {
                for cookie in self.ledger.with(|ledger| ledger.sockets(now))? {
                    self.look_at(cookie, now)?;
                }
            }
            Counting::Nothing => {}
        }
        if let Some(notes) = &self.arguments.notes {
            events::lost(&notes.losses());
        }
        self.pace.done(now, now.elapsed());
        Ok(())
    }

    fn look_at(&self, cookie: u64, now: Instant) -> Result<(), LeaseError> {
        let counted = self.arguments.notes.as_ref().and_then(|notes| notes.traffic(cookie));
        if let Some(counted) = counted {
            self.looked(Counter::Socket(cookie), ebpf::traffic_of(&counted), now)?;
        }
        Ok(())
    }

    fn look_at_tracked(&mut self, now: Instant) -> Result<(), LeaseError> {
        let connections = self.ledger.with(|ledger| ledger.connections())?;
        let Some(tracked) = self.tracked.as_mut().filter(|_| !connections.is_empty()) else {
            return Ok(());
        };
        let counted = match tracked.traffic(&connections) {
            Ok(counted) => counted,
            Err(error) => {
                events::counts_failed(&error);
                return Ok(());
            }
        };
        let still: HashSet<Flow> = counted.iter().map(|(flow, _)| *flow).collect();
        for (flow, traffic) in counted {
            self.looked(Counter::Connection(flow), traffic, now)?;
        }
        self.ledger.with(|ledger| ledger.ended_but(&still, now))
    }

    fn looked(&self, counter: Counter, traffic: Traffic, now: Instant) -> Result<(), LeaseError> {
        if let Some((app, new)) = self.ledger.with(|ledger| ledger.looked(counter, traffic, now))? {
            events::moved(&app, new);
        }
        Ok(())
    }
}
