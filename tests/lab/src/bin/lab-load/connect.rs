//! `connect`: one byte there, one byte back, close; many times. One thread,
//! one epoll, so that thousands may wait at once.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::report::{Connected, Failures, Line, Times};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::time::{ClockId, clock_gettime};

use crate::ending::{Ending, Length};
use crate::output;
use crate::serve::ECHO;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to connect; several are taken in turn.
    #[arg(long, required = true)]
    to: Vec<SocketAddr>,
    /// Connections begun a second; 0 for as many as the workers manage.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How long to begin connections.
    #[command(flatten)]
    length: Length,
    /// Stop after so many connections; 0 for no such bound.
    #[arg(long, default_value_t = 0)]
    count: u64,
    /// Connections in flight at most; only without a rate.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// When a connection that is not done has failed.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
}

/// How often to look whether the end was called.
const LOOK_UP: Duration = Duration::from_millis(50);

struct Attempt {
    socket: OwnedFd,
    begun: Instant,
    byte_sent: bool,
}

/// What became of an attempt after an event.
enum Step {
    Waits,
    Done,
    Failed(Errno),
}

struct Run<'a> {
    arguments: &'a Arguments,
    epoll: OwnedFd,
    attempts: Vec<Option<Attempt>>,
    free: Vec<usize>,
    /// In order of their beginning, with the attempt's own time of beginning as proof that the slot is still its.
    deadlines: VecDeque<(Instant, usize)>,
    in_flight: usize,
    report: Connected,
    samples: Vec<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("creating an epoll")?;
    let mut run = Run {
        arguments,
        epoll,
        attempts: Vec::new(),
        free: Vec::new(),
        deadlines: VecDeque::new(),
        in_flight: 0,
        report: Connected::default(),
        samples: Vec::new(),
    };
    run.drive()?;
    let Run { mut report, samples, .. } = run;
    report.per_second = report.succeeded as f64 / report.seconds.max(1e-9);
    report.time_us = Times::of(samples);
    output::line(&Line::Connected(report));
    Ok(())
}

impl Run<'_> {
    fn drive(&mut self) -> anyhow::Result<()> {
        let (start, cpu_before_us) = (Instant::now(), cpu_us());
        let ending = self.arguments.length.start();
        let mut announced = false;
        let mut events = Vec::with_capacity(1024);
        loop {
            let begun_all = ending.reached() || self.count_reached();
            if !begun_all {
                self.begin_due(start);
            } else if self.in_flight == 0 {
                break;
            }
            if !announced && self.report.succeeded + self.report.failed.total() >= 100 {
                announced = true;
                output::line(&Line::UnderWay);
            }
            let wait = self.next_wake(start, &ending, begun_all);
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))
            {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for sockets"),
            }
            for event in events.drain(..) {
                self.advance(event.data.u64() as usize);
            }
            self.expire();
        }
        self.report.seconds = start.elapsed().as_secs_f64();
        self.report.cpu_us = cpu_us() - cpu_before_us;
        Ok(())
    }

    fn count_reached(&self) -> bool {
        self.arguments.count != 0 && self.report.attempted >= self.arguments.count
    }

    fn begin_due(&mut self, start: Instant) {
        while !self.count_reached() {
            let due = match self.arguments.rate {
                0 => self.in_flight < self.arguments.workers,
                rate => start.elapsed().as_secs_f64() * rate as f64 >= self.report.attempted as f64,
            };
            if !due {
                break;
            }
            self.begin();
        }
    }

    fn begin(&mut self) {
        let begun = Instant::now();
        let to = self.arguments.to[self.report.attempted as usize % self.arguments.to.len()];
        self.report.attempted += 1;
        let token = self.free.pop().unwrap_or_else(|| {
            self.attempts.push(None);
            self.attempts.len() - 1
        });
        match self.open(to, token) {
            Ok(socket) => {
                self.attempts[token] = Some(Attempt { socket, begun, byte_sent: false });
                self.deadlines.push_back((begun, token));
                self.in_flight += 1;
            }
            Err(error) => {
                self.free.push(token);
                self.report.failed.count(error);
            }
        }
    }

    fn open(&self, to: SocketAddr, token: usize) -> Result<OwnedFd, Errno> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(token as u64), interest)?;
        Ok(socket)
    }

    fn advance(&mut self, token: usize) {
        let Some(attempt) = self.attempts.get_mut(token).and_then(Option::as_mut) else { return };
        match attempt.step() {
            Step::Waits => {}
            Step::Done => {
                self.samples.push(attempt.begun.elapsed().as_micros() as u64);
                self.report.succeeded += 1;
                self.release(token);
            }
            Step::Failed(error) => {
                self.report.failed.count(error);
                self.release(token);
            }
        }
    }

    fn release(&mut self, token: usize) {
        self.attempts[token] = None;
        self.free.push(token);
        self.in_flight -= 1;
    }

    fn expire(&mut self) {
        let allowed = Duration::from_millis(self.arguments.timeout_ms);
        while let Some(&(begun, token)) = self.deadlines.front() {
            let open = self.attempts[token].as_ref().is_some_and(|attempt| attempt.begun == begun);
            if open && begun.elapsed() < allowed {
                break;
            }
            self.deadlines.pop_front();
            if open {
                self.report.failed.timed_out += 1;
                self.release(token);
            }
        }
    }

    /// Until the next connection is due, the run ends, or the oldest attempt fails.
    fn next_wake(&self, start: Instant, ending: &Ending, begun_all: bool) -> Timespec {
        let mut wake = Instant::now() + LOOK_UP;
        if let Some((begun, _)) = self.deadlines.front() {
            wake = wake.min(*begun + Duration::from_millis(self.arguments.timeout_ms));
        }
        if !begun_all {
            wake = wake.min(ending.at_the_latest());
            if self.arguments.rate != 0 {
                let due = self.report.attempted as f64 / self.arguments.rate as f64;
                wake = wake.min(start + Duration::from_secs_f64(due));
            }
        }
        let wait = wake.saturating_duration_since(Instant::now());
        Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
    }
}

impl Attempt {
    fn step(&mut self) -> Step {
        if !self.byte_sent {
            match rustix::net::send(&self.socket, &[ECHO], rustix::net::SendFlags::NOSIGNAL) {
                Ok(_) => self.byte_sent = true,
                Err(Errno::AGAIN) => return Step::Waits,
                Err(Errno::NOTCONN) => return self.connect_outcome(),
                Err(error) => return Step::Failed(error),
            }
        }
        let mut byte = [0_u8; 1];
        match rustix::io::read(&self.socket, &mut byte) {
            Ok(0) => Step::Failed(Errno::CONNRESET),
            Ok(_) => Step::Done,
            Err(Errno::AGAIN) => Step::Waits,
            Err(error) => Step::Failed(error),
        }
    }

    fn connect_outcome(&self) -> Step {
        match rustix::net::sockopt::socket_error(self.socket.as_fd()) {
            Ok(Ok(())) => Step::Waits,
            Ok(Err(error)) | Err(error) => Step::Failed(error),
        }
    }
}

/// CPU time of this process so far.
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Sorts errors into the report's drawers.
trait Count {
    fn count(&mut self, error: Errno);
}

impl Count for Failures {
    fn count(&mut self, error: Errno) {
        let drawer = match error {
            Errno::CONNREFUSED => &mut self.refused,
            Errno::CONNRESET | Errno::PIPE => &mut self.reset,
            Errno::TIMEDOUT => &mut self.timed_out,
            Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ACCESS | Errno::PERM => {
                &mut self.unreachable
            }
            _ => &mut self.other,
        };
        *drawer += 1;
    }
}

/// Opens a blocking connection, for streams.
pub(crate) fn blocking(to: SocketAddr, timeout: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, timeout)
}
