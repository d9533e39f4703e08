//! What the kernel counts per queue, in /proc/net/netfilter/nfnetlink_queue.

use seawall_messages::keeper::Layout;

use super::QueueError;
use crate::linux::layout::QueueId;

/// The table of the calling thread's network namespace.
const TABLE: &str = "/proc/thread-self/net/netfilter/nfnetlink_queue";

/// Counters of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// The queue's number.
    pub number: u16,
    /// Packets that wait.
    pub waiting: u32,
    /// Dropped because the queue was full.
    pub dropped_full: u64,
    /// Dropped because the socket's buffer was full.
    pub dropped_buffer: u64,
    /// The last id given.
    pub last_id: u32,
}

/// Counters of our queues in this network namespace.
pub fn counters(layout: &Layout) -> Result<Vec<QueueCounters>, QueueError> {
    let ours = |row: &Row| QueueId::from_number(row.counters.number, layout).is_some();
    Ok(rows()?.into_iter().filter(ours).map(|row| row.counters).collect())
}

/// A queue and the netlink address of the socket that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) counters: QueueCounters,
    pub(super) port_id: u32,
}

/// All queues of this network namespace, ours or not.
pub(super) fn rows() -> Result<Vec<Row>, QueueError> {
    let table = std::fs::read_to_string(TABLE).map_err(|source| QueueError::System {
        doing: "read the counters of the packet queues",
        source,
    })?;
    Ok(table.lines().filter_map(row).collect())
}

/// Columns: number, socket, waiting, copy mode, copy range, dropped by the
/// queue, dropped by the socket, last id, 1.
fn row(line: &str) -> Option<Row> {
    let mut columns = line.split_ascii_whitespace();
    let number = columns.next()?.parse().ok()?;
    let port_id = columns.next()?.parse().ok()?;
    let waiting = columns.next()?.parse().ok()?;
    let mut columns = columns.skip(2);
    let dropped_full = columns.next()?.parse().ok()?;
    let dropped_buffer = columns.next()?.parse().ok()?;
    let last_id = columns.next()?.parse().ok()?;
    let counters = QueueCounters { number, waiting, dropped_full, dropped_buffer, last_id };
    Some(Row { counters, port_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_nonsense_is_passed_over() {
        let counters = QueueCounters {
            number: 7300,
            waiting: 12,
            dropped_full: 3,
            dropped_buffer: 4,
            last_id: 4_294_967_295,
        };
        for (line, expected) in [
            (
                " 7300  31337    12 2   128     3     4 4294967295  1",
                Some(Row { counters, port_id: 31337 }),
            ),
            (
                " 7300 4294963200  12 2 128 3 4 4294967295  1",
                Some(Row { counters, port_id: 4_294_963_200 }),
            ),
            ("", None),
            (" 7300  31337    12 2   128     3", None),
            ("70000  31337    12 2   128     3     4  9  1", None),
            ("queue socket waiting", None),
        ] {
            assert_eq!(row(line), expected, "{line:?}");
        }
    }
}
