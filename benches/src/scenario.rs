//! What is measured: one file a theme.

mod attribution;
mod bulk;
mod connections;
mod datagrams;
mod deciding;
mod footprint;
mod monitor;
mod peers;
mod profiles;
mod recovery;
mod storm;

use std::net::SocketAddr;

use lab::world::{Family, World};

use crate::contender::Arena;
use crate::promise::Strictness;
use crate::report::Row;

/// What scenarios are run with.
pub(crate) struct Setting<'w> {
    pub(crate) arena: Arena<'w>,
    /// Interleaved pairs.
    pub(crate) pairs: usize,
    /// Length of one measurement in seconds.
    pub(crate) seconds: f64,
    /// Length of the idle measurement in seconds.
    pub(crate) idle_seconds: f64,
    pub(crate) strictness: Strictness,
}

/// What scenarios add to the report.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    pub(crate) problems: Vec<String>,
}

/// A theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Bulk TCP, one and eight streams.
    Bulk,
    /// Bulk TCP with every packet judged.
    BulkJudged,
    /// Connections a second, one at a time and many at once.
    Connections,
    /// CPU of a new connection, and what it waits for its first packet.
    FirstPacket,
    /// CPU that it takes to know whose a new connection is.
    Attribution,
    /// Eight programs that connect as fast as they can, and what is lost of them.
    Storm,
    /// The decision itself, by the length of the list of rules.
    Deciding,
    /// Ten thousand profiles: read, kept, found.
    Profiles,
    /// Small datagrams, every one judged.
    Datagrams,
    /// The longest gap in a stream while the worker is killed.
    Recovery,
    /// Idle CPU, memory, time to the first verdict.
    Footprint,
    /// CPU of the monitor beside very many connections.
    Monitor,
    /// Beside OpenSnitch: leaks of a denied program, and connections a second. Only with --peers.
    Peers,
}

impl Scenario {
    /// Runs it.
    pub(crate) fn run(self, setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
        match self {
            Self::Bulk => bulk::standing(setting, findings),
            Self::BulkJudged => bulk::judged(setting, findings),
            Self::Connections => connections::rate(setting, findings),
            Self::FirstPacket => connections::first_packet(setting, findings),
            Self::Attribution => attribution::price(setting, findings),
            Self::Storm => storm::of_connections(setting, findings),
            Self::Deciding => deciding::costs(setting, findings),
            Self::Profiles => profiles::costs(setting, findings),
            Self::Datagrams => datagrams::judged(setting, findings),
            Self::Recovery => recovery::worker_killed(setting, findings),
            Self::Monitor => monitor::follows(setting, findings),
            Self::Peers => peers::side_by_side(setting, findings),
            Self::Footprint => footprint::all(setting, findings),
        }
    }
}

/// Makes 10.88.0.0/16 lead to the peer: services by the thousand.
fn anywhere(world: &World) {
    world.peer.ip("route replace local 10.88.0.0/16 dev lo\n");
}

/// A port of the peer's.
fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(World::address(World::PEER, Family::V4), port)
}
