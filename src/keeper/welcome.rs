//! How a worker is greeted: what it has to know, and every kept descriptor.

use std::time::Instant;

use seawall_messages::keeper::{PROTOCOL_VERSION, ToWorker};
use seawall_platform::linux::link::LinkError;

use super::Keeper;
use super::child::Worker;

/// Answers `Hello`. A worker of another version is told ours, and ends itself.
pub(super) fn send(keeper: &Keeper, worker: &Worker, version: u16) -> Result<(), LinkError> {
    let descriptors =
        if version == PROTOCOL_VERSION { keeper.descriptors.all() } else { Vec::new() };
    let welcome = ToWorker::Welcome {
        version: PROTOCOL_VERSION,
        layout: keeper.layout,
        backend: keeper.firewall.backend().to_owned(),
        recent_crashes: keeper.crashes.recent(Instant::now()),
        crashes: keeper.crashes.total(),
        rules: keeper.firewall.wanted().cloned(),
        descriptors: u32::try_from(descriptors.len()).unwrap_or(u32::MAX),
    };
    worker.link.send_to_worker(&welcome, None)?;
    for (name, descriptor) in descriptors {
        let frame = ToWorker::Descriptor { name: name.to_owned() };
        worker.link.send_to_worker(&frame, Some(descriptor))?;
    }
    Ok(())
}
