//! A look into the tree, for the command, the API and metrics.

use metrics::{counter, gauge};

use crate::slot::Member;
use crate::status::ComponentStatus;
use crate::sync::{Arc, Mutex, lock};
use crate::vitals::{BUCKETS, Counts};

/// Looks into the tree. Made before the tree starts
/// ([`super::TreeBuilder::introspect`]), so that the API can hold one.
#[derive(Clone, Default)]
pub struct Introspect {
    members: Arc<Mutex<Vec<Observed>>>,
}

struct Observed {
    member: Arc<dyn Member>,
    /// The buckets of handling times, as published last.
    published: [u64; BUCKETS],
}

/// What is published of the handling time: metrics, and the share of messages
/// that took no longer.
const HANDLING_TIMES: [(&str, f64); 3] = [
    ("seawall_component_handle_median_seconds", 0.5),
    ("seawall_component_handle_p99_seconds", 0.99),
    ("seawall_component_handle_longest_seconds", 1.0),
];

impl Introspect {
    /// All components, in the order of declaration.
    pub fn components(&self) -> Vec<ComponentStatus> {
        let members = lock(&self.members);
        members.iter().map(|it| it.member.vitals().status(it.member.depth())).collect()
    }

    /// Brings the metrics of all components up to date. To be called before
    /// they are read: nothing is published while messages are handled. The
    /// handling times are those since the last call, within a factor of two.
    pub fn publish_metrics(&self) {
        for observed in lock(&self.members).iter_mut() {
            let vitals = observed.member.vitals();
            let component = vitals.spec.name;
            let Counts { restarts, hangs, refused, handled, buckets } = vitals.counts();
            let depth = u32::try_from(observed.member.depth()).unwrap_or(u32::MAX);
            counter!("seawall_component_restarts_total", "component" => component)
                .absolute(restarts);
            counter!("seawall_component_hangs_total", "component" => component).absolute(hangs);
            counter!("seawall_component_refused_total", "component" => component).absolute(refused);
            counter!("seawall_component_handled_total", "component" => component).absolute(handled);
            gauge!("seawall_component_mailbox_depth_messages", "component" => component).set(depth);
            let new = std::array::from_fn(|n| buckets[n].saturating_sub(observed.published[n]));
            for (metric, share) in HANDLING_TIMES {
                if let Some(seconds) = quantile(&new, share) {
                    gauge!(metric, "component" => component).set(seconds);
                }
            }
            observed.published = buckets;
        }
    }

    /// Injects a fault. Errors: no component of that name.
    #[cfg(feature = "fault-injection")]
    pub fn inject(&self, component: &str, fault: crate::fault::Fault) -> Result<(), String> {
        let members = lock(&self.members);
        let observed = members
            .iter()
            .find(|it| it.member.vitals().spec.name == component)
            .ok_or_else(|| format!("no component is named {component}"))?;
        tracing::warn!(component, fault = ?fault, "Fault injected");
        observed.member.vitals().faults.inject(&fault);
        observed.member.wake();
        Ok(())
    }

    /// Sets the faults of the environment variable `SEAWALL_FAULTS`.
    #[cfg(feature = "fault-injection")]
    pub(super) fn prepare_faults(&self) -> Result<(), String> {
        let Ok(list) = std::env::var("SEAWALL_FAULTS") else { return Ok(()) };
        let faults = crate::fault::active::parse(&list)?;
        let members = lock(&self.members);
        for (component, fault) in faults {
            let observed = members
                .iter()
                .find(|it| it.member.vitals().spec.name == component)
                .ok_or_else(|| format!("SEAWALL_FAULTS: no component is named {component}"))?;
            tracing::warn!(component, fault = ?fault, "Fault injected before the start");
            observed.member.vitals().faults.prepare(&fault);
        }
        Ok(())
    }

    pub(super) fn add(&self, member: Arc<dyn Member>) {
        lock(&self.members).push(Observed { member, published: [0; BUCKETS] });
    }
}

/// The time within which that share of the messages was handled, in seconds:
/// the upper end of its bucket. None where there were none.
fn quantile(buckets: &[u64; BUCKETS], share: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    // Precise enough: a count of messages between two scrapes.
    let rank = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    let bucket = buckets.iter().position(|count| {
        seen += count;
        seen >= rank
    })?;
    let exponent = i32::try_from(bucket).unwrap_or(i32::MAX);
    Some(2_f64.powi(exponent) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_upper_end_of_their_bucket() {
        let mut buckets = [0; BUCKETS];
        assert_eq!(quantile(&buckets, 0.5), None);
        buckets[10] = 98;
        buckets[20] = 2;
        for (share, bucket) in [(0.0, 10), (0.5, 10), (0.98, 10), (0.99, 20), (1.0, 20)] {
            assert_eq!(quantile(&buckets, share), Some(f64::from(1 << bucket) / 1e9), "{share}");
        }
    }
}
