//! What a judged packet costs: CPU of the reading thread per 64-byte datagram that is received and
//! accepted, for our reader with batches, our reader one by one, and plain `nfq`.
//!
//! Runs in a network namespace of its own and sends through its loopback:
//! `cargo build --release -p seawall-platform --example queue_rate`, then as root
//! `unshare --net target/release/examples/queue_rate ROUNDS`.
#![allow(clippy::print_stdout, reason = "a measurement prints its figures")]

use std::hint::black_box;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use seawall_messages::Hook;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::journal::Journal;
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::linux::queue::{Answer, Batching, QueueReader, QueueSettings, QueueSocket};
use seawall_platform::packet;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const QUEUE: QueueId = QueueId { hook: Hook::Output, kind: QueueKind::RestOriginal };
const SETTINGS: QueueSettings =
    QueueSettings { copy_range: 160, max_length: 65_535, receive_buffer_bytes: 8 << 20 };
const ROUND: Duration = Duration::from_secs(1);
const PORT: u16 = 9000;

fn main() -> Outcome<()> {
    let rounds: u32 = std::env::args().nth(1).map_or(Ok(3), |rounds| rounds.parse())?;
    run("ip", "link set lo up")?;
    let number = QUEUE.number(&Layout::default());
    let rule =
        format!("-w -t mangle -A OUTPUT -p udp --dport {PORT} -j NFQUEUE --queue-num {number}");
    run("iptables-legacy", &rule)?;
    let sink = UdpSocket::bind(("127.0.0.1", PORT))?;
    println!("reading headers: {:.1} ns", parse_nanoseconds());
    for round in 1..=rounds {
        for (name, batching) in [
            ("batches", Some(Batching::Runs)),
            ("one by one", Some(Batching::Single)),
            ("nfq", None),
        ] {
            let (packets, cpu) = under_load(|stop| match batching {
                Some(batching) => read(batching, stop),
                None => read_with_nfq(stop),
            })?;
            let each = cpu.as_secs_f64() * 1e6 / packets.max(1) as f64;
            println!("round {round} {name:>10}: {packets:>8} packets, {each:.2} us of CPU each");
        }
    }
    drop(sink);
    Ok(())
}

fn run(program: &str, arguments: &str) -> Outcome<()> {
    let status = Command::new(program).args(arguments.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments}: {status}").into()) }
}

/// Runs a reader in a thread while another sends as fast as it can. Returns packets and the CPU
/// time of the reading thread.
fn under_load(reader: impl FnOnce(&AtomicBool) -> Outcome<u64> + Send) -> Outcome<(u64, Duration)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let before = thread_cpu();
            reader(&stop).map(|packets| (packets, thread_cpu() - before))
        });
        let end = Instant::now() + ROUND;
        let sent = send_while(|| Instant::now() < end);
        stop.store(true, Ordering::Relaxed);
        // A reader that waits for a packet has to see one to notice that it's over.
        let sent = sent.and_then(|()| send_while(|| !reader.is_finished()));
        let measured = reader.join().map_err(|_| "the reader panicked")?;
        sent.and(measured)
    })
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

fn send_while(condition: impl Fn() -> bool) -> Outcome<()> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    socket.connect(("127.0.0.1", PORT))?;
    while condition() {
        for _ in 0..64 {
            // Refused while nobody reads the queue yet.
            let _ = socket.send(&[0; 64]);
        }
    }
    Ok(())
}

fn read(batching: Batching, stop: &AtomicBool) -> Outcome<u64> {
    let socket = QueueSocket::open(&[QUEUE], &Layout::default(), &SETTINGS)?;
    let mut reader = QueueReader::new(socket, Journal::create(4096)?, Layout::default(), batching);
    let mut packets = Vec::with_capacity(64);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        if reader.receive(&mut packets)? == 0 {
            let limit = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&limit))?;
            continue;
        }
        packets.iter().for_each(|packet| reader.answer(packet, Answer::Accept));
        reader.flush()?;
        count += packets.len() as u64;
        packets.clear();
    }
    Ok(count)
}

fn read_with_nfq(stop: &AtomicBool) -> Outcome<u64> {
    let number = QUEUE.number(&Layout::default());
    let mut queue = nfq::Queue::open()?;
    queue.bind(number)?;
    queue.set_copy_range(number, 160)?;
    queue.set_recv_gso(number, true)?;
    queue.set_queue_max_len(number, SETTINGS.max_length)?;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut message = queue.recv()?;
        black_box(packet::parse(message.get_payload()));
        message.set_verdict(nfq::Verdict::Accept);
        queue.verdict(message)?;
        count += 1;
    }
    Ok(count)
}

/// The price of reading the headers of plain TCP over IPv4.
fn parse_nanoseconds() -> f64 {
    const TIMES: u32 = 10_000_000;
    let mut bytes = [0_u8; 60];
    bytes[..10].copy_from_slice(&[0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6]);
    let start = Instant::now();
    for _ in 0..TIMES {
        black_box(packet::parse(black_box(&bytes)));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
}
