use seawall_messages::Hook;

use super::*;
use crate::linux::layout::QueueKind;

fn packet(kind: QueueKind, id: u32) -> Packet {
    Packet {
        slot: Slot(0),
        queue: QueueId { hook: Hook::Output, kind },
        id,
        mark: 0,
        uid: None,
        in_interface: None,
        out_interface: None,
        headers: None,
        length_bytes: 0,
        crashes: 0,
    }
}

#[test]
fn held_packets_are_ordered_by_queue_and_serial_id() {
    let mut packets = [
        packet(QueueKind::Untracked, 5),
        packet(QueueKind::New, 1),
        packet(QueueKind::New, u32::MAX),
        packet(QueueKind::Untracked, 4),
        packet(QueueKind::New, 0),
        packet(QueueKind::New, u32::MAX - 1),
    ];
    sort_by_arrival(&mut packets);
    let order: Vec<_> = packets.iter().map(|packet| (packet.queue.kind, packet.id)).collect();
    assert_eq!(
        order,
        [
            (QueueKind::New, u32::MAX - 1),
            (QueueKind::New, u32::MAX),
            (QueueKind::New, 0),
            (QueueKind::New, 1),
            (QueueKind::Untracked, 4),
            (QueueKind::Untracked, 5),
        ]
    );
}

#[test]
fn headers_that_killed_twice_are_not_read_again() {
    let mut payload = vec![0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    payload.extend([0, 80, 0, 81]);
    let queued = Queued {
        queue_number: 0,
        id: 1,
        mark: 0,
        uid: None,
        in_interface: None,
        out_interface: None,
        length_bytes: 24,
        payload: &payload,
    };
    let queue = QueueId { hook: Hook::Output, kind: QueueKind::New };
    let headers = |crashes| describe(Slot(0), queue, &queued, crashes).headers;
    assert!(headers(0).is_some());
    assert!(headers(1).is_some());
    assert_eq!(headers(2), None);
}
