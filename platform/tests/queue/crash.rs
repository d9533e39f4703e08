//! What a reader leaves behind when it dies.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

/// Tells a process of this test binary to be the worker of the test that it is started with: the
/// path of the journal. The queue socket is its standard input.
const WORKER: &str = "SEAWALL_TEST_WORKER_JOURNAL";

/// If this process is a worker: its reader.
fn as_worker(batching: Batching) -> Option<QueueReader> {
    let path = std::env::var(WORKER).ok()?;
    let file = std::fs::File::options().read(true).write(true).open(path).expect("the journal");
    let journal = Journal::open(file.into()).expect("a readable journal");
    let socket = QueueSocket::from_fd(duplicate(std::io::stdin()));
    Some(QueueReader::new(socket, journal, Layout::default(), batching))
}

/// Starts this test binary again, to be the worker of a test.
fn start_worker(test: &str, socket: &QueueSocket, journal: &Journal) -> Child {
    let number = std::os::fd::AsRawFd::as_raw_fd(&journal.as_fd());
    Command::new(std::env::current_exe().expect("a path"))
        .args([test, "--exact", "--nocapture"])
        .env(WORKER, format!("/proc/{}/fd/{number}", std::process::id()))
        .stdin(duplicate(socket))
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary can be started")
}

/// Waits for a line of the worker.
fn wait_for_line(worker: &mut Child, expected: &str) {
    let output = worker.stdout.take().expect("piped");
    let found =
        BufReader::new(output).lines().any(|line| line.is_ok_and(|line| line.contains(expected)));
    assert!(found, "the worker ended before it said {expected:?}");
}

fn kill(mut worker: Child) {
    worker.kill().expect("a child can be killed");
    worker.wait().expect("a child can be waited for");
}

fn successor(socket: &QueueSocket, journal: &Journal, batching: Batching) -> QueueReader {
    let journal = Journal::open(duplicate(journal)).expect("a readable journal");
    QueueReader::new(QueueSocket::from_fd(duplicate(socket)), journal, Layout::default(), batching)
}

#[test]
fn held_packets_survive_a_kill_and_are_answered_in_order() {
    if let Some(mut reader) = as_worker(Batching::Single) {
        let mut packets = take(&mut reader, 10);
        // Two were answered, two more have answers that were not sent, one is in hand.
        answer_all(&mut reader, &packets[..2], Answer::Accept);
        packets[2..4].iter().for_each(|packet| reader.answer(packet, Answer::Drop));
        reader.in_hand(packets.get(5).map(|packet| packet.slot));
        packets.clear();
        println!("holding");
        loop {
            std::thread::park();
        }
    }
    let net = Net::new();
    let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
    let journal = Journal::create(10).expect("a journal");
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    send_numbers(&sender, 0..15);
    let test = "crash::held_packets_survive_a_kill_and_are_answered_in_order";
    let mut worker = start_worker(test, &socket, &journal);
    wait_for_line(&mut worker, "holding");
    kill(worker);

    let mut reader = successor(&socket, &journal, Batching::Single);
    let mut held = Vec::new();
    reader.held(&mut held);
    let ids: Vec<u32> = held.iter().map(|packet| packet.id).collect();
    assert_eq!(ids, (3..=10).collect::<Vec<u32>>());
    let crashes: Vec<u32> = held.iter().map(|packet| packet.crashes).collect();
    assert_eq!(crashes, [0, 0, 0, 1, 0, 0, 0, 0]);
    assert!(held.iter().all(|packet| packet.headers.is_some()));
    answer_all(&mut reader, &held, Answer::Accept);
    let unread = take(&mut reader, 5);
    answer_all(&mut reader, &unread, Answer::Accept);
    expect_numbers(&receiver, 0..15);
}

#[test]
fn crashes_are_counted_for_the_packet_in_hand() {
    let net = Net::new();
    let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
    let journal = Journal::create(64).expect("a journal");
    queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
    let (sender, receiver) = route(&net, Hook::Output, false);
    send_numbers(&sender, 0..3);
    let mut reader = successor(&socket, &journal, Batching::Single);
    let mut packets = take(&mut reader, 3);
    for crashes in 1..=3 {
        reader.in_hand(Some(packets[1].slot));
        reader = successor(&socket, &journal, Batching::Single);
        packets.clear();
        reader.held(&mut packets);
        let counts: Vec<u32> = packets.iter().map(|packet| packet.crashes).collect();
        assert_eq!(counts, [0, crashes, 0]);
        assert_eq!(packets[1].headers.is_some(), crashes < 2, "not read a third time");
        assert!(packets[0].headers.is_some());
    }
    // A thread that starts anew on the same reader takes the same path.
    reader.in_hand(Some(packets[2].slot));
    reader.answer(&packets[0], Answer::Drop);
    packets.clear();
    reader.held(&mut packets);
    let counts: Vec<u32> = packets.iter().map(|packet| packet.crashes).collect();
    assert_eq!(counts, [0, 3, 1]);
    answer_all(&mut reader, &packets, Answer::Accept);
    expect_numbers(&receiver, 0..3);
    send_numbers(&sender, 3..6);
    let packets = take(&mut reader, 3);
    assert!(
        packets.iter().all(|packet| packet.crashes == 0),
        "the next packet starts without blame"
    );
    answer_all(&mut reader, &packets, Answer::Accept);
}

#[test]
fn a_verdict_sent_twice_does_no_harm() {
    for batching in [Batching::Single, Batching::Runs] {
        let net = Net::new();
        let socket = open(&net, &[OUTPUT_NEW], SETTINGS);
        let journal = Journal::create(64).expect("a journal");
        queue_rule(&net, "iptables-legacy", OUTPUT_NEW, "-p udp --dport 9000");
        let (sender, receiver) = route(&net, Hook::Output, false);
        send_numbers(&sender, 0..3);
        let mut reader = successor(&socket, &journal, batching);
        let packets = take(&mut reader, 3);
        let mut late = successor(&socket, &journal, batching);
        let mut held = Vec::new();
        late.held(&mut held);
        assert_eq!(held.len(), 3);
        answer_all(&mut reader, &packets, Answer::Accept);
        send_numbers(&sender, 3..6);
        answer_all(&mut late, &held, Answer::Drop);
        let fresh = take(&mut late, 3);
        answer_all(&mut late, &fresh, Answer::Accept);
        expect_numbers(&receiver, 0..6);
        // The kernel's complaints about the first three were read and took no room.
        let mut packets = Vec::new();
        late.receive(&mut packets).expect("the socket can be read");
        assert_eq!((packets.len(), late.room()), (0, 64));
    }
}

/// Accepts what goes to the first port and drops what goes to the other, always one round late, so
/// that something is held whenever it is killed.
fn judge_for_ever(mut reader: QueueReader) -> ! {
    let mut late = Vec::new();
    reader.held(&mut late);
    loop {
        wait(&reader);
        let mut packets = Vec::new();
        reader.receive(&mut packets).expect("the socket can be read");
        for packet in &late {
            reader.in_hand(Some(packet.slot));
            let allowed = packet.headers.is_none_or(|headers| {
                matches!(headers.transport, Transport::Ports { responder: PORT, .. })
            });
            reader.answer(packet, if allowed { Answer::Accept } else { Answer::Drop });
        }
        reader.in_hand(None);
        reader.flush().expect("verdicts can be sent");
        late = packets;
    }
}

/// Kills a worker again and again while numbered datagrams flow, some of them forbidden.
fn kill_under_load(test: &str, batching: Batching) {
    const KILLS: u32 = 10;
    if let Some(reader) = as_worker(batching) {
        judge_for_ever(reader);
    }
    let net = Net::new();
    let rest = queue(Hook::Output, QueueKind::RestOriginal);
    let socket = open(&net, &[rest], SETTINGS);
    let journal = Journal::create(4096).expect("a journal");
    queue_rule(&net, "iptables-legacy", rest, "-p udp --dport 9000:9001");
    let (sender, receiver) = route(&net, Hook::Output, false);
    let forbidden = net.udp(Place::Peer, SocketAddr::new(address(Place::Peer, false), PORT + 1));
    let forbidden_sender = net.udp(Place::Host, SocketAddr::new(address(Place::Host, false), 0));
    forbidden_sender.connect(forbidden.local_addr().expect("an address")).expect("a route");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| send_until(&sender, &forbidden_sender, &stop));
        for round in 0..KILLS {
            let worker = start_worker(test, &socket, &journal);
            // From the middle of starting to long after.
            std::thread::sleep(Duration::from_millis(u64::from(20 + round * 7)));
            kill(worker);
        }
        stop.store(true, Ordering::Relaxed);
        let sent = load.join().expect("the sender");
        let last = start_worker(test, &socket, &journal);
        expect_numbers(&receiver, 0..sent);
        kill(last);
        assert!(sent > 1000, "only {sent} datagrams were sent");
    });
    forbidden.set_nonblocking(true).expect("a flag");
    receiver.set_nonblocking(true).expect("a flag");
    assert!(
        uninterrupted(|| forbidden.recv(&mut [0; 64])).is_err(),
        "a forbidden datagram came through"
    );
    assert!(uninterrupted(|| receiver.recv(&mut [0; 64])).is_err(), "a datagram came twice");
}

/// Sends until told to stop, in bursts with pauses. Returns how many allowed ones were sent.
fn send_until(sender: &UdpSocket, forbidden: &UdpSocket, stop: &AtomicBool) -> u32 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        send_numbers(sender, sent..sent + 9);
        send_numbers(forbidden, 0..1);
        sent += 9;
        std::thread::sleep(Duration::from_micros(500));
    }
    sent
}

#[test]
fn nothing_is_lost_doubled_reordered_or_let_through_by_kills() {
    let test = "crash::nothing_is_lost_doubled_reordered_or_let_through_by_kills";
    kill_under_load(test, Batching::Single);
}

#[test]
fn nothing_is_lost_doubled_reordered_or_let_through_by_kills_in_batches() {
    let test = "crash::nothing_is_lost_doubled_reordered_or_let_through_by_kills_in_batches";
    kill_under_load(test, Batching::Runs);
}
