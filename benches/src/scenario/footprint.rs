//! What Seawall costs while nothing happens, and how soon it judges.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::bail;
use lab::{Connect, Seawall, Serve};

use super::{Findings, Setting, peer};
use crate::promise::{Promise, Strictness};
use crate::report::Row;

const PORT: u16 = 7005;
const WARM_UP_CONNECTIONS: u64 = 1000;
/// Stretches of rest in a short run.
const SHORT_STRETCHES: usize = 4;

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
    let mut share = f64::INFINITY;
    for _ in 0..stretches {
        // The length of the measurement itself, not a wait for something.
        let (before, start) = (seawall.cpu_time()?, Instant::now());
        std::thread::sleep(Duration::from_secs_f64(setting.idle_seconds));
        let used = (seawall.cpu_time()? - before).as_secs_f64();
        share = share.min(100.0 * used / start.elapsed().as_secs_f64());
    }
    findings.rows.push(
        Row::alone("idle CPU, both processes", "% of a core", &[share])
            .promised(Promise::AtMost(0.1), setting.strictness),
    );
    let megabytes = seawall.pss_kib()? as f64 * 1024.0 / 1e6;
    findings.rows.push(
        Row::alone("memory (PSS), both processes", "MB", &[megabytes])
            .promised(Promise::AtMost(40.0), setting.strictness),
    );
    Ok(())
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
