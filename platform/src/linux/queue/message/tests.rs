use proptest::prelude::*;

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, body: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = u32::try_from(16 + body.len() + attributes.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(body);
    bytes.extend(attributes);
    bytes
}

fn packet(attributes: &[Vec<u8>]) -> Vec<u8> {
    message(PACKET, &[2, 0, 0x1c, 0x84], attributes)
}

fn packet_header() -> Vec<u8> {
    attribute(1, &[0, 0, 0, 9, 8, 0, 3])
}

fn full() -> Vec<u8> {
    packet(&[
        packet_header(),
        attribute(5, &2_u32.to_be_bytes()),
        attribute(6, &3_u32.to_be_bytes()),
        attribute(3, &0xff00_0001_u32.to_be_bytes()),
        attribute(16, &1000_u32.to_be_bytes()),
        attribute(99, b"something of a later kernel"),
        attribute(13, &34_000_u32.to_be_bytes()),
        attribute(10, &[0x45, 1, 2, 3, 4, 5]),
    ])
}

#[test]
fn a_packet_is_read_whole() {
    assert_eq!(
        read(&full()),
        Message::Packet(Queued {
            queue_number: 7300,
            id: 9,
            mark: 0xff00_0001,
            uid: Some(1000),
            in_interface: Some(2),
            out_interface: Some(3),
            length_bytes: 34_000,
            payload: &[0x45, 1, 2, 3, 4, 5],
        })
    );
}

#[test]
fn what_is_missing_is_none_and_the_length_is_that_of_the_payload() {
    let bytes = packet(&[packet_header(), attribute(10, &[0x45; 30])]);
    let Message::Packet(packet) = read(&bytes) else {
        panic!("no packet");
    };
    assert_eq!(
        (packet.mark, packet.uid, packet.in_interface, packet.out_interface),
        (0, None, None, None)
    );
    assert_eq!((packet.length_bytes, packet.payload.len()), (30, 30));
}

#[test]
fn a_cut_packet_keeps_its_id_and_says_how_long_it_was() {
    let bytes = packet(&[packet_header(), attribute(10, &[0x45; 300])]);
    let Message::Packet(packet) = read(&bytes[..100]) else {
        panic!("no packet");
    };
    assert_eq!((packet.id, packet.length_bytes), (9, 300));
    assert!(packet.payload.len() < 100);
}

#[test]
fn other_messages_are_told_apart() {
    let refused = |code: i32| message(ERROR, &code.to_ne_bytes(), &[]);
    for (name, bytes, expected) in [
        ("error", refused(-2), Message::Refused { errno: 2 }),
        ("acknowledgement", refused(0), Message::Refused { errno: 0 }),
        ("smallest number", refused(i32::MIN), Message::Refused { errno: i32::MAX }),
        ("packet without id", packet(&[attribute(10, &[1])]), Message::Other),
        ("id too short", packet(&[attribute(1, &[0, 0, 9])]), Message::Other),
        (
            "attribute shorter than its header",
            packet(&[vec![2, 0, 1, 0, 0, 0, 0, 9]]),
            Message::Other,
        ),
        ("no-op", message(1, &[0; 4], &[]), Message::Other),
        ("header only", full()[..16].to_vec(), Message::Other),
        ("nothing", Vec::new(), Message::Other),
    ] {
        assert_eq!(read(&bytes), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read(&bytes);
    }

    #[test]
    fn any_cut_or_change_of_a_packet_is_read(
        cut in 0_usize..200,
        place in 4_usize..100,
        value in any::<u8>(),
    ) {
        let mut bytes = full();
        bytes.truncate(cut.max(1));
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        read(&bytes);
    }
}
