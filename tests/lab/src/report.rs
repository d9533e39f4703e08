//! What the load tool prints: one JSON object a line. Times are microseconds.

use serde::{Deserialize, Serialize};

/// One line of output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// A server has bound all of its sockets.
    Ready,
    /// A client has got its first connections, bytes or packets through.
    UnderWay,
    /// A server's account, asked for or final.
    Served(Served),
    /// The final account of `connect`.
    Connected(Connected),
    /// The final account of `stream`.
    Streamed(Streamed),
    /// The final account of `udp`.
    Sent(Sent),
}

/// Times in microseconds: percentiles and the extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The smallest.
    pub min: u64,
    /// Half are at most this.
    pub p50: u64,
    /// Nine in ten are at most this.
    pub p90: u64,
    /// All but one in a hundred are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Times {
    /// Sorts the samples and reads the percentiles off. All zero without samples.
    pub fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let (Some(&min), Some(&max)) = (samples.first(), samples.last()) else {
            return Self::default();
        };
        let at = |per_cent: usize| samples[(samples.len() - 1) * per_cent / 100];
        Self { min, p50: at(50), p90: at(90), p99: at(99), max }
    }
}

/// Connections that did not do their byte in time, by what came instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// `ECONNREFUSED`.
    pub refused: u64,
    /// `ECONNRESET` or `EPIPE`, or closed before the byte came.
    pub reset: u64,
    /// Nothing within the time allowed.
    pub timed_out: u64,
    /// `EHOSTUNREACH`, `ENETUNREACH`, `EACCES` or `EPERM`.
    pub unreachable: u64,
    /// Anything else.
    pub other: u64,
}

impl Failures {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.unreachable + self.other
    }
}

/// What became of connections that send one byte, get it back and close.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Connected {
    /// Begun.
    pub attempted: u64,
    /// Got their byte back in time.
    pub succeeded: u64,
    /// Did not.
    pub failed: Failures,
    /// From the first attempt to the last answer.
    pub seconds: f64,
    /// Successes a second.
    pub per_second: f64,
    /// From `connect` to the byte, of those that succeeded.
    pub time_us: Times,
    /// CPU time of the client from the first attempt to the last answer.
    #[serde(default)]
    pub cpu_us: f64,
}

/// What a bulk TCP client moved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Streamed {
    /// Over all streams.
    pub bytes: u64,
    /// From the first to the last byte.
    pub seconds: f64,
    /// Millions of bits a second over all streams.
    pub mbit_per_second: f64,
    /// The longest time without progress on any stream.
    pub longest_gap_us: u64,
    /// Streams that broke, with the reason.
    pub broken: Vec<String>,
}

/// What a UDP client sent, and heard when it asked for echoes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Datagrams the kernel took.
    pub sent: u64,
    /// Sends that failed.
    pub send_errors: u64,
    /// Echoes that came.
    pub echoed: u64,
    /// ICMP errors that the socket reported.
    pub icmp_errors: u64,
    /// Duration of sending.
    pub seconds: f64,
    /// Datagrams a second.
    pub per_second: f64,
    /// Round trips.
    pub round_trip_us: Times,
}

/// What a server saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Served {
    /// One for each TCP listener, in the order of the command line.
    pub tcp: Vec<TcpServed>,
    /// One for each UDP socket, in the order of the command line.
    pub udp: Vec<UdpServed>,
}

impl Served {
    /// Connections accepted on a port.
    pub fn accepted(&self, port: u16) -> u64 {
        self.tcp.iter().filter(|server| server.port == port).map(|server| server.accepted).sum()
    }

    /// Datagrams received on a port.
    pub fn datagrams(&self, port: u16) -> u64 {
        self.udp.iter().filter(|server| server.port == port).map(|server| server.received).sum()
    }
}

/// What one TCP listener saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TcpServed {
    /// Its port.
    pub port: u16,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections whose byte was sent back.
    pub echoed: u64,
    /// Streams that have ended.
    pub streams: Vec<StreamServed>,
}

/// One finished stream, as its server saw it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StreamServed {
    /// Bytes received or sent.
    pub bytes: u64,
    /// The longest time without progress.
    pub longest_gap_us: u64,
}

/// What one UDP socket saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UdpServed {
    /// Its port.
    pub port: u16,
    /// Datagrams, without duplicates.
    pub received: u64,
    /// Datagrams that came more than once.
    pub duplicated: u64,
    /// Datagrams that came after a later one of their flow.
    pub reordered: u64,
    /// Sequence numbers below the highest seen of their flow that never came.
    pub missing: u64,
    /// The longest time between two datagrams.
    pub longest_gap_us: u64,
    /// From the sender's clock to ours, one sample in sixteen.
    pub delay_us: Times,
}
