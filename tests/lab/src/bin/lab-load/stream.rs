//! `stream`: bulk TCP against `serve`, one thread a stream.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::report::{Line, Streamed};

use crate::connect::blocking;
use crate::ending::{Ending, Length};
use crate::output;
use crate::serve::{POUR, SWALLOW};

/// Large enough that system calls cost little, small enough to see gaps.
const BUFFER_BYTES: usize = 256 * 1024;
/// A stream without progress for so long is broken.
const STALLED: Duration = Duration::from_secs(20);
/// After so many bytes the stream counts as under way.
const UNDER_WAY_BYTES: u64 = 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to connect.
    #[arg(long)]
    to: SocketAddr,
    /// How long to move bytes.
    #[command(flatten)]
    length: Length,
    /// Streams at once.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Which way the bytes go, seen from here.
    #[arg(long, value_enum, default_value_t = Direction::Down)]
    direction: Direction,
    /// Bytes a second and stream at most; 0 for no such bound.
    #[arg(long, default_value_t = 0)]
    bytes_per_second: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
    Down,
    Up,
}

#[derive(Default)]
struct Moved {
    bytes: u64,
    seconds: f64,
    longest_gap: Duration,
    broken: Option<String>,
}

static ANNOUNCED: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let ending = arguments.length.start();
    let moved: Vec<Moved> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.streams)
            .map(|_| scope.spawn(|| one_stream(arguments, &ending)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let bytes = moved.iter().map(|stream| stream.bytes).sum::<u64>();
    let seconds = moved.iter().map(|stream| stream.seconds).fold(0.0, f64::max);
    let longest_gap = moved.iter().map(|stream| stream.longest_gap).max().unwrap_or_default();
    output::line(&Line::Streamed(Streamed {
        bytes,
        seconds,
        mbit_per_second: bytes as f64 * 8e-6 / seconds.max(1e-9),
        longest_gap_us: longest_gap.as_micros() as u64,
        broken: moved.into_iter().filter_map(|stream| stream.broken).collect(),
    }));
    Ok(())
}

fn one_stream(arguments: &Arguments, ending: &Ending) -> Moved {
    let mut moved = Moved::default();
    if let Err(error) = pump(arguments, ending, &mut moved) {
        moved.broken = Some(error.to_string());
    }
    moved
}

fn pump(arguments: &Arguments, ending: &Ending, moved: &mut Moved) -> std::io::Result<()> {
    let mut socket = blocking(arguments.to, Duration::from_secs(10))?;
    socket.set_read_timeout(Some(STALLED))?;
    socket.set_write_timeout(Some(STALLED))?;
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    socket.write_all(&[match arguments.direction {
        Direction::Down => POUR,
        Direction::Up => SWALLOW,
    }])?;
    let start = Instant::now();
    let mut last = start;
    while !ending.reached() {
        let step = match arguments.direction {
            Direction::Down => socket.read(&mut buffer),
            Direction::Up => socket.write(&buffer),
        };
        let step = match step {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        moved.longest_gap = moved.longest_gap.max(now - last);
        moved.bytes += step as u64;
        moved.seconds = (now - start).as_secs_f64();
        last = now;
        if moved.bytes >= UNDER_WAY_BYTES && !ANNOUNCED.swap(true, Ordering::Relaxed) {
            output::line(&Line::UnderWay);
        }
        last = last.max(hold_back(arguments.bytes_per_second, moved.bytes, start));
    }
    Ok(())
}

/// Keeps the average at the rate asked for. The time spent here is no gap.
fn hold_back(bytes_per_second: u64, bytes: u64, start: Instant) -> Instant {
    if bytes_per_second != 0 {
        let due = start + Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64);
        let wait = due.saturating_duration_since(Instant::now());
        if wait > Duration::from_millis(1) {
            std::thread::sleep(wait);
        }
    }
    Instant::now()
}
