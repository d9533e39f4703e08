//! Recovery without a journal: everything that waits goes through its chain again.
//!
//! Nothing is lost, but packets that arrive meanwhile may overtake. Messages
//! about what was sent back still lie in the socket; they speak of packets that
//! are gone, and are told by their ids.

use seawall_messages::keeper::Layout;

use super::counters::{Row, rows};
use super::verdict::Verdicts;
use super::{QueueError, QueueSocket};
use crate::linux::layout::QueueId;

/// Up to which id messages of each queue are stale, by [`QueueId::index`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StaleIds {
    up_to: [Option<u32>; QueueId::COUNT],
}

impl StaleIds {
    /// Notes that everything up to `id` was sent back.
    fn set(&mut self, queue: QueueId, id: u32) {
        if let Some(limit) = self.up_to.get_mut(queue.index()) {
            *limit = Some(id);
        }
    }

    /// Whether a message that just came is stale. Ids come in order, so the
    /// first that isn't ends the search for its queue.
    pub(super) fn is_stale(&mut self, queue: QueueId, id: u32) -> bool {
        let Some(limit) = self.up_to.get_mut(queue.index()) else {
            return false;
        };
        match *limit {
            Some(last) if serial_difference(id, last) <= 0 => true,
            Some(_) => {
                *limit = None;
                false
            }
            None => false,
        }
    }
}

/// How much later `id` is than `than`, on the circle of 2^32 (as RFC 1982 does).
fn serial_difference(id: u32, than: u32) -> i32 {
    id.wrapping_sub(than).cast_signed()
}

/// Sends back what waits in those of our queues that this socket reads.
/// Returns how many packets, and the ids up to which messages are now stale.
pub(super) fn requeue(
    socket: &QueueSocket,
    layout: &Layout,
) -> Result<(u32, StaleIds), QueueError> {
    let port_id = socket.port_id()?;
    let mut verdicts = Verdicts::default();
    let mut stale = StaleIds::default();
    let mut packets = 0_u32;
    for Row { counters, .. } in rows()?.into_iter().filter(|row| row.port_id == port_id) {
        let Some(queue) = QueueId::from_number(counters.number, layout) else {
            continue;
        };
        stale.set(queue, counters.last_id);
        if counters.waiting > 0 {
            packets = packets.saturating_add(counters.waiting);
            verdicts.repeat_as_they_are(counters.number, counters.last_id);
        }
    }
    socket.send(&verdicts)?;
    Ok((packets, stale))
}

#[cfg(test)]
mod tests {
    use seawall_messages::Hook;

    use super::*;
    use crate::linux::layout::QueueKind;

    const QUEUE: QueueId = QueueId { hook: Hook::Input, kind: QueueKind::New };
    const OTHER: QueueId = QueueId { hook: Hook::Input, kind: QueueKind::Untracked };

    #[test]
    fn messages_up_to_the_limit_are_stale_even_around_zero() {
        let mut stale = StaleIds::default();
        stale.set(QUEUE, 2);
        for (queue, id, expected) in [
            (QUEUE, u32::MAX, true),
            (QUEUE, 0, true),
            (OTHER, 1, false),
            (QUEUE, 2, true),
            (QUEUE, 3, false),
            (QUEUE, 1, false),
        ] {
            assert_eq!(stale.is_stale(queue, id), expected, "{queue:?} {id}");
        }
    }
}
