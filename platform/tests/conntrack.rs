//! Connection tracking against the kernel's own, with real flows.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use seawall_messages::Protocol;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::conntrack::{Accounting, Conntrack, Count, Entry, count_traffic};
use seawall_platform::linux::layout::{Epoch, MarkAction, denied_label, kept_mark_label, label};

#[path = "support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;

use host::Host;

const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A host that tracks connections, with room for labels.
fn labelling_host() -> Host {
    let host = Host::new();
    for iptables in ["iptables-nft", "ip6tables-nft"] {
        host.run(&format!("{iptables} -t mangle -A OUTPUT -m connlabel --label 127"));
        host.run(&format!("{iptables} -t mangle -A OUTPUT -m conntrack --ctstate NEW"));
    }
    host
}

fn only(entries: &[Entry], protocol: Protocol, local: SocketAddr) -> Entry {
    let found: Vec<_> = entries
        .iter()
        .filter(|entry| entry.original.protocol == protocol)
        .filter(|entry| SocketAddr::new(entry.original.source, entry.original.source_port) == local)
        .collect();
    assert_eq!(found.len(), 1, "{local} in {entries:?}");
    *found[0]
}

#[test]
fn flows_of_both_families_are_listed_with_their_tuples() {
    let host = labelling_host();
    host.on(|| {
        for loopback in LOOPBACKS {
            let listener = TcpListener::bind(loopback).unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let receiver = UdpSocket::bind(loopback).unwrap();
            let sender = UdpSocket::bind(loopback).unwrap();
            sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();

            let entries = Conntrack::open().unwrap().list().unwrap();
            for (protocol, local, remote) in [
                (Protocol::TCP, stream.local_addr().unwrap(), listener.local_addr().unwrap()),
                (Protocol::UDP, sender.local_addr().unwrap(), receiver.local_addr().unwrap()),
            ] {
                let entry = only(&entries, protocol, local);
                assert_eq!(entry.original.destination, remote.ip());
                assert_eq!(entry.original.destination_port, remote.port());
                assert_eq!(entry.reply.source, remote.ip());
                assert_eq!(entry.reply.source_port, remote.port());
                assert_eq!((entry.mark, entry.labels), (0, None));
            }
        }
    });
}

#[test]
fn pings_are_listed_and_deleted_in_both_families() {
    let host = labelling_host();
    for target in ["127.0.0.1", "::1"] {
        host.run(&format!("ping -c 1 -W 2 {target}"));
    }
    host.on(|| {
        let mut conntrack = Conntrack::open().unwrap();
        let pings = |entries: Vec<Entry>| -> Vec<Entry> {
            entries.into_iter().filter(|entry| entry.original.protocol.is_icmp()).collect()
        };
        let listed = pings(conntrack.list().unwrap());
        assert_eq!(listed.len(), 2, "{listed:?}");
        for entry in &listed {
            let echo_request = if entry.original.source.is_ipv4() { 8 } else { 128 };
            assert_eq!(entry.original.destination_port, echo_request << 8);
            conntrack.delete(entry).unwrap();
            conntrack.delete(entry).unwrap();
        }
        assert!(pings(conntrack.list().unwrap()).is_empty());
    });
}

#[test]
fn a_label_set_from_outside_is_honoured_by_rules() {
    let layout = Layout::default();
    let host = labelling_host();
    let drop_label = label(&layout, MarkAction::Drop, Epoch::FIRST);
    for iptables in ["iptables-nft", "ip6tables-nft"] {
        host.run(&format!("{iptables} -A OUTPUT -m connlabel --label {drop_label} -j DROP"));
    }
    host.on(|| {
        let mut conntrack = Conntrack::open().unwrap();
        for loopback in LOOPBACKS {
            let receiver = UdpSocket::bind(loopback).unwrap();
            let sender = UdpSocket::bind(loopback).unwrap();
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            sender.send(b"x").unwrap();
            let entry =
                only(&conntrack.list().unwrap(), Protocol::UDP, sender.local_addr().unwrap());

            let verdicts = [(entry, MarkAction::Drop, Epoch::FIRST)];
            assert_eq!(conntrack.set_verdicts(&layout, &verdicts).unwrap(), 0);
            assert_eq!(sender.send(b"x").unwrap_err().kind(), ErrorKind::PermissionDenied);

            let verdicts = [(entry, MarkAction::Allow, Epoch::FIRST)];
            assert_eq!(conntrack.set_verdicts(&layout, &verdicts).unwrap(), 0);
            sender.send(b"x").unwrap();
        }
    });
}

#[test]
fn only_our_labels_and_never_the_mark_are_changed() {
    let layout = Layout::default();
    let host = labelling_host();
    host.run("iptables-nft -t mangle -A OUTPUT -j CONNMARK --set-mark 0x6d6f6c65");
    let kept = kept_mark_label(&layout, 6);
    for number in [3, kept, label(&layout, MarkAction::Reject, Epoch::FIRST)] {
        host.run(&format!("iptables-nft -t mangle -A OUTPUT -m connlabel --label {number} --set"));
    }
    host.on(|| {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        let mut conntrack = Conntrack::open().unwrap();
        let read = || {
            only(
                &Conntrack::open().unwrap().list().unwrap(),
                Protocol::UDP,
                sender.local_addr().unwrap(),
            )
        };
        let second = Epoch::FIRST.next();
        conntrack.set_verdicts(&layout, &[(read(), MarkAction::Drop, second)]).unwrap();
        let no_verdict = 1 << 3 | 1_u128 << kept;
        let denial =
            1 << denied_label(&layout) | 1_u128 << label(&layout, MarkAction::Drop, second);
        let wanted = no_verdict | denial;
        assert_eq!((read().labels, read().mark), (Some(wanted), 0x6d6f_6c65));

        assert_eq!(conntrack.take_labels(&layout, &[read()]).unwrap(), 0);
        assert_eq!((read().labels, read().mark), (Some(no_verdict), 0x6d6f_6c65));

        assert_eq!(conntrack.clear_labels(&layout).unwrap(), 1);
        assert_eq!((read().labels, read().mark), (Some(1 << 3), 0x6d6f_6c65));
        assert_eq!(conntrack.clear_labels(&layout).unwrap(), 0);
    });
}

#[test]
fn entries_that_are_gone_or_have_no_room_are_counted() {
    let layout = Layout::default();
    let host = Host::new();
    host.run("iptables-nft -A OUTPUT -m conntrack --ctstate NEW");
    host.on(|| {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = || {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
            sender.local_addr().unwrap()
        };
        let without_room = send();
        host.run("iptables-nft -A OUTPUT -m connlabel --label 1");
        let (gone, with_room) = (send(), send());
        let mut conntrack = Conntrack::open().unwrap();
        let entries = conntrack.list().unwrap();
        let entries =
            [without_room, gone, with_room].map(|local| only(&entries, Protocol::UDP, local));
        conntrack.delete(&entries[1]).unwrap();
        let verdicts = entries.map(|entry| (entry, MarkAction::Allow, Epoch::FIRST));
        assert_eq!(conntrack.set_verdicts(&layout, &verdicts).unwrap(), 2);
        assert!(only(&conntrack.list().unwrap(), Protocol::UDP, with_room).labels.is_some());
    });
}

#[test]
fn ten_thousand_flows_are_listed_and_labelled_quickly() {
    const FLOWS: u16 = 10_000;
    let layout = Layout::default();
    let host = labelling_host();
    host.on(|| {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let base = 20_000;
        for port in base..base + FLOWS {
            // Refusals of earlier packets come back as errors of later ones.
            while sender.send_to(b"x", (IpAddr::from([127, 0, 0, 1]), port)).is_err() {}
        }
        let mut conntrack = Conntrack::open().unwrap();
        let start = Instant::now();
        let entries = conntrack.list().unwrap();
        let listed = start.elapsed();
        assert!(entries.len() >= usize::from(FLOWS), "{}", entries.len());
        let verdicts: Vec<_> =
            entries.iter().map(|entry| (*entry, MarkAction::Allow, Epoch::FIRST)).collect();
        let start = Instant::now();
        assert_eq!(conntrack.set_verdicts(&layout, &verdicts).unwrap(), 0);
        let labelled = start.elapsed();
        println!("{} flows: listed in {listed:?}, labelled in {labelled:?}", entries.len());
        assert!(conntrack.list().unwrap().iter().all(|entry| entry.labels.is_some()));
        assert!(listed + labelled < Duration::from_secs(2), "{listed:?} {labelled:?}");
    });
}

#[test]
fn traffic_is_counted_each_way_once_the_kernel_is_told_to() {
    let host = labelling_host();
    host.on(|| {
        let before = Accounting::remember();
        let exchange = |loopback: &str| {
            let receiver = UdpSocket::bind(loopback).unwrap();
            let sender = UdpSocket::bind(loopback).unwrap();
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            receiver.connect(sender.local_addr().unwrap()).unwrap();
            sender.send(&[0; 100]).unwrap();
            sender.send(&[0; 100]).unwrap();
            receiver.send(&[0; 10]).unwrap();
            sender.local_addr().unwrap()
        };
        let mut conntrack = Conntrack::open().unwrap();
        exchange(LOOPBACKS[0]);
        assert_eq!(conntrack.list_counted().unwrap(), [], "nobody counts yet");
        count_traffic().unwrap();
        for (loopback, headers) in LOOPBACKS.into_iter().zip([28, 48]) {
            let local = exchange(loopback);
            let counted = conntrack.list_counted().unwrap();
            let found = counted.iter().find(|of| of.entry.original.source_port == local.port());
            let found = found.expect("counted");
            assert_eq!(found.original, Count { packets: 2, bytes: 2 * (100 + headers) });
            assert_eq!(found.reply, Count { packets: 1, bytes: 10 + headers });
        }
        before.restore().unwrap();
        let local = exchange(LOOPBACKS[0]);
        let counted = conntrack.list_counted().unwrap();
        assert!(!counted.iter().any(|of| of.entry.original.source_port == local.port()));
    });
}
