//! A component, as the supervisor holds it.

use crate::body::Body;
use crate::incarnation::Incarnation;
use crate::kernel::health::{Activity, Watch};
use crate::kernel::plan::Phase;
use crate::slot::Member;
use crate::sync::Arc;

/// See the module.
pub(in crate::kernel) struct Seat {
    pub(super) member: Arc<dyn Member>,
    pub(super) body: Box<dyn Body>,
    /// The incarnation that lives, unless it was given up.
    pub(super) current: Option<Arc<Incarnation>>,
    pub(super) watch: Watch,
}

impl Seat {
    pub(in crate::kernel) fn new(member: Arc<dyn Member>, body: Box<dyn Body>) -> Self {
        Self { member, body, current: None, watch: Watch::new() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.member.vitals().spec.name
    }

    /// What its incarnation is seen doing.
    pub(super) fn activity(&self, phase: Phase) -> Activity {
        let Some(incarnation) = &self.current else { return Activity::Resting };
        if incarnation.is_over() || phase == Phase::Stopping {
            return Activity::Ending;
        }
        if phase == Phase::Starting {
            return Activity::Starting;
        }
        match incarnation.busy_since_ns() {
            0 => self.member.waiting_since_take().map_or(Activity::Resting, Activity::Ignoring),
            since => Activity::Busy(since),
        }
    }
}
