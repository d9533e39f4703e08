//! A prompt answered each way, and what it covers from then on.

use std::path::PathBuf;
use std::time::Duration;

use lab::pane::Pane;
use lab::probe::Path as Way;
use lab::seawall::process;
use lab::world::needs;
use lab::{Datagrams, Deed, Family, Programs, Seawall, Serve, Talk, World, eventually, until};
use seawall_messages::prompt::{Covers, Prompt, PromptState};
use seawall_messages::{Action, Direction};

use super::{
    A_WHILE, ASKED, Attempt, OTHER_PORT, PORT, SOON, answer, at, programs, prompt_of, prompts,
};

/// What becomes of a connection after the answer.
#[derive(Clone, Copy, Debug)]
enum Later {
    Connects,
    Refused,
    Asked,
}

fn check(seawall: &Seawall<'_>, later: Later, attempt: &Attempt, what: &str) {
    match later {
        Later::Connects => {
            let outcome = attempt.outcome(SOON);
            let known =
                || [&["prompts"][..], &["connections"]].map(|verb| seawall.verb(verb).stdout);
            assert_eq!(outcome.as_deref(), Some("ok"), "{what}: {:#?}", known());
        }
        Later::Refused => attempt.is_refused(what),
        Later::Asked => attempt.waits(what),
    }
}

#[test]
fn a_prompt_is_answered_each_way() {
    use Later::{Asked, Connects, Refused};
    let world = World::new();
    let _servers = [PORT, OTHER_PORT].map(|port| world.peer.listen(at(port)));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    // The answer; then what becomes of this connection, the next, and the next to another port.
    let cases: [(&[&str], Later, Later, Later); 11] = [
        (&["allow"], Connects, Asked, Asked),
        (&["block", "--once"], Refused, Asked, Asked),
        (&["allow", "--for", "10m"], Connects, Connects, Asked),
        (&["block", "--for", "10m"], Refused, Refused, Asked),
        (&["allow", "--for", "10m", "--what", "app"], Connects, Connects, Connects),
        (&["allow", "--for", "10m", "--what", "address"], Connects, Connects, Connects),
        (&["block", "--for", "10m", "--what", "port"], Refused, Refused, Asked),
        (&["allow", "--until-app-ends", "--what", "app"], Connects, Asked, Asked),
        (&["allow", "--always", "--what", "app"], Connects, Connects, Connects),
        (&["block", "--always", "--what", "app"], Refused, Refused, Refused),
        (&["allow", "--always", "--what", "address-port"], Connects, Connects, Asked),
    ];
    let folder = Programs::new();
    let programs = programs(&folder, cases.len());
    for ((words, this, next, elsewhere), program) in cases.into_iter().zip(&programs) {
        let attempt = Attempt::start(&world, program, at(PORT));
        let prompt = prompt_of(&seawall, program);
        attempt.waits("it waits for the answer");
        let target = &prompt.targets[0];
        assert_eq!((target.address, target.port), (at(PORT).ip(), Some(PORT)));
        assert_eq!(prompt.direction, Direction::Outbound);
        answer(&seawall, &prompt, words);
        check(&seawall, this, &attempt, &format!("{words:?}, the connection that waited"));
        let again = Attempt::start(&world, program, at(PORT));
        check(&seawall, next, &again, &format!("{words:?}, the next"));
        let other = Attempt::start(&world, program, at(OTHER_PORT));
        check(&seawall, elsewhere, &other, &format!("{words:?}, another port"));
    }
    let policy = seawall.verb(&["export"]).stdout;
    for rule in ["+ *", "- *", &format!("+ {} */{PORT}", at(PORT).ip())] {
        assert!(policy.contains(rule), "{rule} is not in the store:\n{policy}");
    }
}

/// What is said of the one program is not said of the other, though the other calls from its port.
#[test]
fn who_calls_from_the_port_of_one_that_waits_is_asked_about_anew() {
    const FROM_PORT: u16 = 9002;
    let world = World::new();
    let _server = Serve::start(&world.peer, &[at(PORT)], &[at(PORT)]);
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let programs = programs(&folder, 4);
    for (pair, deed) in programs.chunks(2).zip([Deed::Connect, Deed::ConnectAndSend]) {
        let start = |program| Attempt::from(&world, program, deed, at(PORT), FROM_PORT);
        let first = start(&pair[0]);
        let of_first = prompt_of(&seawall, &pair[0]);
        drop(first);
        let second = start(&pair[1]);
        let of_second = prompt_of(&seawall, &pair[1]);
        answer(&seawall, &of_first, &["block", "--always", "--what", "app"]);
        answer(&seawall, &of_second, &["allow"]);
        second.connects("the answer to its own prompt counts");
        let newest = || seawall.connections().connections.into_iter().next();
        eventually(&format!("{deed:?}: the second's passes, as its own"), SOON, || {
            newest().is_some_and(|it| {
                let path = process(&it).map(|process| PathBuf::from(&*process.path));
                it.action == Action::Allow && path.as_ref() == Some(&pair[1])
            })
        });
    }
}

#[test]
fn an_answer_until_the_app_ends_is_for_that_process() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let program = &programs(&folder, 1)[0];
    let mut attempt = Attempt::start(&world, program, at(PORT));
    let prompt = prompt_of(&seawall, program);
    answer(&seawall, &prompt, &["allow", "--until-app-ends"]);
    attempt.connects("the connection that waited");
    attempt.0.write("again\n");
    attempt.connects("another one of the process");
    assert_eq!(prompts(&seawall).answers.len(), 1);
    drop(attempt);
    let another = Attempt::start(&world, program, at(PORT));
    another.waits("another process of the program");
    eventually("the answer is forgotten", SOON, || prompts(&seawall).answers.is_empty());
}

#[test]
fn nobody_answers_in_time_and_a_late_answer_counts() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let policy = format!("[filter]\nask_timeout = 10\n{ASKED}");
    let seawall = Seawall::on(&world.desk).policy(&policy).start();
    let folder = Programs::new();
    let program = &programs(&folder, 1)[0];
    let attempt = Attempt::start(&world, program, at(PORT));
    let prompt = prompt_of(&seawall, program);
    assert!(attempt.outcome(Duration::from_secs(6)).is_none(), "it waits beyond five seconds");
    attempt.is_refused("nobody answered");
    let is_missed = || matches!(prompts(&seawall).prompts[..], [ref it] if matches!(it.state, PromptState::Missed { .. }));
    eventually("it stays to be seen", SOON, is_missed);
    // The next attempt opens it again.
    let retry = Attempt::start(&world, program, at(PORT));
    assert_eq!(prompt_of(&seawall, program).id, prompt.id);
    retry.is_refused("nobody answered that, either");
    eventually("it stays to be seen", SOON, is_missed);
    let said = answer(&seawall, &prompt, &["allow"]);
    assert!(said.stdout.contains("the next such connection"), "{}", said.stdout);
    Attempt::start(&world, program, at(PORT)).connects("the answer is for the next one");
    Attempt::start(&world, program, at(PORT)).waits("and for no more");
}

#[test]
fn what_is_dismissed_is_denied() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let program = &programs(&folder, 1)[0];
    let attempt = Attempt::start(&world, program, at(PORT));
    let prompt = prompt_of(&seawall, program);
    // The prompt is there before the datapath has learnt that the packet waits for the user.
    eventually("status tells of it", SOON, || {
        seawall.verb(&["status"]).stdout.contains("1 connections wait for an answer")
    });
    assert!(seawall.verb(&["prompts"]).stdout.contains("asked-000"));
    let dismissed = seawall.verb(&["prompts", "dismiss", &prompt.id.0.to_string()]);
    assert_eq!(dismissed.code, Some(0), "{}", dismissed.stderr);
    attempt.is_refused("it was dismissed");
    assert!(prompts(&seawall).prompts.is_empty());
    let again = seawall.verb(&["prompts", "dismiss", "999"]);
    assert_eq!(again.code, Some(1), "{}", again.stdout);
}

#[test]
fn an_answer_about_a_name_that_nobody_knows_is_refused() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let program = &programs(&folder, 1)[0];
    let attempt = Attempt::start(&world, program, at(PORT));
    let prompt = prompt_of(&seawall, program);
    let id = prompt.id.0.to_string();
    for what in ["domain", "zone"] {
        let refused = seawall.verb(&["prompts", "answer", &id, "allow", "--what", what]);
        assert_eq!(refused.code, Some(1), "{what}: {}", refused.stdout);
        assert!(refused.stderr.contains("nobody knows the name of"), "{}", refused.stderr);
    }
    attempt.waits("nothing was answered");
    answer(&seawall, &prompt, &["allow"]);
    attempt.connects("for the address and port, as ever");
}

#[test]
fn one_key_answers_on_a_terminal() {
    needs("tmux");
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let (binary, run_dir) = (lab::seawall::binary(), seawall.run_dir());
    let command = format!("'{}' prompts watch --run-dir '{}'", binary.display(), run_dir.display());
    let pane = Pane::start(&world.desk, &command, (120, 40));
    pane.shows_all(&["waiting for prompts"]);
    let folder = Programs::new();
    let programs = programs(&folder, 2);
    let attempt = Attempt::start(&world, &programs[0], at(PORT));
    pane.shows_all(&["asked-000", "to 10.77.1.2:7501 TCP", "a allow once"]);
    attempt.waits("a key is waited for");
    pane.keys(&["a"]);
    attempt.connects("a key allowed it");
    pane.shows_all(&["allowed; 1 connection waited for it", "nothing else waits"]);
    let attempt = Attempt::start(&world, &programs[1], at(PORT));
    pane.shows_all(&["asked-001"]);
    // What other keys send is no answer: an arrow ends with an A.
    pane.keys(&["Up"]);
    attempt.waits("that was no answer");
    pane.keys(&["W"]);
    attempt.is_refused("a key blocked it");
    pane.keys(&["q"]);
    pane.shows_all(&["ended 0 icanon"]);
    let answers = prompts(&seawall).answers;
    assert!(answers.iter().any(|given| given.covers == Covers::App), "{answers:?}");
}

#[test]
fn an_open_connection_goes_on_until_it_is_blocked() {
    let world = World::new();
    let server = world.peer.listen(at(PORT));
    let seawall = Seawall::on(&world.desk).start();
    let way = Way::new(
        &world.desk,
        World::address(World::DESK, Family::V4),
        &world.peer,
        World::address(World::PEER, Family::V4),
    );
    let mut talk = Talk::open_to(&way, &server);
    talk.round_trip(SOON).expect("a round trip before");
    seawall.set_policy("[filter]\ndefault_action = \"ask\"\n");
    talk.round_trip(SOON).expect("an open connection goes on");
    assert!(prompts(&seawall).prompts.is_empty(), "nobody is asked about it");
    let own = std::env::current_exe().expect("a path");
    std::thread::scope(|scope| {
        let new = scope.spawn(|| world.desk.connect(at(PORT), SOON));
        let prompt = prompt_of(&seawall, &own);
        talk.round_trip(SOON).expect("it goes on while the user is asked");
        answer(&seawall, &prompt, &["block", "--for", "10m", "--what", "app"]);
        assert!(new.join().expect("no panic").is_err(), "the new one is refused");
    });
    assert!(talk.caller_sees_the_end(SOON), "the open one is cut");
}

#[test]
fn datagrams_wait_and_arrive_and_others_are_asked_about_too() {
    let world = World::new();
    let receiver = world.peer.datagrams(at(PORT));
    receiver.set_read_timeout(Some(SOON)).expect("a time-out");
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let folder = Programs::new();
    let program = &programs(&folder, 1)[0];
    let sender = Attempt::by(&world, program, Deed::SendTo, at(PORT));
    sender.connects("a datagram is sent, as far as the program sees");
    let prompt = prompt_of(&seawall, program);
    receiver.set_read_timeout(Some(A_WHILE)).expect("a time-out");
    let mut buffer = [0; 64];
    assert!(receiver.recv(&mut buffer).is_err(), "it waits");
    answer(&seawall, &prompt, &["allow"]);
    receiver.set_read_timeout(Some(SOON)).expect("a time-out");
    assert!(receiver.recv(&mut buffer).is_ok(), "it arrives");
}

#[test]
fn what_is_forwarded_is_asked_about() {
    let world = World::new();
    let _server = world.peer.listen(at(PORT));
    let policy = "[filter]\noutgoing_rules = [\"? * TCP/7501\"]\n";
    let seawall = Seawall::on(&world.desk).policy(policy).start();
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| world.inner.connect(at(PORT), SOON));
        let waits =
            |prompt: &Prompt| prompt.direction == Direction::Forwarded && prompt.waiting > 0;
        let found = until(SOON, || prompts(&seawall).prompts.into_iter().find(waits));
        let prompt = found.expect("a prompt");
        assert_eq!(prompt.targets[0].address, at(PORT).ip());
        answer(&seawall, &prompt, &["allow"]);
        assert!(caller.join().expect("no panic").is_ok(), "it goes through");
    });
}

#[test]
fn what_others_open_is_asked_about() {
    let world = World::new();
    let policy = "[filter]\nincoming_rules = [\"? * TCP/7501\"]\n";
    let seawall = Seawall::on(&world.desk).policy(policy).start();
    for family in Family::BOTH {
        let here = std::net::SocketAddr::new(World::address(World::DESK, family), PORT);
        let _server = world.desk.listen(here);
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| world.peer.connect(here, SOON));
            let prompt = prompt_of(&seawall, &std::env::current_exe().expect("a path"));
            assert_eq!(prompt.direction, Direction::Inbound);
            assert_eq!(prompt.targets[0].address, World::address(World::PEER, family));
            answer(&seawall, &prompt, &["allow", "--for", "10m"]);
            assert!(caller.join().expect("no panic").is_ok(), "{family:?}: it is let in");
        });
    }
    // Other traffic isn't asked about.
    let way = Way::new(
        &world.desk,
        World::address(World::DESK, Family::V4),
        &world.peer,
        World::address(World::PEER, Family::V4),
    );
    Datagrams::open(&way, OTHER_PORT).round_trip(SOON).expect("it passes");
    assert!(prompts(&seawall).prompts.is_empty());
}
