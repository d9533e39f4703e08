//! What happens to components, as log lines and counters.

use crate::incarnation::Incarnation;

/// An incarnation begins.
pub(super) fn starting(incarnation: &Incarnation) {
    let component = incarnation.vitals.spec.name;
    tracing::debug!(component, generation = incarnation.generation.0, "Component starts");
}

/// An incarnation ended although it was not to.
pub(super) fn failed(incarnation: &Incarnation, reason: &str) {
    let component = incarnation.vitals.spec.name;
    tracing::warn!(component, generation = incarnation.generation.0, reason, "Component failed");
}

/// An incarnation is given up.
pub(super) fn hung(incarnation: &Incarnation) {
    incarnation.vitals.count_hang();
    let component = incarnation.vitals.spec.name;
    tracing::warn!(
        component,
        generation = incarnation.generation.0,
        "Component is hung: abandoned"
    );
}

/// The tree gives up.
pub(super) fn fatal(reason: &str) {
    tracing::error!(reason, "Supervision gives up");
}
