use proptest::prelude::*;

use super::*;

const V4_SOURCE: [u8; 4] = [10, 1, 2, 3];
const V4_DESTINATION: [u8; 4] = [192, 0, 2, 7];

/// Hop by hop, routing, destination options: eight bytes that name the next header.
fn options(next: u8) -> Vec<u8> {
    vec![next, 0, 1, 4, 0, 0, 0, 0]
}

fn fragment(next: u8, offset_units: u16, more: bool) -> Vec<u8> {
    let offset = (offset_units << 3 | u16::from(more)).to_be_bytes();
    vec![next, 0, offset[0], offset[1], 0, 0, 0, 9]
}

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_with(protocol, 0, &[], payload)
}

fn v4_with(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_bytes = 20 + options.len();
    let total = u16::try_from(header_bytes + payload.len()).unwrap().to_be_bytes();
    let fragment = fragment.to_be_bytes();
    let version = 0x40 | u8::try_from(header_bytes / 4).unwrap();
    let mut packet =
        vec![version, 0, total[0], total[1], 0, 1, fragment[0], fragment[1], 64, protocol, 0, 0];
    packet.extend(V4_SOURCE);
    packet.extend(V4_DESTINATION);
    packet.extend(options);
    packet.extend(payload);
    packet
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 63];
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).octets());
    packet.extend(payload);
    packet
}

fn tcp() -> Vec<u8> {
    let mut header = vec![0xc3, 0x50, 0x01, 0xbb];
    header.resize(20, 0);
    header
}

const PORTS: Transport = Transport::Ports { initiator: 50_000, responder: 443 };

fn chain(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn headers_are_read() {
    let echo = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
    let echo_v6 = [128, 0, 0, 0, 0x12, 0x34, 0, 1];
    let unreachable = [3, 13, 0, 0, 0x12, 0x34, 0, 1];
    let identified = |kind| Transport::Icmp { kind, code: 0, identifier: 0x1234 };
    let mut jumbo = v6(6, &tcp());
    jumbo[4..6].fill(0);
    let mut big_tcp = v4(6, &tcp());
    big_tcp[2..4].fill(0);
    let mut short_total = v4(6, &tcp());
    short_total[3] = 22;
    let mut bad_header_length = v4(6, &tcp());
    bad_header_length[0] = 0x44;
    let authenticated = chain(&[vec![6, 4, 0, 0], vec![0; 20], tcp()]);
    let cases: &[(&str, Vec<u8>, u8, Transport)] = &[
        ("TCP", v4(6, &tcp()), 6, PORTS),
        ("UDP", v4(17, &tcp()), 17, PORTS),
        ("DCCP", v4(33, &tcp()), 33, PORTS),
        ("SCTP", v4(132, &tcp()), 132, PORTS),
        ("UDP-Lite", v4(136, &tcp()), 136, PORTS),
        ("IPv4 options", v4_with(6, 0, &[1; 40], &tcp()), 6, PORTS),
        ("first fragment", v4_with(17, 0x2000, &[], &tcp()), 17, PORTS),
        ("later fragment", v4_with(17, 0x2001, &[], &tcp()), 17, Transport::Truncated),
        ("last fragment", v4_with(17, 0x0010, &[], &tcp()), 17, Transport::Truncated),
        ("don't fragment", v4_with(17, 0x4000, &[], &tcp()), 17, PORTS),
        ("three bytes of TCP", v4(6, &[0xc3, 0x50, 1]), 6, Transport::Truncated),
        ("ports behind the packet's end", short_total, 6, Transport::Truncated),
        ("total length zero (BIG TCP)", big_tcp, 6, PORTS),
        ("header length below 20", bad_header_length, 6, Transport::Truncated),
        ("echo request", v4(1, &echo), 1, identified(8)),
        ("echo cut short", v4(1, &echo[..5]), 1, Transport::Truncated),
        ("one byte of ICMP", v4(1, &echo[..1]), 1, Transport::Truncated),
        (
            "unreachable",
            v4(1, &unreachable),
            1,
            Transport::Icmp { kind: 3, code: 13, identifier: 0 },
        ),
        ("ICMPv6 in IPv4", v4(58, &echo_v6), 58, Transport::Portless),
        ("GRE", v4(47, &[0; 8]), 47, Transport::Portless),
        ("ESP", v4(50, &[]), 50, Transport::Portless),
        ("AH in IPv4", v4(51, &authenticated), 51, Transport::Portless),
        ("TCP over IPv6", v6(6, &tcp()), 6, PORTS),
        ("jumbogram", jumbo, 6, PORTS),
        ("echo over IPv6", v6(58, &echo_v6), 58, identified(128)),
        ("ICMP in IPv6", v6(1, &echo), 1, Transport::Portless),
        ("hop by hop", v6(0, &chain(&[options(6), tcp()])), 6, PORTS),
        ("routing, destination", v6(43, &chain(&[options(60), options(17), tcp()])), 17, PORTS),
        ("mobility, HIP", v6(135, &chain(&[options(139), options(6), tcp()])), 6, PORTS),
        ("shim6", v6(140, &chain(&[options(6), tcp()])), 6, PORTS),
        ("AH", v6(51, &authenticated), 6, PORTS),
        ("ESP over IPv6", v6(50, &tcp()), 50, Transport::Portless),
        ("no next header", v6(59, &tcp()), 59, Transport::Portless),
        ("unknown next header", v6(253, &tcp()), 253, Transport::Portless),
        ("first fragment, v6", v6(44, &chain(&[fragment(6, 0, true), tcp()])), 6, PORTS),
        ("atomic fragment", v6(44, &chain(&[fragment(6, 0, false), tcp()])), 6, PORTS),
        (
            "later fragment, v6",
            v6(44, &chain(&[fragment(6, 1, false), tcp()])),
            6,
            Transport::Truncated,
        ),
        ("chain cut short", v6(0, &options(6)[..5]), 0, Transport::Truncated),
        ("chain without its end", v6(0, &options(60)), 60, Transport::Truncated),
        ("chain without TCP", v6(0, &options(6)), 6, Transport::Truncated),
        (
            "fifteen extensions",
            v6(60, &chain(&[options(60).repeat(14), options(6), tcp()])),
            6,
            PORTS,
        ),
        ("endless chain", v6(60, &options(60).repeat(100)), 60, Transport::Truncated),
    ];
    for (name, bytes, protocol, transport) in cases {
        let headers = parse(bytes).unwrap_or_else(|| panic!("{name}: nothing read"));
        assert_eq!((headers.protocol.0, headers.transport), (*protocol, *transport), "{name}");
        let v4 = headers.source.is_ipv4();
        assert_eq!(headers.hop_limit, if v4 { 64 } else { 63 }, "{name}");
        let ends = if v4 { ("10.1.2.3", "192.0.2.7") } else { ("2001:db8::1", "2001:db8::2") };
        assert_eq!(headers.source.to_string(), ends.0, "{name}");
        assert_eq!(headers.destination.to_string(), ends.1, "{name}");
    }
}

#[test]
fn without_addresses_there_is_no_answer() {
    assert_eq!(parse(&[]), None);
    assert_eq!(parse(&v4(6, &tcp())[..19]), None);
    assert_eq!(parse(&v6(6, &tcp())[..39]), None);
    for version in [0x00, 0x50, 0xf0] {
        let mut packet = v6(6, &tcp());
        packet[0] = version;
        assert_eq!(parse(&packet), None);
    }
}

/// Packets of every kind, whole.
fn any_valid() -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..64);
    let extension = prop::sample::select(vec![0_u8, 43, 44, 51, 60, 135, 139, 140]);
    let extensions = prop::collection::vec((extension, 0_u8..3, any::<[u8; 6]>()), 0..6);
    prop_oneof![
        (any::<u8>(), any::<u16>(), 0_usize..11, payload()).prop_map(
            |(protocol, fragment, words, payload)| {
                v4_with(protocol, fragment, &vec![1; words * 4], &payload)
            }
        ),
        (extensions, any::<u8>(), payload()).prop_map(|(extensions, last, payload)| {
            let mut next = last;
            let mut bytes = payload;
            for (kind, units, body) in extensions.into_iter().rev() {
                let units = if kind == 44 { 0 } else { units };
                let length = if kind == 51 {
                    8 + usize::from(units) * 4
                } else {
                    8 + usize::from(units) * 8
                };
                let mut header = vec![next, units];
                header.extend(body);
                header.resize(length, 0);
                header.extend(bytes);
                bytes = header;
                next = kind;
            }
            v6(next, &bytes)
        }),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let answer = parse(&bytes);
        prop_assert!(answer.is_some() || bytes.len() < 40 || !matches!(bytes[0] >> 4, 4 | 6));
    }

    #[test]
    fn any_cut_or_change_gives_an_answer(
        packet in any_valid(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = packet.clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        parse(&bytes);
    }

    /// What a cut packet says is what the whole one says, or less.
    #[test]
    fn a_cut_packet_never_tells_other_ports(
        packet in any_valid(),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = parse(&packet).expect("valid packets have addresses");
        if let Some(part) = parse(&packet[..cut.index(packet.len() + 1)]) {
            prop_assert_eq!((part.source, part.destination), (whole.source, whole.destination));
            prop_assert!(part.transport == whole.transport || part.transport == Transport::Truncated);
        }
    }
}
