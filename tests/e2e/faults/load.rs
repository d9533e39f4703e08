//! The load that runs while something breaks: new connections, one bulk
//! stream, and connections that the policy forbids.

use std::net::SocketAddr;
use std::time::Duration;

use lab::report::{Connected, Served, Streamed};
use lab::{Connect, Family, Findings, Seawall, Serve, Stream, World, eventually};
use serde::Serialize;

/// Where the allowed connections go.
pub(crate) const OPEN: u16 = 7001;
/// Where the bulk stream comes from.
pub(crate) const BULK: u16 = 7002;
/// Where nobody may go.
pub(crate) const FORBIDDEN: u16 = 7101;
/// Where the policy allows, but a test makes judgement crash.
pub(crate) const POISON: u16 = 7201;

/// Forbids one port.
pub(crate) const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7101\", \"- * UDP/7101\"]\n";

/// As [`POLICY`], and no flow ever leaves the queue.
pub(crate) const EVERY_PACKET: &str =
    "[filter]\npermanent_verdicts = false\noutgoing_rules = [\"- * TCP/7101\", \"- * UDP/7101\"]\n";

/// New connections a second, unless `LAB_RATE` says otherwise.
const RATE: u64 = 1000;
/// Of the bulk stream: much, but not so much that two cores have nothing left for what is measured.
const BULK_BYTES_PER_SECOND: u64 = 200_000_000;
/// Every load is told to stop; this is for the case that the test is not there any more.
const AT_MOST_SECONDS: f64 = 120.0;
/// Attempts a second at what is forbidden.
const FORBIDDEN_RATE: u64 = 50;

/// An address of `peer`.
pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::new(World::address(World::PEER, Family::V4), port)
}

/// The servers on `peer`.
pub(crate) fn serve(world: &World) -> Serve {
    Serve::start(
        &world.peer,
        &[at(OPEN), at(BULK), at(FORBIDDEN), at(POISON)],
        &[at(OPEN), at(FORBIDDEN)],
    )
}

/// What came of a load; a row of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was broken, and how.
    pub(crate) row: String,
    /// New connections a second that were asked for.
    pub(crate) rate: u64,
    /// The allowed connections.
    pub(crate) connected: Connected,
    /// The bulk stream.
    pub(crate) streamed: Streamed,
    /// The forbidden connections.
    pub(crate) forbidden: Connected,
}

/// A load at work.
pub(crate) struct Load {
    rate: u64,
    connect: lab::load::Client<Connected>,
    stream: lab::load::Client<Streamed>,
    forbidden: lab::load::Client<Connected>,
}

/// The rate asked for in the environment, or the one the issue names.
pub(crate) fn rate() -> u64 {
    std::env::var("LAB_RATE").ok().and_then(|text| text.parse().ok()).unwrap_or(RATE)
}

impl Load {
    /// Starts it on `desk` and waits until all of it is under way.
    pub(crate) fn start(world: &World) -> Self {
        let rate = rate();
        let stream = Stream {
            bytes_per_second: BULK_BYTES_PER_SECOND,
            ..Stream::down(at(BULK), AT_MOST_SECONDS)
        };
        let load = Self {
            rate,
            connect: Connect::at_rate(at(OPEN), rate, AT_MOST_SECONDS).start(&world.desk),
            stream: stream.start(&world.desk),
            forbidden: Connect::at_rate(at(FORBIDDEN), FORBIDDEN_RATE, AT_MOST_SECONDS)
                .start(&world.desk),
        };
        load.connect.wait_until_under_way();
        load.stream.wait_until_under_way();
        load
    }

    /// Waits until half a second's worth of connections more has arrived.
    pub(crate) fn go_on(&self, serve: &mut Serve) {
        let goal = serve.report().accepted(OPEN) + self.rate / 2;
        eventually("new connections arrive", Duration::from_secs(20), || {
            serve.report().accepted(OPEN) >= goal
        });
    }

    /// Ends it.
    pub(crate) fn stop(self, row: impl Into<String>) -> Row {
        let forbidden = self.forbidden;
        let streamed = self.stream.stop();
        let connected = self.connect.stop();
        Row { row: row.into(), rate: self.rate, connected, streamed, forbidden: forbidden.stop() }
    }
}

impl Row {
    /// Zero failed, zero forbidden. What a machine managed of the rate asked for is in the report;
    /// with less than a tenth of it there was no load to speak of.
    pub(crate) fn judge(&self, findings: &mut Findings) {
        let Self { row, rate, connected, streamed, forbidden } = self;
        findings.check(
            connected.failed.total() == 0,
            format!("{row}: connections failed: {connected:?}"),
        );
        findings.check(
            connected.attempted as f64 >= 0.1 * *rate as f64 * connected.seconds,
            format!("{row}: no load to speak of: {connected:?}"),
        );
        findings.check(
            streamed.broken.is_empty() && streamed.bytes > 0,
            format!("{row}: the bulk stream broke: {streamed:?}"),
        );
        findings.check(
            forbidden.succeeded == 0 && forbidden.attempted > 0,
            format!("{row}: forbidden connections: {forbidden:?}"),
        );
    }
}

/// Nothing arrived at the forbidden port, seen from the server.
pub(crate) fn nothing_crossed(served: &Served, findings: &mut Findings) {
    findings.check(
        served.accepted(FORBIDDEN) == 0 && served.datagrams(FORBIDDEN) == 0,
        format!("forbidden traffic arrived: {served:?}"),
    );
}

/// A Seawall on `desk` that forbids [`FORBIDDEN`].
pub(crate) fn seawall(world: &World) -> Seawall<'_> {
    Seawall::on(&world.desk).policy(POLICY).start()
}

/// Writes rows for the bench report, as JSON lines beside the test executable's folder.
pub(crate) fn record(name: &str, rows: &[Row]) {
    let folder = lab::report_folder("faults");
    let text = serde_json::to_string_pretty(rows).expect("rows are plain data");
    std::fs::write(folder.join(format!("{name}.json")), text)
        .expect("the report folder is writable");
}
