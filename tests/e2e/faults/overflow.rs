//! Queues that overflow drop, count, and let nothing through.

use std::time::Duration;

use lab::{Findings, Udp, World, eventually};
use rustix::process::{Pid, Signal, kill_process};

use super::load::{self, FORBIDDEN, Load};

/// Long enough to fill the queue, short of the keeper's patience with a silent worker.
const STOPPED: Duration = Duration::from_millis(1500);

/// Packets that the kernel dropped because a queue or its socket was full.
fn dropped(world: &World) -> u64 {
    let text = world.desk.run("cat", &["/proc/net/netfilter/nfnetlink_queue"]);
    let columns = |line: &str| -> u64 {
        let numbers: Vec<u64> =
            line.split_ascii_whitespace().filter_map(|text| text.parse().ok()).collect();
        numbers.get(5).copied().unwrap_or(0) + numbers.get(6).copied().unwrap_or(0)
    };
    text.lines().map(columns).sum()
}

#[test]
fn an_overflowing_queue_lets_nothing_through_and_loses_no_connection() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let seawall = load::seawall(&world);
    let mut findings = Findings::new();
    let load = Load::start(&world);

    let worker = Pid::from_raw(seawall.worker_pid() as i32).expect("a process id");
    kill_process(worker, Signal::STOP).expect("the worker can be stopped");
    let flood = Udp { flows: 500, ..Udp::at_rate(load::at(FORBIDDEN), 0, STOPPED.as_secs_f64()) };
    let flood = flood.run(&world.desk);
    kill_process(worker, Signal::CONT).expect("the worker can be continued");

    findings.check(dropped(&world) > 0, format!("the queue did not overflow: {flood:?}"));
    let counted = || {
        let page = seawall.metrics();
        let lines = page.lines().filter(|line| !line.starts_with('#') && line.contains("dropped"));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() > 0.0
    };
    eventually("the drops are counted", Duration::from_secs(15), counted);
    load.go_on(&mut serve);
    let row = load.stop("queue overflow");
    row.judge(&mut findings);
    load::record("overflow", &[row]);
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.settle();
}
