//! Mixed load for a while: memory flat after warm-up, no descriptor leak.
//!
//! `SOAK_SECONDS` sets the length: a minute by default, 600 for the long form.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::{Connect, Family, Seawall, Serve, Stream, Udp, World, vitals};

/// Share of the run before the first measurement counts.
const WARM_UP: f64 = 0.4;
/// What memory may grow after that, from floor to floor: a table on its way to its bound doubles
/// once, and tables are filled and forgotten in turns.
const GROWTH_KIB: u64 = 8 * 1024;
/// In the long form most of so many parts have the floor of the one before, give or take this:
/// a table that doubles is a step, a leak is a slope.
const PARTS: usize = 12;
const LEVEL_KIB: u64 = 128;
/// What both processes may take under this load.
const PSS_KIB: u64 = 80 * 1024;
/// More connections than Seawall remembers decisions.
const REMEMBERED: u64 = 35_000;
/// Descriptors come and go with the verbs that measure.
const DESCRIPTORS: usize = 4;
const SAMPLED_EVERY: Duration = Duration::from_millis(1500);
/// Samples from one policy change to the next.
const POLICY_EVERY: usize = 3;
/// From this length on the kernel's own time-outs are over before the measurement begins.
const LONG_FORM: f64 = 400.0;
const POLICIES: [&str; 2] = [
    "[filter]\noutgoing_rules = [\"- * TCP/7101\", \"- * UDP/7101\"]\n",
    "[filter]\noutgoing_rules = [\"- * UDP/7101\", \"- * TCP/7101\", \"+ *\"]\n",
];

fn seconds() -> f64 {
    std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60.0)
}

struct Sample {
    at: Duration,
    pss_kib: u64,
    descriptors: usize,
    threads: usize,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, pss_kib, descriptors, threads } = self;
        write!(
            f,
            "{:6.1} s: {pss_kib} KiB, {descriptors} descriptors, {threads} threads",
            at.as_secs_f64()
        )
    }
}

fn measure(seawall: &Seawall<'_>, start: Instant) -> Sample {
    let pids = [seawall.keeper_pid(), seawall.worker_pid()];
    Sample {
        at: start.elapsed(),
        pss_kib: seawall.pss_kib(),
        descriptors: seawall.descriptors(),
        threads: pids.into_iter().filter_map(vitals::threads).sum(),
    }
}

#[test]
fn mixed_load_leaves_memory_flat_and_descriptors_closed() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICIES[0]).start();
    let at = |pair, family, port| SocketAddr::new(World::address(pair, family), port);
    let (v4, v6) = (at(World::PEER, Family::V4, 7001), at(World::PEER, Family::V6, 7001));
    let (bulk, udp) = (at(World::PEER, Family::V4, 7002), at(World::PEER, Family::V6, 7003));
    let closed = at(World::PEER, Family::V4, 7101);
    let inbound = at(World::DESK, Family::V4, 7004);
    let serve = Serve::start(&world.peer, &[v4, v6, bulk, closed], &[udp, closed]);
    let desk_serve = Serve::start(&world.desk, &[inbound], &[]);

    let length = seconds();
    if length < LONG_FORM {
        forget_closed_connections_quickly(&world);
    }
    fill_what_is_bounded(&world, [v4, closed]);
    let rate = |to, rate| Connect::at_rate(to, rate, length);
    let clients = [
        rate(v4, 200).start(&world.desk),
        rate(v6, 100).start(&world.desk),
        rate(inbound, 50).start(&world.peer),
        rate(v4, 50).start(&world.inner),
    ];
    let denied = rate(closed, 50).start(&world.desk);
    let stream = Stream { bytes_per_second: 50_000_000, ..Stream::down(bulk, length) };
    let stream = stream.start(&world.desk);
    let datagrams = Udp { flows: 20, echo: true, ..Udp::at_rate(udp, 1000, length) };
    let datagrams = datagrams.start(&world.desk);
    let flood = Udp { flows: 50, ..Udp::at_rate(closed, 500, length) }.start(&world.inner);

    let samples = watch(&seawall, length);
    for client in clients {
        let report = client.finish();
        assert_eq!(report.failed.total(), 0, "{report:?}");
    }
    let denied = denied.finish();
    assert_eq!(denied.succeeded, 0, "{denied:?}");
    let streamed = stream.finish();
    assert!(streamed.broken.is_empty(), "{streamed:?}");
    let datagrams = datagrams.finish();
    flood.finish();
    let served = serve.finish();
    assert_eq!(
        datagrams.echoed,
        datagrams.sent,
        "datagrams were lost: {datagrams:?}\n{:?}\n{}",
        served.udp[0],
        refusals(&seawall)
    );
    assert_eq!((served.accepted(7101), served.datagrams(7101)), (0, 0), "{served:?}");
    desk_serve.finish();

    judge(&samples, &seawall);
}

/// Connection tracking keeps a closed connection for two minutes. A policy change
/// looks at every entry, so memory is flat only once as many go as come.
fn forget_closed_connections_quickly(world: &World) {
    for name in
        ["tcp_timeout_time_wait", "tcp_timeout_close", "tcp_timeout_last_ack", "udp_timeout"]
    {
        world.desk.sysctl(&format!("net/netfilter/nf_conntrack_{name}"), "5");
    }
}

/// Lists of what was decided of late are as long as they get before the measurement begins.
fn fill_what_is_bounded(world: &World, to: [SocketAddr; 2]) {
    for to in to {
        let burst = Connect { count: REMEMBERED, ..Connect::flat_out(to, 64, 60.0) };
        let report = burst.run(&world.desk);
        assert!(report.attempted >= REMEMBERED / 2, "too slow to fill anything: {report:?}");
    }
}

/// Samples and policy changes until the time is over.
fn watch(seawall: &Seawall<'_>, length: f64) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while start.elapsed().as_secs_f64() < length {
        let next = Instant::now() + SAMPLED_EVERY;
        samples.push(measure(seawall, start));
        if samples.len().is_multiple_of(POLICY_EVERY) {
            seawall.set_policy(POLICIES[samples.len() / POLICY_EVERY % POLICIES.len()]);
            seawall.metrics();
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    samples
}

/// What was counted as refused or dropped, for a message.
fn refusals(seawall: &Seawall<'_>) -> String {
    let page = seawall.metrics();
    let counts = |line: &&str| {
        !line.starts_with('#')
            && !line.ends_with(" 0")
            && ["refused", "dropped", "drop"].iter().any(|word| line.contains(word))
    };
    page.lines().filter(counts).collect::<Vec<_>>().join("\n")
}

fn judge(samples: &[Sample], seawall: &Seawall<'_>) {
    let text = samples.iter().map(Sample::to_string).collect::<Vec<_>>().join("\n");
    std::fs::write(lab::report_folder("soak").join("samples.txt"), &text).expect("a report");
    let warm = (samples.len() as f64 * WARM_UP) as usize;
    let after = &samples[warm..];
    assert!(after.len() >= 6, "too few samples: {text}");
    let third = after.len() / 3;
    let median = |part: &[Sample], of: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = part.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (early, late) = (&after[..third], &after[after.len() - third..]);
    let floor = |part: &[Sample]| part.iter().map(|sample| sample.pss_kib).min().unwrap_or(0);
    let memory = (floor(early), floor(late));
    assert!(
        memory.1 <= memory.0 + GROWTH_KIB,
        "memory grew from {} to {} KiB:\n{text}",
        memory.0,
        memory.1
    );
    assert!(memory.1 <= PSS_KIB, "memory: {} KiB:\n{text}", memory.1);
    if seconds() >= LONG_FORM {
        let floors: Vec<u64> = after.chunks(after.len().div_ceil(PARTS)).map(floor).collect();
        let rises = floors.windows(2).filter(|pair| pair[1] > pair[0] + LEVEL_KIB).count();
        assert!(rises * 2 < PARTS, "memory rises all the time: {floors:?}");
    }
    let descriptors = |part| median(part, |sample| sample.descriptors as u64) as usize;
    assert!(
        descriptors(late) <= descriptors(early) + DESCRIPTORS,
        "descriptors leak:\n{text}\n{:#?}",
        vitals::descriptor_list(seawall.worker_pid())
    );
    assert!(
        median(late, |sample| sample.threads as u64)
            <= median(early, |sample| sample.threads as u64) + 1,
        "threads leak:\n{text}"
    );
    let components = seawall.components();
    let restarts: u64 = components.components.iter().map(|component| component.restarts).sum();
    assert_eq!(restarts, 0, "nothing failed: {components:?}");
    assert_eq!(seawall.status().worker_crashes, 0);
}
