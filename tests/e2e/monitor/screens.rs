//! Keys, sizes, filters, a Seawall that goes and comes, and very many connections.

use std::time::{Duration, Instant};

use lab::crowd::Crowd;
use lab::probe::{Kind, Patience};
use lab::{Family, Seawall, World, vitals};

use super::common::{Caller, SOON, is_as_kept, is_given_back, monitor, peer};

const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7101\"]\n";
const PATIENCE: Patience = Patience(Duration::from_millis(1500));

#[test]
fn lists_filters_details_and_sizes_on_a_terminal() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let _one = Caller::start(&world, 7001);
    let _other = Caller::start(&world, 7002);
    let denied =
        world.desk.command("bash").args(["-c", "exec 3<>/dev/tcp/10.77.1.2/7101"]).output();
    assert!(denied.is_ok_and(|it| !it.status.success()), "it is refused");
    let pane = monitor(&seawall, (100, 20));
    pane.shows_all(&["PROTECTED", ":7001", ":7002", ":7101", "components run"]);
    pane.keys(&["s", "s"]);
    is_as_kept("lists", &pane.shows_all(&["by name", ":7101"]));
    pane.keys(&["Down", "Tab", "/"]);
    pane.keys(&["REJECT"]);
    is_as_kept(
        "filter",
        &pane.shows("the denial alone", |text| {
            text.contains("filter: reject_") && text.contains(":7101") && !text.contains(":7001")
        }),
    );
    pane.keys(&["Enter", "Enter"]);
    pane.shows_all(&["Details", "- * TCP/7101", "outbound TCP", "/usr/bin/bash"]);
    pane.keys(&["Escape"]);
    pane.shows("the lists again", |text| !text.contains("Details"));
    pane.keys(&["Escape"]);
    pane.shows_all(&[":7001", ":7101"]);
    pane.keys(&["?"]);
    is_as_kept("help", &pane.shows_all(&["Keys", "filter: app, address"]));
    pane.keys(&["x"]);
    for (size, word) in [((60, 15), ":7001"), ((59, 15), "too small"), ((250, 70), "REASON")] {
        pane.resize(size.0, size.1);
        pane.shows_all(&[word]);
    }
    pane.keys(&["Space"]);
    pane.shows_all(&["PAUSED"]);
    let third = Caller::start(&world, 7003);
    pane.keys(&["s", "s"]);
    assert!(!pane.shows_all(&["PAUSED", "by rate"]).contains(":7003"), "the picture is held");
    pane.keys(&["Space"]);
    pane.shows_all(&[":7003"]);
    drop(third);
    pane.keys(&["q"]);
    is_given_back(&pane);
}

#[test]
fn the_terminal_is_given_back_on_a_signal_too() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let pane = monitor(&seawall, (80, 24));
        pane.shows_all(&["PROTECTED"]);
        assert_eq!(pane.state("alternate_on"), "1");
        let pid = i32::try_from(pane.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process"), signal).expect("it is told");
        is_given_back(&pane);
    }
}

#[test]
fn a_seawall_that_goes_away_is_missed_and_found_again() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let _caller = Caller::start(&world, 7001);
    let pane = monitor(&seawall, (100, 20));
    pane.shows_all(&["PROTECTED", ":7001"]);
    let (_, folder) = seawall.stop();
    pane.shows_all(&["NOT PROTECTED", "Trying again", "not running"]);
    let seawall = Seawall::on(&world.desk).folder(folder.expect("its folder")).start();
    let back = |text: &str| !text.contains("NOT PROTECTED") && text.contains("PROTECTED");
    pane.shows("protection again", back);
    let _newer = Caller::start(&world, 7002);
    pane.shows_all(&[":7002"]);
    // A worker that dies is another list of connections.
    let mut seawall = seawall;
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, SOON).expect("another worker");
    let _newest = Caller::start(&world, 7003);
    pane.shows("protection and news", |text| back(text) && text.contains(":7003"));
    pane.keys(&["C-c"]);
    is_given_back(&pane);
}

/// The number of open connections, as the first line says it.
fn open(text: &str) -> Option<u32> {
    text.strip_prefix("Seawall")?.trim_start().split(' ').next()?.parse().ok()
}

/// Ten thousand open connections, some of which talk and more of which come and go.
#[test]
fn ten_thousand_connections_are_shown_sorted_and_followed() {
    const COUNT: u32 = 10_000;
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let crowd = Crowd::open(&world.desk, &world.peer, peer(7010), COUNT);
    let pane = monitor(&seawall, (120, 40));
    pane.shows_all(&["10000 open"]);
    // The last by address and port is not among the first.
    let _late = Caller::start(&world, 7999);
    pane.shows_all(&["10001 open"]);
    pane.keys(&["Tab", "s", "s", "End"]);
    pane.shows_all(&["by name", ":7999"]);
    pane.keys(&["/"]);
    pane.keys(&["7999"]);
    pane.shows("that one alone", |text| text.contains(":7999") && !text.contains(":7010"));
    pane.keys(&["Escape", "Home", "s", "s"]);
    pane.shows_all(&["by rate", ":7010"]);
    let (start, before) = (Instant::now(), vitals::cpu_time(pane.pid()).expect("it lives"));
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(5) {
        assert_eq!(crowd.say(50, round), 50);
        round += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    let used = vitals::cpu_time(pane.pid()).expect("it lives") - before;
    let share = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
    println!("{share:.1} % of a core with {COUNT} connections");
    pane.shows("something moves", |text| {
        text.lines()
            .any(|line| line.contains(":7010") && (line.contains(" B ") || line.contains("kB")))
    });
    drop(crowd);
    // Nobody took them up, so the kernel's tracking holds some for a minute after their end.
    pane.shows("they end", |text| open(text).is_some_and(|count| count < COUNT / 10));
    let from = World::address(World::DESK, Family::V4);
    let path = lab::probe::Path::new(&world.desk, from, &world.peer, peer(0).ip());
    let _listener = path.listen(Kind::Tcp, 7011);
    path.send(Kind::Tcp, 7011, PATIENCE);
    pane.shows_all(&[":7011"]);
}
