//! What waits for the user outlives the death of whoever minds it.

use std::time::Duration;

use lab::{Programs, Seawall, World, eventually, until};
use seawall_runtime::ComponentState;

use super::{ASKED, Attempt, PORT, SOON, answer, at, programs, prompt_of, prompts};

const SUCCESSOR: Duration = Duration::from_secs(20);

#[test]
fn a_killed_worker_loses_neither_packets_nor_prompts() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let mut seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let programs = programs(&folder, 2);
    let attempts: Vec<_> =
        programs.iter().map(|program| Attempt::start(&world, program, at(PORT))).collect();
    let before: Vec<_> = programs.iter().map(|program| prompt_of(&seawall, program).id).collect();
    let old = seawall.kill_worker();
    assert!(seawall.wait_for_successor(old, SUCCESSOR).is_some(), "no successor");
    let after: Vec<_> = programs.iter().map(|program| prompt_of(&seawall, program)).collect();
    assert_eq!(after.iter().map(|prompt| prompt.id).collect::<Vec<_>>(), before);
    answer(&seawall, &after[0], &["allow"]);
    attempts[0].connects("held over the worker's death, then allowed");
    attempts[1].waits("the other one");
    answer(&seawall, &after[1], &["block"]);
    attempts[1].is_refused("held over the worker's death, then blocked");
    // Answers that count for a time outlive it, too.
    let attempt = Attempt::start(&world, &programs[0], at(PORT));
    let prompt = prompt_of(&seawall, &programs[0]);
    answer(&seawall, &prompt, &["allow", "--for", "10m"]);
    attempt.connects("it waited");
    let old = seawall.kill_worker();
    assert!(seawall.wait_for_successor(old, SUCCESSOR).is_some(), "no successor");
    Attempt::start(&world, &programs[0], at(PORT)).connects("the answer is still there");
}

fn outlives(fault: &[&str]) {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let programs = programs(&folder, 3);
    let first = Attempt::start(&world, &programs[0], at(PORT));
    let prompt = prompt_of(&seawall, &programs[0]);
    let generation = |name: &str| {
        let components = seawall.try_components()?.components;
        components
            .into_iter()
            .find(|it| it.name == name && it.state == ComponentState::Running)
            .map(|it| it.restarts)
    };
    let before = generation("prompt").expect("it runs");
    seawall.fault(&[&["prompt"], fault].concat());
    // Its next message strikes it.
    let second = Attempt::start(&world, &programs[1], at(PORT));
    let back = until(SUCCESSOR, || generation("prompt").filter(|restarts| *restarts > before));
    assert!(back.is_some(), "{fault:?}: it did not come back");
    seawall.fault(&["prompt", "clear"]);
    first.waits("it went on waiting");
    assert_eq!(prompt_of(&seawall, &programs[0]).id, prompt.id, "its prompt is as it was");
    let other = prompt_of(&seawall, &programs[1]);
    answer(&seawall, &other, &["allow"]);
    second.connects("asked about while it was struck");
    answer(&seawall, &prompt, &["allow"]);
    first.connects("held all the while");
    let third = Attempt::start(&world, &programs[2], at(PORT));
    answer(&seawall, &prompt_of(&seawall, &programs[2]), &["allow"]);
    third.connects("asked about afterwards");
    eventually("nothing is left", SOON, || prompts(&seawall).prompts.is_empty());
}

#[test]
fn prompts_outlive_a_panic_of_their_component() {
    outlives(&["panic"]);
}

#[test]
fn prompts_outlive_a_hang_of_their_component() {
    outlives(&["hang-pending"]);
}

#[test]
fn what_waits_outlives_every_component_on_its_way() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let names = ["verdict", "process", "policy", "datapath", "datapath/new"];
    for (name, program) in names.into_iter().zip(programs(&folder, names.len())) {
        let attempt = Attempt::start(&world, &program, at(PORT));
        let prompt = prompt_of(&seawall, &program);
        seawall.fault(&[name, "fail-start", "--times", "1"]);
        let runs = || {
            let components = seawall.try_components()?.components;
            let is_back = |it: &seawall_runtime::ComponentStatus| {
                it.name == name && it.state == ComponentState::Running && it.restarts > 0
            };
            components.iter().any(is_back).then_some(())
        };
        assert!(until(SUCCESSOR, runs).is_some(), "{name} did not come back");
        attempt.waits(name);
        assert_eq!(prompt_of(&seawall, &program).id, prompt.id, "{name}");
        answer(&seawall, &prompt, &["allow"]);
        attempt.connects(name);
    }
}
