//! The load tool, started on a host of the lab.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Running;
use crate::report::{Connected, Line, Sent, Served, Streamed};
use crate::world::Host;

/// How long a tool may take beyond the time it was asked to run for: its own
/// time-outs and a loaded machine.
const GRACE: Duration = Duration::from_secs(60);
/// How long a server may take to bind, and a client to get under way.
const START: Duration = Duration::from_secs(30);

/// Path of a program built beside this test: from the environment variable, or
/// from the folder above the test executable.
pub fn program(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("can't find myself: {error}"));
    let path =
        own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!("`{name}` is not built beside {}: build it first, or set {variable}", own.display())
    })
}

fn start(host: &Host, arguments: &[String]) -> Running {
    let tool = program("lab-load", "LAB_LOAD_BIN");
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.first() != Some(&"serve") {
        arguments.push("--until-told");
    }
    host.start(&tool.to_string_lossy(), &arguments)
}

/// Next line of output that is of the wanted kind.
fn wait_for<T>(running: &Running, within: Duration, wanted: impl Fn(Line) -> Option<T>) -> T {
    let parse = |line: &str| serde_json::from_str::<Line>(line).ok().and_then(&wanted);
    running
        .line_where(within, |line| parse(line).is_some())
        .and_then(|line| parse(&line))
        .unwrap_or_else(|| {
            panic!("the load tool said nothing of use in time: {}", running.stderr())
        })
}

/// A server of the load tool.
#[derive(Debug)]
pub struct Serve(Running);

impl Serve {
    /// Starts it and waits until it is bound.
    pub fn start(host: &Host, tcp: &[SocketAddr], udp: &[SocketAddr]) -> Self {
        let mut arguments = vec!["serve".to_owned()];
        let flags = tcp.iter().map(|to| ("--tcp", to)).chain(udp.iter().map(|to| ("--udp", to)));
        for (flag, address) in flags {
            arguments.extend([flag.to_owned(), address.to_string()]);
        }
        let running = start(host, &arguments);
        wait_for(&running, START, |line| matches!(line, Line::Ready).then_some(()));
        Self(running)
    }

    /// What it has seen so far.
    pub fn report(&mut self) -> Served {
        self.0.write("report\n");
        wait_for(&self.0, GRACE, served)
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Ends it; gives what it saw in all.
    pub fn finish(mut self) -> Served {
        self.0.close_input();
        wait_for(&self.0, GRACE, served)
    }
}

fn served(line: Line) -> Option<Served> {
    match line {
        Line::Served(served) => Some(served),
        _ => None,
    }
}

/// Many short connections: connect, one byte there and back, close.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Where to, in turn.
    pub to: Vec<SocketAddr>,
    /// Connections begun a second; 0 for as many as the workers manage.
    pub rate: u64,
    /// For how long.
    pub seconds: f64,
    /// Stop after so many; 0 for no such bound.
    pub count: u64,
    /// Connections in flight without a rate.
    pub workers: usize,
    /// When one has failed.
    pub timeout: Duration,
}

impl Connect {
    /// At a rate, failed after ten seconds.
    pub fn at_rate(to: SocketAddr, rate: u64, seconds: f64) -> Self {
        Self { to: vec![to], rate, seconds, count: 0, workers: 0, timeout: Duration::from_secs(10) }
    }

    /// As many as so many workers manage.
    pub fn flat_out(to: SocketAddr, workers: usize, seconds: f64) -> Self {
        Self { workers, ..Self::at_rate(to, 0, seconds) }
    }

    /// Starts it on a host.
    pub fn start(&self, host: &Host) -> Client<Connected> {
        let mut arguments = vec!["connect".to_owned()];
        for to in &self.to {
            arguments.extend(["--to".to_owned(), to.to_string()]);
        }
        for (flag, value) in [
            ("--rate", self.rate.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--count", self.count.to_string()),
            ("--workers", self.workers.to_string()),
            ("--timeout-ms", self.timeout.as_millis().to_string()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        let allowed = Duration::from_secs_f64(self.seconds) + self.timeout + GRACE;
        Client::new(start(host, &arguments), allowed, |line| match line {
            Line::Connected(report) => Some(report),
            _ => None,
        })
    }

    /// Runs it to its end.
    pub fn run(&self, host: &Host) -> Connected {
        self.start(host).finish()
    }
}

/// Bulk TCP.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Where to.
    pub to: SocketAddr,
    /// For how long.
    pub seconds: f64,
    /// How many at once.
    pub streams: usize,
    /// From the client to the server rather than the other way.
    pub up: bool,
    /// Bytes a second and stream at most; 0 for no such bound.
    pub bytes_per_second: u64,
}

impl Stream {
    /// One stream from the server to the client, as fast as it goes.
    pub fn down(to: SocketAddr, seconds: f64) -> Self {
        Self { to, seconds, streams: 1, up: false, bytes_per_second: 0 }
    }

    /// Starts it on a host.
    pub fn start(&self, host: &Host) -> Client<Streamed> {
        let arguments = [
            "stream".to_owned(),
            format!("--to={}", self.to),
            format!("--seconds={}", self.seconds),
            format!("--streams={}", self.streams),
            format!("--direction={}", if self.up { "up" } else { "down" }),
            format!("--bytes-per-second={}", self.bytes_per_second),
        ];
        let allowed = Duration::from_secs_f64(self.seconds) + GRACE;
        Client::new(start(host, &arguments), allowed, |line| match line {
            Line::Streamed(report) => Some(report),
            _ => None,
        })
    }

    /// Runs it to its end.
    pub fn run(&self, host: &Host) -> Streamed {
        self.start(host).finish()
    }
}

/// Numbered datagrams.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Where to.
    pub to: SocketAddr,
    /// Datagrams a second over all flows; 0 for as many as possible.
    pub rate: u64,
    /// For how long.
    pub seconds: f64,
    /// Bytes of payload.
    pub size: usize,
    /// Sockets, each with a port of its own.
    pub flows: u32,
    /// Whether the server sends each back.
    pub echo: bool,
}

impl Udp {
    /// Small datagrams of one flow, without echoes.
    pub fn at_rate(to: SocketAddr, rate: u64, seconds: f64) -> Self {
        Self { to, rate, seconds, size: 64, flows: 1, echo: false }
    }

    /// Starts it on a host.
    pub fn start(&self, host: &Host) -> Client<Sent> {
        let mut arguments = vec![
            "udp".to_owned(),
            format!("--to={}", self.to),
            format!("--rate={}", self.rate),
            format!("--seconds={}", self.seconds),
            format!("--size={}", self.size),
            format!("--flows={}", self.flows),
        ];
        if self.echo {
            arguments.push("--echo".to_owned());
        }
        let allowed = Duration::from_secs_f64(self.seconds) + GRACE;
        Client::new(start(host, &arguments), allowed, |line| match line {
            Line::Sent(report) => Some(report),
            _ => None,
        })
    }

    /// Runs it to its end.
    pub fn run(&self, host: &Host) -> Sent {
        self.start(host).finish()
    }
}

/// A client of the load tool that is at work.
#[derive(Debug)]
pub struct Client<R> {
    running: Running,
    allowed: Duration,
    pick: fn(Line) -> Option<R>,
}

impl<R> Client<R> {
    fn new(running: Running, allowed: Duration, pick: fn(Line) -> Option<R>) -> Self {
        Self { running, allowed, pick }
    }

    /// Waits until its first traffic got through.
    pub fn wait_until_under_way(&self) {
        wait_for(&self.running, START, |line| matches!(line, Line::UnderWay).then_some(()));
    }

    /// Process id of the client.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Whether it is still at work.
    pub fn at_work(&mut self) -> bool {
        self.running.poll().is_none()
    }

    /// Tells it to begin nothing more, waits for its end; gives its account.
    pub fn stop(mut self) -> R {
        self.running.close_input();
        self.finish()
    }

    /// Waits for its end; gives its account.
    pub fn finish(self) -> R {
        wait_for(&self.running, self.allowed, self.pick)
    }
}
