//! Where the machine is, whose a connection is and which way it goes, as rules look at it.

#[path = "networks/interfaces.rs"]
mod interfaces;
#[path = "networks/users.rs"]
mod users;

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Connect, Family, Host, Seawall, Talk, World, eventually, until};
use seawall_messages::network::NetworkAnswer;
use seawall_runtime::ComponentState;
use serde_json::Value;

const PATIENCE: Patience = Patience(Duration::from_millis(1500));
/// How long a round trip may take where nothing is in the way.
const EASY: Duration = Duration::from_secs(2);
/// What the new network forbids is cut within this.
const CUT: Duration = Duration::from_secs(2);
/// How long it may take until the machine counts as being elsewhere.
const MOVED: Duration = Duration::from_secs(5);

/// At home behind `peer`, in the cafe behind `inner`.
const POLICY: &str = "\
[filter]
outgoing_rules = [\"- * TCP/7401 network=cafe\", \"- * TCP/7405 network=cafe\", \"- * TCP/7403 network!=cafe\"]

[[network]]
name = \"home\"
match = { gateway = \"10.77.1.2\" }

[[network]]
name = \"cafe\"
match = { gateway = \"10.77.2.2\", interface = \"inn*\", subnet = \"10.77.2.0/24\" }
block_inbound = true
";

fn path(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

fn back(world: &World, family: Family) -> Path<'_> {
    let there = path(world, family);
    Path::new(there.to, there.destination, there.from, there.source)
}

/// Takes the machine to another gateway. What lies on its cables is reached as before.
fn go_behind(desk: &Host, gateway: &str) {
    desk.ip(&format!("route replace default via {gateway}\n"));
}

fn network(seawall: &Seawall<'_>) -> NetworkAnswer {
    let answer = seawall.verb(&["network", "--json"]);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The network whose settings count.
fn counts(seawall: &Seawall<'_>) -> Option<String> {
    let networks = network(seawall).networks;
    networks.into_iter().find(|network| network.counts).map(|network| network.name.to_string())
}

#[track_caller]
fn wait_until_in(seawall: &Seawall<'_>, name: &str) {
    eventually(&format!("the machine is in {name}"), MOVED, || {
        counts(seawall).as_deref() == Some(name)
    });
}

#[test]
fn a_network_switch_cuts_what_the_new_one_forbids_and_frees_it_when_back() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    assert_eq!(counts(&seawall).as_deref(), Some("home"), "from the first moment on");
    for family in Family::BOTH {
        let (out, inbound) = (path(&world, family), back(&world, family));
        let _listeners = [7401, 7403].map(|port| out.listen(Kind::Tcp, port));
        let _server = inbound.listen(Kind::Tcp, 7404);
        let send = |port| out.send(Kind::Tcp, port, PATIENCE).outcome;
        let mut kept = Talk::open(&out, 7402);
        assert_eq!((send(7401), send(7403)), (Outcome::Connected, Outcome::Refused));
        assert_eq!(inbound.send(Kind::Tcp, 7404, PATIENCE).outcome, Outcome::Connected);

        let mut cut = Talk::open(&out, 7405);
        cut.round_trip(EASY).expect("at home it passes");
        go_behind(&world.desk, World::INNER[0]);
        assert!(cut.caller_sees_the_end(MOVED + CUT), "{family:?}: a live stream is cut");
        wait_until_in(&seawall, "cafe");
        assert_eq!((send(7401), send(7403)), (Outcome::Refused, Outcome::Connected), "{family:?}");
        let inbound_there = inbound.send(Kind::Tcp, 7404, PATIENCE).outcome;
        assert_eq!(inbound_there, Outcome::Silence, "{family:?}: the settings of the network");
        kept.round_trip(EASY).expect("what both permit goes on");

        go_behind(&world.desk, World::PEER[0]);
        wait_until_in(&seawall, "home");
        eventually("all is as before", MOVED, || {
            (send(7401), send(7403)) == (Outcome::Connected, Outcome::Refused)
        });
        assert_eq!(inbound.send(Kind::Tcp, 7404, PATIENCE).outcome, Outcome::Connected);
        kept.round_trip(EASY).expect("what both permit goes on");
    }
}

/// The Ethernet address of a host's interface towards `desk`.
fn mac(host: &Host) -> String {
    let shown = host.run("ip", &["-o", "link", "show", "desk"]);
    let mut words = shown.split_ascii_whitespace().skip_while(|word| *word != "link/ether");
    words.nth(1).unwrap_or_else(|| panic!("no Ethernet address: {shown}")).to_owned()
}

#[test]
fn another_host_at_the_gateways_address_is_another_network() {
    let world = World::new();
    let policy = format!(
        "[[network]]\nname = \"home\"\n\
         match = {{ gateway = \"10.77.1.2\", gateway_mac = \"{}\" }}\n",
        mac(&world.peer)
    );
    let seawall = Seawall::on(&world.desk).policy(&policy).start();
    // Who stands there is known as soon as something goes there.
    let ping = || {
        lab::run(world.desk.command("ping").args(["-c1", "-W1", World::FAR[0]]));
    };
    eventually("it is known who stands there", MOVED, || {
        ping();
        counts(&seawall).as_deref() == Some("home")
    });
    let gateway = network(&seawall).surroundings.gateways.into_iter().find(|it| !it.ipv6);
    assert_eq!(gateway.and_then(|it| it.mac).map(|mac| mac.to_string()), Some(mac(&world.peer)));

    // The kernel forgets who it was, and it is looked again: nothing changes by that.
    let looks = || lab::seawall::sample(&seawall.metrics(), "seawall_network_looks_total");
    let before = looks();
    world.desk.run("ip", &["neigh", "flush", "dev", "peer"]);
    poke(&world.desk);
    eventually("it is looked again", MOVED, || looks() > before);
    assert_eq!(counts(&seawall).as_deref(), Some("home"));

    world.peer.ip("link set desk address 02:77:00:00:00:07\n");
    world.desk.run("ip", &["neigh", "flush", "dev", "peer"]);
    eventually("somebody else stands there", MOVED, || {
        ping();
        counts(&seawall).is_none()
    });
}

#[test]
fn the_verb_shows_where_the_machine_is_and_names_it() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let shown = seawall.verb(&["network"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for expected in ["peer", "10.77.1.1/24", "10.77.1.2", "The policy names no network."] {
        assert!(shown.stdout.contains(expected), "no {expected}: {}", shown.stdout);
    }
    let status: Value = seawall.verb(&["status", "--json"]).json();
    assert_eq!(status.get("networks"), None, "{status}");
    // The lines that it proposes name the present network.
    let (_, proposed) = shown.stdout.split_once("[[network]]").expect("a proposal");
    seawall.set_policy(&format!("[[network]]{proposed}block_lan = true\n"));
    assert_eq!(counts(&seawall).as_deref(), Some("here"));
    let status = seawall.verb(&["status"]);
    assert!(status.stdout.contains("network   here"), "{}", status.stdout);
    let explained = seawall.verb(&["explain", "-", "10.77.1.2:7401"]);
    assert!(explained.stdout.contains("in [[network]] \"here\""), "{}", explained.stdout);
    let settings = "[[network]] \"here\", and [filter] where that says nothing";
    assert!(explained.stdout.contains(settings), "{}", explained.stdout);
    let page = seawall.metrics();
    assert_eq!(lab::seawall::sample(&page, "seawall_network_up_interfaces"), Some(2.0));
    assert_eq!(lab::seawall::sample(&page, "seawall_policy_networks_here"), Some(1.0));
}

/// One change that nobody else notices.
fn poke(desk: &Host) {
    desk.ip("addr add 10.77.9.9/32 dev lo\naddr del 10.77.9.9/32 dev lo\n");
}

#[test]
fn while_network_is_down_the_last_one_counts_and_no_connection_suffers() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let out = path(&world, Family::V4);
    let _listener = out.listen(Kind::Tcp, 7401);
    let send = || out.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let to = std::net::SocketAddr::new(World::address(World::PEER, Family::V4), 7001);
    let _server = lab::Serve::start(&world.peer, &[to], &[]);
    go_behind(&world.desk, World::INNER[0]);
    wait_until_in(&seawall, "cafe");
    let of_network = || {
        let found = seawall.try_components()?.components;
        found.into_iter().find(|component| component.name == "network")
    };
    for (fault, is_shown) in [
        (&["network", "panic"][..], "restarts"),
        (&["network", "hang-pending"], "hangs"),
        (&["network", "hang-spinning"], "hangs"),
        (&["network", "fail-start", "--times", "3"], "restarts"),
    ] {
        let count =
            || of_network().map(|it| if is_shown == "hangs" { it.hangs } else { it.restarts });
        let before = count();
        let load = Connect::at_rate(to, 300, 30.0).start(&world.desk);
        seawall.fault(fault);
        let shown = until(Duration::from_secs(20), || {
            poke(&world.desk);
            assert_eq!(send(), Outcome::Refused, "{fault:?}: the last network counts");
            (count() > before).then_some(())
        });
        assert!(shown.is_some(), "{fault:?} did not show");
        let runs = || of_network().is_some_and(|it| it.state == ComponentState::Running);
        eventually("it is back", Duration::from_secs(20), runs);
        assert_eq!(send(), Outcome::Refused, "{fault:?}: so it does afterwards");
        let report = load.stop();
        assert_eq!(report.failed.total(), 0, "{fault:?}: {report:?}");
        seawall.fault(&["network", "clear"]);
    }
    go_behind(&world.desk, World::PEER[0]);
    wait_until_in(&seawall, "home");
    eventually("what was forbidden there passes here", MOVED, || send() == Outcome::Connected);
}

#[test]
fn a_network_is_named_by_command_and_its_rules_and_settings_count_at_once() {
    let world = World::new();
    let mut seawall = Seawall::on(&world.desk).start();
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402].map(|port| path.listen(Kind::Tcp, port));
    let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
    let done = |seawall: &Seawall<'_>, words: &[&str]| {
        let answer = seawall.verb(words);
        assert_eq!(answer.code, Some(0), "{words:?}: {answer:?}");
        answer.stdout
    };
    let refused = |seawall: &Seawall<'_>, words: &[&str], why: &str| {
        let answer = seawall.verb(words);
        assert_eq!(answer.code, Some(1), "{words:?}: {answer:?}");
        assert!(answer.stderr.contains(why), "{words:?}: {answer:?}");
    };
    refused(&seawall, &["rule", "add", "- * TCP/7401 network=home"], "home");
    let added = done(&seawall, &["network", "add", "home"]);
    assert!(added.contains("network home (gateway = "), "{added}");
    assert_eq!(counts(&seawall).as_deref(), Some("home"), "the present one");
    done(&seawall, &["rule", "add", "- * TCP/7401 network=home"]);
    assert_eq!((send(7401), send(7402)), (Outcome::Refused, Outcome::Connected));
    let mut talk = Talk::open(&path, 7403);
    let set = done(&seawall, &["network", "set", "home", "default_action", "block"]);
    assert!(set.contains("default_action = block) changed"), "{set}");
    assert_eq!(send(7402), Outcome::Refused);
    assert!(talk.caller_sees_the_end(CUT), "a live connection follows");

    // What was acknowledged is there, whatever is killed.
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, Duration::from_secs(5)).expect("another worker");
    assert_eq!(send(7402), Outcome::Refused);
    let text = done(&seawall, &["export"]);
    assert!(text.contains("[[network]]") && text.contains("default_action"), "{text}");
    done(&seawall, &["network", "reset", "home", "default_action"]);
    assert_eq!(send(7402), Outcome::Connected);

    done(&seawall, &["network", "add", "far", "--subnet", "10.99.0.0/16", "--interface", "x*"]);
    refused(&seawall, &["network", "add", "far", "--interface", "x"], "already");
    refused(&seawall, &["network", "remove", "home"], "take it out first");
    assert_eq!(seawall.verb(&["network", "set", "far", "use_parent", "on"]).code, Some(2));
    let shown = done(&seawall, &["network"]);
    assert!(shown.contains("store"), "{shown}");

    // A text gives it back what it said.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &text).expect("written");
    let name = file.path().to_str().expect("plain");
    let dry = done(&seawall, &["import", name, "--dry-run", "--replace"]);
    assert!(dry.contains("+ network \"home\".default_action = block"), "{dry}");
    assert!(dry.contains("- network \"far\""), "{dry}");
    assert_eq!(send(7402), Outcome::Connected, "only shown");
    done(&seawall, &["import", name, "--replace"]);
    assert_eq!(send(7402), Outcome::Refused);

    // The file's come first, and lock their names.
    let file = "[[network]]\nname = \"home\"\nmatch = { subnet = \"0.0.0.0/0\" }\n";
    seawall.set_policy(file);
    assert_eq!(send(7402), Outcome::Connected, "the file says nothing of it");
    refused(&seawall, &["network", "add", "home", "--interface", "x"], "locks it");
    let status = done(&seawall, &["status", "--json"]);
    assert!(status.contains("one of the policy file is called so"), "{status}");
    let (_, folder) = seawall.stop();
    let seawall = Seawall::on(&world.desk).folder(folder.expect("its folder")).policy("").start();
    assert_eq!(send(7402), Outcome::Refused, "of another start");
    done(&seawall, &["rule", "remove", "- * TCP/7401 network=home"]);
    done(&seawall, &["network", "remove", "home"]);
    assert_eq!((send(7401), send(7402)), (Outcome::Connected, Outcome::Connected));
}
