//! Beside OpenSnitch: what a rule that denies one program lets through, and how
//! many connections a second each of them attributes.
//!
//! A peer that can't be had or doesn't start leaves rows without values, which
//! count as promises missed, and says why.

use std::path::Path;
use std::time::Duration;

use lab::{Connect, Deed, OneShots, Programs, Serve, Way};

use super::connections::{ANY, MANY, Measured, Places, run};
use super::{Findings, Setting, peer};
use crate::contender::Contender;
use crate::opensnitch::{OpenSnitch, Rules};
use crate::promise::Promise;
use crate::report::{Comparison, Row};

const PORT: u16 = 7007;
/// What the names of the denied programs begin with.
const DENIED: &str = "denied-";
/// Rounds are enough: what is counted are leaks, not time.
const MOST_ROUNDS: usize = 3;
/// Nothing more is on its way when nothing has come for so long.
const QUIET: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A load of programs that are gone at once.
struct Shots {
    name: &'static str,
    deed: Deed,
    count: u32,
    /// Programs alive at once: a connect that is denied without a word waits
    /// for 20 seconds, and all should do so together.
    parallel: usize,
}

const SHOTS: [Shots; 2] = [
    Shots { name: "UDP one-shots of 300", deed: Deed::SendTo, count: 300, parallel: 1 },
    Shots { name: "TCP connects of 100", deed: Deed::Connect, count: 100, parallel: 50 },
];

/// Where the programs run: a program to start them with, and how that is told.
const PLACES: [(&[&str], &str); 2] = [
    (&[], "in this mount namespace"),
    (&["unshare", "--mount", "--propagation", "private"], "in another mount namespace"),
];

/// What got through, for each kind of shots in each place, and the same of the peer.
type Leaks = Vec<Vec<f64>>;

/// Leaks, then rates.
pub(super) fn side_by_side(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    leaks(setting, findings);
    rate(setting, findings);
    Ok(())
}

/// Connections of a denied program that reached the server.
fn leaks(setting: &Setting<'_>, findings: &mut Findings) {
    let cells = SHOTS.len() * PLACES.len();
    let (mut ours, mut theirs): (Leaks, Leaks) = (vec![Vec::new(); cells], vec![Vec::new(); cells]);
    let programs = Programs::new();
    let denied = programs.copy(&format!("{DENIED}00"));
    for _ in 0..setting.pairs.min(MOST_ROUNDS) {
        {
            let _seawall = setting.arena.enter_seawall(&policy_against(&denied));
            add(&mut ours, leaked(setting, findings, &programs));
        }
        match OpenSnitch::start(&setting.arena.world.desk, Rules::Deny(&denied)) {
            Ok(_peer) => add(&mut theirs, leaked(setting, findings, &programs)),
            Err(error) => {
                findings.problems.push(format!("leaks beside OpenSnitch: {error:#}"));
                break;
            }
        }
    }
    for (cell, (shots, place)) in each_cell().enumerate() {
        let name = format!("leaked {}, {place}", shots.name);
        let baseline = (Contender::OpenSnitch.name(), theirs[cell].as_slice());
        let row = Row::paired(name, "leaks", &ours[cell], baseline, Comparison::Absolute);
        findings.rows.push(row.promised(Promise::AtMost(0.0), setting.strictness));
    }
}

fn each_cell() -> impl Iterator<Item = (&'static Shots, &'static str)> {
    PLACES.iter().flat_map(|(_, place)| SHOTS.iter().map(|shots| (shots, *place)))
}

fn add(leaks: &mut Leaks, round: Vec<f64>) {
    for (cell, count) in leaks.iter_mut().zip(round) {
        cell.push(count);
    }
}

fn policy_against(program: &Path) -> String {
    format!("[[app]]\nmatch = {{ path = \"{}\" }}\noutgoing_rules = [\"- *\"]\n", program.display())
}

/// What reaches the server, for each kind of shots in each place. One of an
/// allowed program has to: a count that misses it counts nothing.
fn leaked(setting: &Setting<'_>, findings: &mut Findings, programs: &Programs) -> Vec<f64> {
    let world = setting.arena.world;
    let mut counts = Vec::new();
    for (within, _) in PLACES {
        for Shots { name, deed, count, parallel } in SHOTS {
            let mut server = Serve::start(&world.peer, &[peer(PORT)], &[peer(PORT)]);
            let allowed = OneShots {
                deeds: vec![deed],
                ways: vec![Way::Exec],
                within: within.iter().map(|word| (*word).to_owned()).collect(),
                ..OneShots::matrix(vec![peer(PORT)], 1)
            };
            let denied = OneShots { named: DENIED.to_owned(), parallel, count, ..allowed.clone() };
            allowed.run(&world.desk, programs);
            let before = arrivals(&mut server);
            denied.run(&world.desk, programs);
            counts.push((arrivals(&mut server) - before) as f64);
            if before != 1 {
                findings.problems.push(format!("{name}: {before} of 1 allowed arrived"));
            }
        }
    }
    counts
}

/// What a server has seen once nothing more comes.
fn arrivals(server: &mut Serve) -> u64 {
    let (mut seen, mut quiet) = (0, Duration::ZERO);
    while quiet < QUIET {
        let served = server.report();
        let now = served.datagrams(PORT) + served.accepted(PORT);
        quiet = if now == seen { quiet + LOOK_AGAIN } else { Duration::ZERO };
        seen = now;
        std::thread::sleep(LOOK_AGAIN);
    }
    seen
}

/// Connect, one byte there and back, close; each attributed, and allowed.
fn rate(setting: &Setting<'_>, findings: &mut Findings) {
    for (workers, how) in [(1, "one at a time"), (MANY, "64 at once")] {
        let load = Connect {
            to: Places::One.addresses(),
            ..Connect::flat_out(ANY, workers, setting.seconds)
        };
        let contenders = [Contender::SeawallAttributing, Contender::OpenSnitch];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        match run(setting, findings, &contenders, &load) {
            Ok(rounds) => {
                let per_second = |measured: &Measured| measured.report.per_second;
                ours = rounds.of(Contender::SeawallAttributing, per_second);
                theirs = rounds.of(Contender::OpenSnitch, per_second);
            }
            Err(error) => {
                findings.problems.push(format!("connections beside OpenSnitch: {error:#}"));
            }
        }
        let name = format!("attributed connections, {how}");
        let baseline = (Contender::OpenSnitch.name(), theirs.as_slice());
        findings.rows.push(
            Row::paired(name, "1/s", &ours, baseline, Comparison::Ratio)
                .promised(Promise::AtLeast(4.0), setting.strictness),
        );
    }
}
