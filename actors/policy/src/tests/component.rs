//! Starts, reloads and removals, over several lives of one machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use seawall_messages::network::{Interface, Surroundings};
use seawall_messages::policy::{DefaultAction, Message, Mode, PolicyGeneration, PolicySource};
use seawall_messages::{Protocol, Snapshot};

use super::adoption::{listener, session};
use super::{DEADLINE, Machine, wait_until};
use crate::Store;

const BLOCK: &str = "[filter]\ndefault_action = \"block\"\n";
const BAD: &str = "[filter]\ndefault_action = \"blok\"\n";

#[test]
fn the_file_is_published_and_the_datapath_told() {
    let machine = Machine::with_file(
        "[filter]\nblock_lan = true\noutgoing_rules = [\"- 10.0.0.5\"]\n[service]\nmode = \"lockdown\"\n",
    );
    let worker = machine.start();
    let snapshot = worker.snapshot();
    assert_eq!(snapshot.generation, PolicyGeneration(1));
    assert_eq!((snapshot.mode, snapshot.filter.block_lan), (Mode::Lockdown, true));
    assert_eq!(&*snapshot.filter.outgoing_rules[0].text, "- 10.0.0.5");
    let status = worker.status();
    assert_eq!((status.source, status.refused), (PolicySource::File, None));
    assert_eq!((status.generation, status.file), (PolicyGeneration(1), machine.file()));
    wait_until("the datapath is told", || machine.told() == [PolicyGeneration(1)]);
    worker.stop();
}

#[test]
fn rules_of_apps_are_published_and_their_change_is_one() {
    let app = "[[app]]\nmatch = { path = \"/usr/bin/curl\" }\n";
    let machine = Machine::with_file(app);
    let worker = machine.start();
    let snapshot = worker.snapshot();
    assert_eq!(snapshot.apps.len(), 1);
    assert_eq!(&*snapshot.apps[0].name, "path=/usr/bin/curl");
    assert_eq!(snapshot.apps[0].filter.block_lan, None);
    machine.write(&format!("{app}block_lan = true"));
    assert_eq!(worker.reload().expect("changed").generation, PolicyGeneration(2));
    assert_eq!(worker.snapshot().apps[0].filter.block_lan, Some(true));
    machine.write("");
    assert_eq!(worker.reload().expect("changed").generation, PolicyGeneration(3));
    assert!(!worker.snapshot().asks_for_apps());
    worker.stop();
}

#[test]
fn without_a_file_everything_is_permitted() {
    let machine = Machine::new();
    let worker = machine.start();
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Permit);
    assert_eq!(worker.status().source, PolicySource::Defaults);
    let status = worker.reload().expect("nothing is wrong");
    assert_eq!(status.source, PolicySource::Defaults);
    worker.stop();
}

#[test]
fn a_reload_publishes_what_changed_and_nothing_else() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    assert_eq!(worker.reload().expect("unchanged").generation, PolicyGeneration(1));
    machine.write("# the same settings, other words\n[filter]\ndefault_action = 'permit'\n");
    assert_eq!(worker.reload().expect("the same").generation, PolicyGeneration(1));
    machine.write(BLOCK);
    assert_eq!(worker.reload().expect("changed").generation, PolicyGeneration(2));
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Block);
    wait_until("the datapath is told", || {
        machine.told() == [PolicyGeneration(1), PolicyGeneration(2)]
    });
    worker.stop();
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_the_old_policy_stays() {
    let machine = Machine::with_file(BLOCK);
    let worker = machine.start();
    machine.write(BAD);
    let refused = worker.reload().expect_err("a bad file");
    assert!(refused.contains("seawall.toml:2:18: filter.default_action"), "{refused}");
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Block);
    let status = worker.status();
    assert_eq!((status.source, status.refused), (PolicySource::File, Some(refused)));
    std::fs::remove_file(machine.file()).expect("it goes");
    assert!(worker.reload().expect_err("no file").contains("no such file"));
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Block);
    machine.write("");
    assert_eq!(worker.reload().expect("a good file").refused, None);
    worker.stop();
}

#[test]
fn a_start_with_a_bad_file_uses_the_last_good_copy() {
    let machine = Machine::with_file(BLOCK);
    machine.start().stop();
    for text in [Some(BAD), None] {
        match text {
            Some(text) => machine.write(text),
            None => std::fs::remove_file(machine.file()).expect("it goes"),
        }
        let worker = machine.start();
        assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Block, "{text:?}");
        let status = worker.status();
        assert_eq!(status.source, PolicySource::LastGood, "{text:?}");
        assert!(status.refused.is_some(), "{text:?}");
        worker.stop();
    }
}

#[test]
fn a_start_with_a_bad_file_and_no_copy_is_refused() {
    let machine = Machine::with_file(BAD);
    let refused = machine.try_start().map(|_| ()).expect_err("a bad file");
    assert!(refused.contains("seawall.toml:2:18: filter.default_action"), "{refused}");
}

#[test]
fn changes_that_need_a_restart_are_said() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    machine.write("[service]\nqueue_base = 100\nmode = \"lockdown\"\n");
    let status = worker.reload().expect("accepted");
    assert_eq!(status.restart_needed, ["service.queue_base"]);
    assert_eq!(worker.snapshot().mode, Mode::Lockdown, "the mode changes at once");
    worker.stop();
}

#[test]
fn what_was_there_at_the_first_start_stays_until_it_is_removed() {
    let machine = Machine::with_file("");
    let ssh = listener(Protocol::TCP, "0.0.0.0:22");
    let connection = session("192.168.1.5:22", "192.168.1.9:40000");
    *machine.sockets.found.lock().unwrap() = vec![ssh, connection];
    let worker = machine.start();
    assert_eq!(worker.snapshot().adopted.len(), 2);
    assert_eq!(worker.remove(1), Ok(true));
    assert_eq!(worker.remove(1), Ok(false));
    let snapshot = worker.snapshot();
    assert_eq!((snapshot.generation, snapshot.adopted.len()), (PolicyGeneration(2), 1));
    worker.stop();

    // What has come since is not adopted.
    *machine.sockets.found.lock().unwrap() =
        vec![ssh, connection, listener(Protocol::TCP, "0.0.0.0:80")];
    let worker = machine.start();
    assert_eq!(worker.snapshot().adopted, snapshot.adopted);
    machine.sockets.found.lock().unwrap().clear();
    assert_eq!(worker.reload().expect("unchanged").generation, PolicyGeneration(2));
    assert!(worker.snapshot().adopted.is_empty(), "the connection has ended");
    worker.stop();
    assert_eq!(Store::open(&machine.state()).unwrap().adopted().unwrap(), Some(Vec::new()));
}

#[test]
fn a_first_start_that_cannot_look_is_tried_again() {
    let machine = Machine::with_file("");
    *machine.sockets.found.lock().unwrap() = vec![listener(Protocol::TCP, "0.0.0.0:22")];
    machine.sockets.fails.store(true, Ordering::Relaxed);
    let worker = machine.start();
    assert!(worker.snapshot().adopted.is_empty());
    worker.stop();
    machine.sockets.fails.store(false, Ordering::Relaxed);
    let worker = machine.start();
    assert_eq!(worker.snapshot().adopted.len(), 1);
    worker.stop();
    // Unable to look again, it drops nothing.
    machine.sockets.fails.store(true, Ordering::Relaxed);
    let worker = machine.start();
    assert_eq!(worker.snapshot().adopted.len(), 1);
    worker.stop();
}

#[test]
fn what_is_in_force_is_published_anew_when_the_users_answers_want_that() {
    let machine = Machine::with_file("filter.default_action = 'ask'\nfilter.ask_timeout = 30\n");
    let worker = machine.start();
    let before = worker.snapshot();
    assert_eq!(before.ask_timeout, Duration::from_secs(30));
    assert!(before.asks_for_apps(), "whom to ask about has to be known");
    let renewed = worker.policy.ask_blocking(DEADLINE, |reply| Message::Renew { reply });
    let renewed = renewed.expect("an answer");
    let after = worker.snapshot();
    assert_eq!((before.generation, renewed), (PolicyGeneration(1), PolicyGeneration(2)));
    assert_eq!(*after, Snapshot { generation: renewed, ..(*before).clone() });
    worker.stop();
}

#[test]
fn another_network_is_another_policy() {
    let machine = Machine::with_file(
        "[filter]\noutgoing_rules = [\"- 10.0.0.5 network=cafe\"]\n\
         [[network]]\nname = \"cafe\"\nmatch = { subnet = \"10.0.0.0/8\" }\nblock_lan = true\n\
         [[network]]\nname = \"air\"\nmatch = { ssid = \"x\" }\n",
    );
    let worker = machine.start();
    let counts = || worker.snapshot().filter.outgoing_rules[0].is_active;
    let network = || worker.snapshot().network().map(|network| network.name.to_string());
    assert_eq!((counts(), network()), (false, None));
    assert_eq!(worker.status().idle_rules, [], "nobody waits for anything");
    let addresses = vec!["10.1.2.3/8".parse().expect("a network")];
    let interface =
        Interface { index: 2, name: Arc::from("eth0"), up: true, addresses, ssid: None };
    let cafe = Surroundings { interfaces: vec![interface], gateways: Vec::new() };
    worker.move_to(cafe.clone());
    wait_until("the network counts", || network().as_deref() == Some("cafe"));
    assert!(counts());
    assert_eq!(worker.snapshot().generation, PolicyGeneration(2));
    worker.move_to(cafe.clone());
    assert_eq!(worker.status().generation, PolicyGeneration(2), "the same network");
    let mut air = cafe;
    air.interfaces[0].ssid = "x".parse().ok();
    air.interfaces[0].addresses.clear();
    worker.move_to(air);
    wait_until("it is in the air", || network().as_deref() == Some("air"));
    assert!(!counts());
    worker.move_to(Surroundings::default());
    wait_until("it is left", || network().is_none());
    wait_until("the datapath is told", || machine.told() == [1, 2, 3, 4].map(PolicyGeneration));
    worker.stop();
}
