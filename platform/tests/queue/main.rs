//! Packet queues with real packets, in network namespaces.

mod crash;
mod net;
#[path = "../support/wait.rs"]
mod wait;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use seawall_messages::keeper::Layout;
use seawall_messages::{Hook, Protocol, Transport};
use seawall_platform::linux::journal::Journal;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::queue::{
    Answer, Batching, Packet, QueueError, QueueReader, QueueSettings, QueueSocket, counters,
};

use self::net::{Net, PATIENCE, Place, address, next_text};
use self::wait::{eventually, uninterrupted};

const SETTINGS: QueueSettings =
    QueueSettings { copy_range: 160, max_length: 65_535, receive_buffer_bytes: 8 << 20 };

const PORT: u16 = 9000;

fn queue(hook: Hook, kind: QueueKind) -> QueueId {
    QueueId { hook, kind }
}

const OUTPUT_NEW: QueueId = QueueId { hook: Hook::Output, kind: QueueKind::New };

fn open(net: &Net, queues: &[QueueId], settings: QueueSettings) -> QueueSocket {
    net.inside(Place::Host, || QueueSocket::open(queues, &Layout::default(), &settings))
        .expect("a queue socket")
}

fn reader(net: &Net, queues: &[QueueId], batching: Batching) -> QueueReader {
    let journal = Journal::create(4096).expect("a journal");
    QueueReader::new(open(net, queues, SETTINGS), journal, Layout::default(), batching)
}

/// Sends what `matching` selects at a hook to a queue.
fn queue_rule(net: &Net, iptables: &str, from: QueueId, matching: &str) {
    let chain = format!("{:?}", from.hook).to_uppercase();
    let number = from.number(&Layout::default());
    let rule =
        format!("{iptables} -w -t mangle -A {chain} {matching} -j NFQUEUE --queue-num {number}");
    net.run_in(Place::Host, &rule);
}

/// Receives until as many packets are there.
fn take(reader: &mut QueueReader, count: usize) -> Vec<Packet> {
    let mut packets = Vec::new();
    let start = Instant::now();
    while packets.len() < count {
        assert!(start.elapsed() < PATIENCE, "{} of {count} packets came", packets.len());
        wait(reader);
        reader.receive(&mut packets).expect("the socket can be read");
    }
    packets
}

fn wait(reader: &QueueReader) {
    let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&limit)).expect("a poll");
}

fn answer_all(reader: &mut QueueReader, packets: &[Packet], answer: Answer) {
    packets.iter().for_each(|packet| reader.answer(packet, answer));
    reader.flush().expect("verdicts can be sent");
}

/// A sender and a receiver so that datagrams pass the hook.
fn route(net: &Net, hook: Hook, v6: bool) -> (UdpSocket, UdpSocket) {
    let (from, to) = match hook {
        Hook::Output => (Place::Host, Place::Peer),
        Hook::Input => (Place::Peer, Place::Host),
        Hook::Forward => (Place::Client, Place::Peer),
    };
    let receiver = net.udp(to, SocketAddr::new(address(to, v6), PORT));
    let sender = net.udp(from, SocketAddr::new(address(from, v6), 0));
    sender.connect(receiver.local_addr().expect("an address")).expect("a route");
    (sender, receiver)
}

fn send_numbers(sender: &UdpSocket, numbers: std::ops::Range<u32>) {
    for number in numbers {
        sender.send(number.to_string().as_bytes()).expect("a datagram can be sent");
    }
}

fn expect_numbers(receiver: &UdpSocket, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(next_text(receiver), number.to_string());
    }
}

#[test]
fn packets_are_described_and_accepted() {
    for (iptables, v6) in [
        ("iptables-legacy", false),
        ("iptables-nft", false),
        ("ip6tables-legacy", true),
        ("ip6tables-nft", true),
    ] {
        let net = Net::new();
        let mut reader = reader(&net, &[OUTPUT_NEW], Batching::Single);
        mark_rule(&net, iptables);
        queue_rule(&net, iptables, OUTPUT_NEW, "-p udp --dport 9000");
        let (sender, receiver) = route(&net, Hook::Output, v6);
        send_numbers(&sender, 0..3);
        let packets = take(&mut reader, 3);
        for (packet, id) in packets.iter().zip(1..) {
            let headers = packet.headers.expect("headers");
            assert_eq!((packet.queue, packet.id), (OUTPUT_NEW, id), "{iptables}");
            assert_eq!((packet.mark, packet.uid), (0x55, Some(0)));
            assert_eq!(packet.in_interface, None);
            assert!(packet.out_interface.is_some());
            assert_eq!(packet.length_bytes, if v6 { 49 } else { 29 });
            assert_eq!(packet.crashes, 0);
            assert_eq!(headers.protocol, Protocol::UDP);
            assert_eq!(headers.source, address(Place::Host, v6));
            assert_eq!(headers.destination, address(Place::Peer, v6));
            let initiator = sender.local_addr().expect("an address").port();
            assert_eq!(headers.transport, Transport::Ports { initiator, responder: PORT });
        }
        answer_all(&mut reader, &packets, Answer::Accept);
        expect_numbers(&receiver, 0..3);
        assert_eq!(reader.room(), 4096, "every slot is free again");
    }
}

/// A foreign mark on what leaves for the port.
fn mark_rule(net: &Net, iptables: &str) {
    let rule = "-w -t mangle -A OUTPUT -p udp --dport 9000 -j MARK --set-mark 0x55";
    net.run_in(Place::Host, &format!("{iptables} {rule}"));
}

#[test]
fn dropped_packets_vanish() {
    let net = Net::new();
    let mut reader = reader(&net, &[OUTPUT_NEW], Batching::Single);
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    send_numbers(&sender, 0..4);
    let packets = take(&mut reader, 4);
    for (packet, number) in packets.iter().zip(0..) {
        reader.answer(packet, if number % 2 == 0 { Answer::Drop } else { Answer::Accept });
    }
    reader.flush().expect("verdicts can be sent");
    expect_numbers(&receiver, [1, 3]);
}

#[test]
fn a_repeated_packet_meets_the_chain_again_with_its_mark() {
    for batching in [Batching::Single, Batching::Runs] {
        let net = Net::new();
        let mut reader = reader(&net, &[OUTPUT_NEW], batching);
        let top = "iptables-legacy -w -t mangle -A OUTPUT -m mark --mark 0x81000055 -j RETURN";
        net.run_in(Place::Host, top);
        mark_rule(&net, "iptables-legacy");
        queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
        let (sender, receiver) = route(&net, Hook::Output, false);
        send_numbers(&sender, 0..10);
        let packets = take(&mut reader, 10);
        answer_all(&mut reader, &packets, Answer::Repeat { mark: 0x8100_0055 });
        expect_numbers(&receiver, 0..10);
        assert_eq!(reader.receive(&mut Vec::new()).expect("a receive"), 0, "none came again");
    }
}

#[test]
fn packets_are_handed_on_at_every_hook() {
    for hook in [Hook::Output, Hook::Input, Hook::Forward] {
        for (batching, v6) in
            [(Batching::Single, false), (Batching::Runs, false), (Batching::Runs, true)]
        {
            let net = Net::new();
            let rest = queue(hook, QueueKind::RestOriginal);
            let parked = rest.parked();
            let mut fast = reader(&net, &[rest], batching);
            let mut slow = reader(&net, &[queue(hook, QueueKind::New), parked], Batching::Single);
            let iptables = if v6 { "ip6tables-legacy" } else { "iptables-legacy" };
            queue_rule(&net, iptables, rest, "-p udp --dport 9000");
            let (sender, receiver) = route(&net, hook, v6);
            send_numbers(&sender, 0..20);
            let packets = take(&mut fast, 20);
            let queue_number = parked.number(&Layout::default());
            answer_all(&mut fast, &packets, Answer::HandOn { queue_number });
            let held = take(&mut slow, 20);
            assert!(held.iter().all(|packet| packet.queue == parked), "{hook:?}");
            let ids: Vec<u32> = held.iter().map(|packet| packet.id).collect();
            assert_eq!(ids, (1..=20).collect::<Vec<u32>>(), "in order of arrival");
            answer_all(&mut slow, &held, Answer::Accept);
            expect_numbers(&receiver, 0..20);
        }
    }
}

#[test]
fn a_batch_answers_its_run_and_nothing_else() {
    let net = Net::new();
    let rest = queue(Hook::Output, QueueKind::RestOriginal);
    let reply = queue(Hook::Output, QueueKind::RestReply);
    let mut reader = reader(&net, &[rest, reply], Batching::Runs);
    queue_rule(&net, "iptables-legacy", rest, "-p udp --dport 9000");
    queue_rule(&net, "iptables-legacy", reply, "-p udp --dport 9001");
    let (sender, receiver) = route(&net, Hook::Output, false);
    let other_receiver = net.udp(Place::Peer, SocketAddr::new(address(Place::Peer, false), 9001));
    let other_sender = net.udp(Place::Host, SocketAddr::new(address(Place::Host, false), 0));
    other_sender.connect(other_receiver.local_addr().expect("an address")).expect("a route");
    for number in 0..100 {
        send_numbers(&sender, number..number + 1);
        send_numbers(&other_sender, number..number + 1);
    }
    let packets = take(&mut reader, 200);
    let (mut kept, mut other_kept) = (Vec::new(), Vec::new());
    for (number, pair) in (0..100).zip(packets.chunks(2)) {
        // Runs of ten, and one of one.
        let passes = number / 10 % 2 == 0 && number != 25;
        for (packet, kept) in pair.iter().zip([&mut kept, &mut other_kept]) {
            if number < 90 {
                reader.answer(packet, if passes { Answer::Accept } else { Answer::Drop });
            }
            if passes {
                kept.push(number);
            }
        }
    }
    reader.flush().expect("verdicts can be sent");
    expect_numbers(&receiver, kept);
    expect_numbers(&other_receiver, other_kept);
    let waiting: u32 = net
        .inside(Place::Host, || counters(&Layout::default()))
        .expect("counters")
        .iter()
        .map(|counters| counters.waiting)
        .sum();
    assert_eq!(waiting, 20, "what was not answered waits on");
}

#[test]
fn a_queue_has_one_reader() {
    let net = Net::new();
    let first = open(&net, &[OUTPUT_NEW], SETTINGS);
    let second =
        net.inside(Place::Host, || QueueSocket::open(&[OUTPUT_NEW], &Layout::default(), &SETTINGS));
    let number = Layout::default().queue_base;
    assert!(
        matches!(second, Err(QueueError::Busy { number: busy }) if busy == number),
        "{second:?}"
    );
    drop(first);
    // A program that another test is just starting holds the socket until it is there.
    eventually("the queue is free", || {
        net.inside(Place::Host, || QueueSocket::open(&[OUTPUT_NEW], &Layout::default(), &SETTINGS))
            .is_ok()
    });
}

#[test]
fn the_socket_is_closed_on_exec_and_has_its_buffer() {
    let net = Net::new();
    let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
    let flags = rustix::io::fcntl_getfd(&socket).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let buffer = rustix::net::sockopt::socket_recv_buffer_size(&socket).expect("a size");
    assert_eq!(buffer, 16 << 20, "the kernel doubles what was asked");
    let list = net.inside(Place::Host, || counters(&Layout::default())).expect("counters");
    let numbers: Vec<u16> = list.iter().map(|counters| counters.number).collect();
    assert_eq!(numbers, [Layout::default().queue_base]);
}

#[test]
fn streams_arrive_in_packets_beyond_the_mtu() {
    let net = Net::new();
    let rest = queue(Hook::Output, QueueKind::RestOriginal);
    let mut reader = reader(&net, &[rest], Batching::Runs);
    queue_rule(&net, "iptables-legacy", rest, "-p tcp --dport 9000");
    let peer = SocketAddr::new(address(Place::Peer, false), PORT);
    let listener = net.inside(Place::Peer, || TcpListener::bind(peer)).expect("a listener");
    const STREAM_BYTES: usize = 4 << 20;
    let done = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut stream = net.inside(Place::Host, || TcpStream::connect(peer))?;
            std::io::Write::write_all(&mut stream, &vec![7; STREAM_BYTES])
        });
        let receiver = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            std::io::copy(&mut stream, &mut std::io::sink())
        });
        let mut longest = 0;
        let start = Instant::now();
        while !(sender.is_finished() && receiver.is_finished()) {
            assert!(start.elapsed() < PATIENCE, "the stream stands still");
            wait(&reader);
            let mut packets = Vec::new();
            reader.receive(&mut packets).expect("the socket can be read");
            longest = packets.iter().map(|packet| packet.length_bytes).fold(longest, u32::max);
            answer_all(&mut reader, &packets, Answer::Accept);
        }
        assert!(longest > 3000, "the longest packet had {longest} bytes");
        sender.join().expect("the sender").expect("a stream");
        receiver.join().expect("the receiver").expect("a stream")
    });
    assert_eq!(done, STREAM_BYTES as u64);
}

#[test]
fn a_message_longer_than_its_slot_is_cut_and_can_be_answered() {
    let net = Net::new();
    let settings = QueueSettings { copy_range: 65_535, ..SETTINGS };
    let journal = Journal::create(8).expect("a journal");
    let socket = open(&net, &[OUTPUT_NEW], settings);
    let mut reader = QueueReader::new(socket, journal, Layout::default(), Batching::Single);
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    let text = "x".repeat(1400);
    sender.send(text.as_bytes()).expect("a datagram can be sent");
    send_numbers(&sender, 1..2);
    let packets = take(&mut reader, 2);
    assert_eq!(packets[0].length_bytes, 1428);
    assert!(matches!(
        packets[0].headers.map(|headers| headers.transport),
        Some(Transport::Ports { responder: PORT, .. })
    ));
    answer_all(&mut reader, &packets, Answer::Accept);
    assert_eq!(next_text(&receiver), text);
    expect_numbers(&receiver, 1..2);
}

#[test]
fn a_full_journal_leaves_packets_in_the_kernel() {
    let net = Net::new();
    let journal = Journal::create(4).expect("a journal");
    let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
    let mut reader = QueueReader::new(socket, journal, Layout::default(), Batching::Single);
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    send_numbers(&sender, 0..10);
    let mut packets = take(&mut reader, 4);
    assert_eq!((packets.len(), reader.room()), (4, 0));
    assert_eq!(reader.receive(&mut packets).expect("a receive"), 0);
    answer_all(&mut reader, &packets, Answer::Accept);
    let mut left = 6;
    while left > 0 {
        let packets = take(&mut reader, 1);
        left -= packets.len();
        answer_all(&mut reader, &packets, Answer::Accept);
    }
    expect_numbers(&receiver, 0..10);
}

#[test]
fn without_a_journal_everything_that_waits_comes_again() {
    let net = Net::new();
    let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
    let for_successor = duplicate(&socket);
    let journal = Journal::create(5).expect("a journal");
    let mut reader = QueueReader::new(socket, journal, Layout::default(), Batching::Single);
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    send_numbers(&sender, 0..12);
    assert_eq!(take(&mut reader, 5).len(), 5, "five were read, seven lie in the socket");
    drop(reader);

    let socket = QueueSocket::from_fd(for_successor);
    let count = net
        .inside(Place::Host, || QueueReader::requeue_all(&socket, &Layout::default()))
        .expect("packets can be sent back");
    assert_eq!(count, 12);
    let journal = Journal::create(64).expect("a journal");
    let mut reader = QueueReader::new(socket, journal, Layout::default(), Batching::Single);
    let packets = take(&mut reader, 12);
    let ids: Vec<u32> = packets.iter().map(|packet| packet.id).collect();
    assert_eq!(ids, (13..=24).collect::<Vec<u32>>(), "under new ids, the old messages passed over");
    answer_all(&mut reader, &packets, Answer::Accept);
    expect_numbers(&receiver, 0..12);
}

fn duplicate(what: impl AsFd) -> OwnedFd {
    what.as_fd().try_clone_to_owned().expect("a descriptor can be duplicated")
}
