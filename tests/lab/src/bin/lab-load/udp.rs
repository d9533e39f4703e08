//! `udp`: numbered datagrams at a rate, over several flows, with echoes if wanted.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::report::{Line, Sent, Times};

use crate::datagram::{Datagram, HEADER_BYTES, monotonic_ns};
use crate::ending::Length;
use crate::output;

/// How long to wait for the last echoes.
const LAST_ECHOES: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to send.
    #[arg(long)]
    to: SocketAddr,
    /// Datagrams a second over all flows; 0 for as many as possible.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// How long to send.
    #[command(flatten)]
    length: Length,
    /// Bytes of payload, 28 or more.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Sockets, each with a port of its own.
    #[arg(long, default_value_t = 1)]
    flows: u32,
    /// Ask the server to send each datagram back.
    #[arg(long)]
    echo: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sockets = open(arguments)?;
    let mut report = Sent::default();
    let mut round_trips = Vec::new();
    let mut payload = vec![0_u8; arguments.size.clamp(HEADER_BYTES, 65_000)];
    let ending = arguments.length.start();
    let start = Instant::now();
    let mut attempted = 0_u64;
    while !ending.reached() {
        let due = match arguments.rate {
            0 => attempted + 64,
            rate => (start.elapsed().as_secs_f64() * rate as f64) as u64 + 1,
        };
        while attempted < due {
            let flow = (attempted % sockets.len() as u64) as u32;
            let header = Datagram {
                wants_echo: arguments.echo,
                flow,
                sequence: attempted / sockets.len() as u64,
                sent_ns: monotonic_ns(),
            };
            header.write(&mut payload);
            match sockets[flow as usize].send(&payload) {
                Ok(_) => report.sent += 1,
                Err(_) => report.send_errors += 1,
            }
            attempted += 1;
            if attempted == 100 {
                output::line(&Line::UnderWay);
            }
        }
        hear(&sockets, &mut report, &mut round_trips);
        if arguments.rate != 0 {
            let next = start + Duration::from_secs_f64(attempted as f64 / arguments.rate as f64);
            std::thread::sleep(
                next.saturating_duration_since(Instant::now()).max(Duration::from_micros(500)),
            );
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.per_second = report.sent as f64 / report.seconds;
    let silence = Instant::now();
    while arguments.echo && report.echoed < report.sent && silence.elapsed() < LAST_ECHOES {
        hear(&sockets, &mut report, &mut round_trips);
        std::thread::sleep(Duration::from_millis(5));
    }
    hear(&sockets, &mut report, &mut round_trips);
    report.round_trip_us = Times::of(round_trips);
    output::line(&Line::Sent(report));
    Ok(())
}

fn open(arguments: &Arguments) -> anyhow::Result<Vec<UdpSocket>> {
    let any: SocketAddr = if arguments.to.is_ipv4() {
        SocketAddr::from(([0, 0, 0, 0], 0))
    } else {
        SocketAddr::from(([0_u16; 8], 0))
    };
    (0..arguments.flows.max(1))
        .map(|_| {
            let socket = UdpSocket::bind(any)?;
            socket.connect(arguments.to)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect::<std::io::Result<_>>()
        .context("opening datagram sockets")
}

/// Takes what has come back, without waiting.
fn hear(sockets: &[UdpSocket], report: &mut Sent, round_trips: &mut Vec<u64>) {
    let mut buffer = [0_u8; HEADER_BYTES];
    for socket in sockets {
        loop {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Some(header) = Datagram::read(&buffer[..length]) {
                        report.echoed += 1;
                        round_trips.push(monotonic_ns().saturating_sub(header.sent_ns) / 1000);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    report.icmp_errors += 1;
                    break;
                }
            }
        }
    }
}
