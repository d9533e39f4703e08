//! A policy that is changed while nobody judges, or slowly: whatever is open is judged by it in the end.

use std::time::Duration;

use lab::crowd::Crowd;
use lab::probe::Path;
use lab::{Family, Seawall, Talk, World, eventually};

const OPEN: u16 = 7301;
const OTHER: u16 = 7302;
const EASY: Duration = Duration::from_secs(20);
const FORBIDS: &str = "[filter]\noutgoing_rules = [\"- * TCP/7301\"]\n";

fn path(world: &World) -> Path<'_> {
    let address = |pair| World::address(pair, Family::V4);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

fn is_protected(seawall: &Seawall<'_>) -> bool {
    let status = seawall.verb(&["status"]);
    status.code == Some(0) && status.stdout.starts_with("PROTECTED")
}

#[test]
fn what_nobody_judged_at_the_change_is_judged_as_soon_as_somebody_does() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let path = path(&world);
    let (mut forbidden, mut other) = (Talk::open(&path, OPEN), Talk::open(&path, OTHER));
    for talk in [&mut forbidden, &mut other] {
        talk.round_trip(EASY).expect("nothing forbids it yet");
    }
    seawall.fault(&["verdict", "mailbox-full", "--duration-ms", "60000"]);
    seawall.write_policy(FORBIDS);
    let refused = seawall.verb(&["reload"]);
    assert_eq!(refused.code, Some(1), "not all is judged by it: {refused:?}");
    assert!(
        refused.stderr.contains("not in force yet, and tried again: live connections"),
        "{refused:?}"
    );
    let status = seawall.verb(&["status"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    assert!(!forbidden.caller_sees_the_end(Duration::from_millis(1)), "nobody judged it");

    seawall.fault(&["verdict", "clear"]);
    assert!(forbidden.caller_sees_the_end(EASY), "it is cut, though it says nothing");
    other.round_trip(EASY).expect("it goes on");
    eventually("all is well", EASY, || is_protected(&seawall));
}

#[test]
fn many_connections_that_are_slowly_judged_are_no_hang() {
    // Eight batches.
    const CONNECTIONS: u32 = 7_500;
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let open = std::net::SocketAddr::new(path(&world).destination, OPEN);
    let crowd = Crowd::open(&world.desk, &world.peer, open, CONNECTIONS);
    assert_eq!(crowd.ended(), 0);
    let failures = || {
        let components = seawall.components().components;
        components.iter().map(|component| component.restarts + component.hangs).sum::<u64>()
    };
    let before = failures();
    // All batches together take longer than a message of the datapath may.
    seawall.fault(&["verdict", "slow", "--delay-us", "800000", "--messages", "10"]);
    seawall.set_policy(FORBIDS);
    eventually("all of them are cut", EASY, || crowd.ended() == CONNECTIONS as usize);
    eventually("all is well", EASY, || is_protected(&seawall));
    assert_eq!(failures(), before, "somebody was given up as hung: {:?}", seawall.components());
}
