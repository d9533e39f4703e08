//! A hundred programs at once that nobody answers: all else goes on as if they weren't there.

use std::time::{Duration, Instant};

use lab::{Programs, Seawall, World, eventually};

use super::{ASKED, Attempt, OTHER_PORT, PORT, answer, at, programs, prompt_of, prompts};

const PROGRAMS: usize = 100;
const OTHERS: usize = 200;
/// How long the connections of others may take, each: ten times what is promised on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Connections of a program that nobody asks about.
fn others_go_on(world: &World, when: &str) {
    let mut longest = Duration::ZERO;
    for _ in 0..OTHERS {
        let begun = Instant::now();
        let connected = world.desk.connect(at(OTHER_PORT), AT_ONCE);
        assert!(connected.is_ok(), "{when}: {connected:?}");
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < AT_ONCE, "{when}: {longest:?}");
}

#[test]
fn a_hundred_programs_wait_and_nobody_else_does() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let _other = lab::Serve::start(&world.peer, &[at(OTHER_PORT)], &[]);
    let mut seawall = Seawall::on(&world.desk).policy(ASKED).start();
    others_go_on(&world, "before");
    let folder = Programs::new();
    let programs = programs(&folder, PROGRAMS);
    let attempts: Vec<_> =
        programs.iter().map(|program| Attempt::start(&world, program, at(PORT))).collect();
    let waiting = || prompts(&seawall).prompts.iter().filter(|prompt| prompt.waiting > 0).count();
    eventually("all are asked about", Duration::from_secs(15), || waiting() == PROGRAMS);
    others_go_on(&world, "while a hundred wait");
    let apart = || {
        let status = seawall.status().datapath;
        (status.asked_flows, status.parked_flows) == (PROGRAMS, 0)
    };
    eventually("all lie apart", Duration::from_secs(15), apart);

    let old = seawall.kill_worker();
    let successor = seawall.wait_for_successor(old, Duration::from_secs(20));
    assert!(successor.is_some(), "no successor");
    others_go_on(&world, "after the worker's death");
    let waiting = || prompts(&seawall).prompts.iter().filter(|prompt| prompt.waiting > 0).count();
    eventually("all are asked about again", Duration::from_secs(15), || waiting() == PROGRAMS);
    for number in [0, PROGRAMS / 2, PROGRAMS - 1] {
        answer(&seawall, &prompt_of(&seawall, &programs[number]), &["allow"]);
        attempts[number].connects("held over the worker's death, then allowed");
    }
    others_go_on(&world, "at the end");
}
