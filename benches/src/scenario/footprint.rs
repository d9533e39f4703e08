//! What Seawall costs while nothing happens, and how soon it judges.

use std::io::ErrorKind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lab::{Connect, Seawall, Serve, vitals};

use super::{Findings, Setting, peer};
use crate::contender::Entered;
use crate::promise::{Promise, Strictness};
use crate::report::Row;

const PORT: u16 = 7005;
const WARM_UP_CONNECTIONS: u64 = 1000;
/// Stretches of rest in a short run.
const SHORT_STRETCHES: usize = 4;
/// The thread that does nothing, and how long it sleeps each time.
const NAPPER: &str = "napper";
const NAP: Duration = Duration::from_secs(1);
/// A nap that costs more is no matter of Seawall's.
const DEAR_NAP_US: f64 = 100.0;

/// Idle CPU, memory, time to the first verdict.
pub(super) fn all(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    idle(setting, findings)?;
    first_verdict(setting, findings)
}

fn idle(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let world = setting.arena.world;
    let _server = Serve::start(&world.peer, &[peer(PORT)], &[]);
    let seawall = setting.arena.enter_seawall("");
    let warm_up = Connect { count: WARM_UP_CONNECTIONS, ..Connect::at_rate(peer(PORT), 1000, 5.0) };
    warm_up.run(&world.desk);
    // Whatever else the machine does makes waking up dearer, and nothing makes it cheaper: of a
    // short run the quietest stretch counts.
    let stretches = match setting.strictness {
        Strictness::Exact => 1,
        Strictness::WithinTen => SHORT_STRETCHES,
    };
    let mut quietest =
        Rest { share: f64::INFINITY, wake_ups_per_minute: 0.0, of_naps: 0.0, nap_us: 0.0 };
    for _ in 0..stretches {
        let rest = rest(&seawall, Duration::from_secs_f64(setting.idle_seconds))?;
        if rest.share < quietest.share {
            quietest = rest;
        }
    }
    // A short run may meet a machine on which a mere wake-up costs as much as a hundred do elsewhere.
    let slowness = match setting.strictness {
        Strictness::Exact => 1.0,
        Strictness::WithinTen => (quietest.nap_us / DEAR_NAP_US).max(1.0),
    };
    findings.rows.push(
        Row::alone("idle CPU, both processes", "% of a core", &[quietest.share])
            .promised(Promise::AtMost(0.1 * slowness), setting.strictness),
    );
    for (name, unit, value) in [
        ("wake-ups while idle", "1/min", quietest.wake_ups_per_minute),
        ("as many wake-ups of a thread that does nothing", "% of a core", quietest.of_naps),
    ] {
        findings.rows.push(Row::alone(name, unit, &[value]));
    }
    let megabytes = seawall.pss_kib()? as f64 * 1024.0 / 1e6;
    findings.rows.push(
        Row::alone("memory (PSS), both processes", "MB", &[megabytes])
            .promised(Promise::AtMost(40.0), setting.strictness),
    );
    Ok(())
}

/// A stretch of rest.
struct Rest {
    /// CPU time, in hundredths of one core.
    share: f64,
    wake_ups_per_minute: f64,
    /// What as many wake-ups take of a thread that goes to sleep again at once.
    of_naps: f64,
    /// What each of those took.
    nap_us: f64,
}

fn rest(seawall: &Entered<'_>, length: Duration) -> anyhow::Result<Rest> {
    let naps = || -> anyhow::Result<(Duration, u64)> {
        let own = std::process::id();
        let is_it = |name: &str| name == NAPPER;
        let taken = vitals::cpu_time_of_threads(own, is_it).zip(vitals::wake_ups(own, is_it));
        taken.context("reading the CPU time of the thread that does nothing")
    };
    std::thread::scope(|scope| {
        let (enough, told) = mpsc::channel::<()>();
        let napper = move || while told.recv_timeout(NAP) == Err(RecvTimeoutError::Timeout) {};
        std::thread::Builder::new().name(NAPPER.to_owned()).spawn_scoped(scope, napper)?;
        // The length of the measurement itself, not a wait for something.
        std::thread::sleep(NAP);
        let (before, woken, napped) = (seawall.cpu_time()?, seawall.wake_ups()?, naps()?);
        let start = Instant::now();
        std::thread::sleep(length);
        let seconds = start.elapsed().as_secs_f64();
        let (used, wake_ups) = (seawall.cpu_time()? - before, seawall.wake_ups()? - woken);
        let (nap_time, nap_number) = naps()?;
        let each = (nap_time - napped.0).as_secs_f64() / (nap_number - napped.1).max(1) as f64;
        drop(enough);
        Ok(Rest {
            share: 100.0 * used.as_secs_f64() / seconds,
            wake_ups_per_minute: 60.0 * wake_ups as f64 / seconds,
            of_naps: 100.0 * each * wake_ups as f64 / seconds,
            nap_us: each * 1e6,
        })
    })
}

/// From the start of the program to the first connection that it refuses. Until
/// then, in open mode, connections pass.
fn first_verdict(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let mut times_ms = Vec::new();
    for _ in 0..setting.pairs {
        times_ms.push(time_to_first_verdict(setting)?.as_secs_f64() * 1000.0);
    }
    findings.rows.push(
        Row::alone("start to first verdict", "ms", &times_ms)
            .promised(Promise::AtMost(300.0), setting.strictness),
    );
    Ok(())
}

fn time_to_first_verdict(setting: &Setting<'_>) -> anyhow::Result<Duration> {
    let world = setting.arena.world;
    let to = peer(PORT);
    let _server = Serve::start(&world.peer, &[to], &[]);
    let policy = format!("[filter]\noutgoing_rules = [\"- {} TCP/{PORT}\"]\n", to.ip());
    std::thread::scope(|scope| {
        let start = Instant::now();
        let prober = scope.spawn(move || {
            world.desk.inside(|| {
                while start.elapsed() < Duration::from_secs(30) {
                    match std::net::TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                            return Ok(start.elapsed());
                        }
                        _ => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
                bail!("nothing was refused within 30 seconds of the start")
            })
        });
        let _seawall =
            Seawall::on(&world.desk).policy(&policy).backend(setting.arena.flavour).start();
        prober.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
