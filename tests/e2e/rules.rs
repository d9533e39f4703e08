//! Our rules in the kernel: mended when somebody breaks them, gone after a
//! clean stop, and no business of another namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Connect, Family, Host, Seawall, Serve, World, eventually, run_ok, uninterrupted};
use seawall_messages::keeper::Layout;

const BACKENDS: [&str; 2] = ["iptables-nft", "iptables-legacy"];
const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7101\"]\n";
const OPEN: u16 = 7001;
const FORBIDDEN: u16 = 7101;
const MENDED: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience(Duration::from_millis(2500));

fn outbound(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

/// Rules of ours as the tools print them, order within a table kept.
fn ours(host: &Host, backend: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for family in ["iptables", "ip6tables"] {
        let program = format!("{}-save", backend.replacen("iptables", family, 1));
        let mut table = String::new();
        for line in host.run(&program, &[]).lines() {
            if line.starts_with('*') {
                table = line.to_owned();
            } else if line.starts_with("-A") && line.contains("SEAWALL") {
                rules.push(format!("{family} {table} {line}"));
            }
        }
    }
    rules
}

/// First rule of a built-in chain.
fn first(host: &Host, program: &str, table: &str, chain: &str) -> String {
    let list = host.run(program, &["-w", "5", "-t", table, "-S", chain]);
    list.lines().find(|line| line.starts_with("-A")).unwrap_or_default().to_owned()
}

/// Does something to the rules of a running Seawall, and waits until all is as before.
fn mends(backend: &str, what: &str, harm: impl Fn(&Host, &str)) {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
    let before = ours(&world.desk, backend);
    assert!(before.len() > 20, "our rules: {before:#?}");
    for program in [backend.to_owned(), backend.replacen("iptables", "ip6tables", 1)] {
        harm(&world.desk, &program);
        eventually(&format!("{what} by {program} is mended"), MENDED, || {
            ours(&world.desk, backend) == before
                && ["INPUT", "OUTPUT", "FORWARD"].iter().all(|chain| {
                    ["mangle", "filter"]
                        .iter()
                        .all(|table| first(&world.desk, &program, table, chain).contains("SEAWALL"))
                })
        });
    }
    for family in Family::BOTH {
        let path = outbound(&world, family);
        let _listener = path.listen(Kind::Tcp, OPEN);
        assert_eq!(path.send(Kind::Tcp, FORBIDDEN, PATIENCE).outcome, Outcome::Refused, "{what}");
        assert_eq!(path.send(Kind::Tcp, OPEN, PATIENCE).outcome, Outcome::Connected, "{what}");
    }
    let page = seawall.metrics();
    let mended = lab::seawall::sample(&page, "seawall_keeper_rules_mended_total");
    assert!(mended.is_some_and(|times| times >= 1.0), "the mending is counted: {mended:?}");
}

#[test]
fn flushed_rules_are_mended() {
    for backend in BACKENDS {
        mends(backend, "a flush of all tables", |host, program| {
            for table in ["raw", "mangle", "filter", "security"] {
                host.run(program, &["-w", "5", "-t", table, "-F"]);
            }
        });
    }
}

#[test]
fn a_flush_of_the_whole_ruleset_is_mended() {
    mends("iptables-nft", "nft flush ruleset", |host, _| {
        host.run("nft", &["flush", "ruleset"]);
    });
}

#[test]
fn deleted_jumps_are_mended() {
    for backend in BACKENDS {
        mends(backend, "the deletion of a jump", |host, program| {
            let jump = first(host, program, "mangle", "OUTPUT").replacen("-A", "-D", 1);
            let mut arguments = vec!["-w", "5", "-t", "mangle"];
            arguments.extend(jump.split_ascii_whitespace());
            host.run(program, &arguments);
        });
    }
}

#[test]
fn rules_put_before_ours_are_put_behind_them() {
    for backend in BACKENDS {
        mends(backend, "an ACCEPT in front", |host, program| {
            for table in ["mangle", "filter"] {
                host.run(program, &["-w", "5", "-t", table, "-I", "OUTPUT", "1", "-j", "ACCEPT"]);
            }
        });
    }
}

#[test]
fn foreign_rules_stay_where_they_are() {
    for backend in BACKENDS {
        let world = World::new();
        let foreign = |place: &str| {
            format!("-A {place} -p tcp -m tcp --dport 9 -m comment --comment \"theirs\" -j DROP")
        };
        for place in ["INPUT", "OUTPUT", "FORWARD"] {
            let rules = format!("*filter\n{}\nCOMMIT\n", foreign(place));
            world.desk.restore(backend, &rules);
        }
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let theirs = |host: &Host| {
            let list = host.run(&format!("{backend}-save"), &[]);
            list.lines().filter(|line| line.contains("theirs")).count()
        };
        assert_eq!(theirs(&world.desk), 3, "{backend}: after the start");
        let (code, _) = seawall.stop();
        assert_eq!(code, Some(0));
        assert_eq!(theirs(&world.desk), 3, "{backend}: after the stop");
    }
}

/// Packets that a chain's first rule with this word has counted.
fn counted(host: &Host, backend: &str, chain: &str, word: &str) -> u64 {
    let list = host.run(backend, &["-w", "5", "-t", "mangle", "-L", chain, "-v", "-x", "-n"]);
    let line = list.lines().find(|line| line.contains(word));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("no rule with {word:?} in {chain}: {list}"))
}

/// With every packet judged, a packet need not come back through the chain
/// where nothing stands behind ours, and must where something does.
#[test]
fn rules_of_others_behind_ours_meet_every_judged_packet() {
    for backend in BACKENDS {
        let world = World::new();
        let policy = "[filter]\npermanent_verdicts = false\n";
        let _seawall = Seawall::on(&world.desk).backend(backend).policy(policy).start();
        let address = |pair| World::address(pair, Family::V4);
        let to = std::net::SocketAddr::new(address(World::PEER), OPEN);
        let receiver = world.peer.datagrams(to);
        receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
        let sender = world.desk.datagrams(Host::any(address(World::DESK)));
        let pass = |datagrams: u64| {
            for _ in 0..datagrams {
                sender.send_to(b"x", to).expect("to send");
                uninterrupted(|| receiver.recv(&mut [0])).expect("a datagram that is allowed");
            }
        };
        pass(1);
        if backend == "iptables-nft" {
            let returned = || counted(&world.desk, backend, "SEAWALL_CLEAR", "MARK");
            eventually("packets are let go on without another round", MENDED, || {
                let before = returned();
                pass(10);
                returned() == before
            });
        }
        let rule = |what: &str| {
            let theirs = ["OUTPUT", "-p", "udp", "-m", "comment", "--comment", "theirs"];
            world.desk.run(backend, &[&["-w", "5", "-t", "mangle", what][..], &theirs].concat());
        };
        rule("-A");
        let seen = || counted(&world.desk, backend, "OUTPUT", "theirs");
        eventually("the rule behind ours is known", MENDED, || {
            let before = seen();
            pass(1);
            seen() == before + 1
        });
        let before = seen();
        pass(200);
        assert_eq!(seen() - before, 200, "{backend}");
        rule("-D");
        pass(10);
    }
}

/// Anything of ours in the kernel: rules, queues, sockets, labels.
fn traces(host: &Host) -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    let mut note = |text: &str, needle: &str| {
        traces.extend(text.lines().filter(|line| line.contains(needle)).map(str::to_owned));
    };
    let filters = host.filters();
    note(&filters, "SEAWALL");
    note(&filters, "seawall");
    note(&host.run("cat", &["/proc/net/unix"]), "@seawall");
    note(&host.run("cat", &["/proc/net/netfilter/nfnetlink_queue"]), "");
    traces.extend(labelled(host));
    traces
}

/// Tracked connections that carry a label or a mark of ours.
fn labelled(host: &Host) -> Vec<String> {
    let layout = Layout::default();
    let entries = host.inside(|| {
        let mut conntrack = seawall_platform::linux::conntrack::Conntrack::open()?;
        conntrack.list()
    });
    let entries = entries.expect("the connection-tracking table");
    let ours = |labels: u128| (labels >> layout.label_base) & u128::from(u64::MAX) != 0;
    entries
        .iter()
        .filter(|entry| entry.labels.is_some_and(ours) || entry.mark != 0)
        .map(|entry| format!("{entry:?}"))
        .collect()
}

#[test]
fn a_clean_stop_leaves_nothing_behind() {
    for backend in BACKENDS {
        let world = World::new();
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let path = outbound(&world, Family::V4);
        let mut talk = lab::Talk::open(&path, OPEN);
        path.send(Kind::Tcp, FORBIDDEN, PATIENCE);
        assert!(!labelled(&world.desk).is_empty(), "{backend}: standing verdicts are labels");
        assert!(!traces(&world.desk).is_empty(), "{backend}: the search finds something at all");

        let (code, folder) = seawall.stop();
        assert_eq!(code, Some(0), "{backend}");
        assert_eq!(traces(&world.desk), BTreeSet::new(), "{backend}");
        let folder = folder.expect("its folder");
        assert!(!folder.path().join("run/api.sock").exists(), "{backend}: the socket is gone");
        talk.round_trip(Duration::from_secs(5)).expect("what was open stays open");
    }
}

#[test]
fn a_stop_in_lockdown_keeps_the_rules_and_says_how_to_get_out() {
    for backend in BACKENDS {
        let world = World::new();
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).lockdown().start();
        let path = outbound(&world, Family::V4);
        let mut talk = lab::Talk::open(&path, OPEN);
        let config = seawall.policy_file().to_string_lossy().into_owned();
        let (code, _folder) = seawall.stop();
        assert_eq!(code, Some(0), "{backend}");
        assert!(!ours(&world.desk, backend).is_empty(), "{backend}: the rules stay");
        let _listener = path.listen(Kind::Tcp, OPEN + 1);
        let new = || path.send(Kind::Tcp, OPEN + 1, PATIENCE).outcome;
        assert_eq!(new(), Outcome::Silence, "{backend}: new connections are dropped");
        talk.round_trip(Duration::from_secs(5)).expect("decided connections go on");

        let removed = lab::seawall::command(&world.desk, &["remove-rules", "--config", &config]);
        assert!(removed.ok(), "{backend}: {removed:?}");
        assert_eq!(traces(&world.desk), BTreeSet::new(), "{backend}");
        assert_eq!(new(), Outcome::Connected, "{backend}: new connections pass again");
    }
}

#[test]
fn remove_rules_is_refused_while_a_seawall_runs() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let config = seawall.policy_file().to_string_lossy().into_owned();
    let refused = lab::seawall::command(&world.desk, &["remove-rules", "--config", &config]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let path = outbound(&world, Family::V4);
    assert_eq!(path.send(Kind::Tcp, FORBIDDEN, PATIENCE).outcome, Outcome::Refused);
}

#[test]
fn two_seawalls_in_two_namespaces_do_not_disturb_each_other() {
    let world = World::new();
    let address = |pair| World::address(pair, Family::V4);
    let peer = std::net::SocketAddr::new(address(World::PEER), OPEN);
    let _serve = Serve::start(&world.peer, &[peer], &[]);
    let on_desk = Seawall::on(&world.desk).policy("").start();
    let on_inner = Seawall::on(&world.inner).policy(POLICY).start();
    let from_inner =
        Path::new(&world.inner, address(World::INNER), &world.peer, address(World::PEER));
    let from_desk = outbound(&world, Family::V4);
    let _listener = from_desk.listen(Kind::Tcp, FORBIDDEN);
    let send = |path: &Path<'_>| path.send(Kind::Tcp, FORBIDDEN, PATIENCE).outcome;
    assert_eq!((send(&from_desk), send(&from_inner)), (Outcome::Connected, Outcome::Refused));

    let load = Connect::at_rate(peer, 200, 30.0).start(&world.inner);
    load.wait_until_under_way();
    let (code, _) = on_desk.stop();
    assert_eq!(code, Some(0));
    let report = load.stop();
    assert_eq!(report.failed.total(), 0, "{report:?}");
    assert_eq!((send(&from_desk), send(&from_inner)), (Outcome::Connected, Outcome::Refused));
    assert_eq!(on_inner.verb(&["status"]).code, Some(0));
}

#[test]
fn a_second_seawall_in_a_namespace_is_refused() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let (refused, _folder) = Seawall::on(&world.desk)
        .policy("")
        .try_start()
        .map(|_| ())
        .expect_err("the second must not start");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said = refused.stderr.to_lowercase();
    assert!(said.contains("another seawall") || said.contains("already"), "{refused:?}");
    assert_eq!(seawall.verb(&["status"]).code, Some(0));
    let path = outbound(&world, Family::V4);
    assert_eq!(path.send(Kind::Tcp, FORBIDDEN, PATIENCE).outcome, Outcome::Refused);
}

#[test]
fn a_flush_under_load_costs_no_connection() {
    for backend in BACKENDS {
        let world = World::new();
        let peer = std::net::SocketAddr::new(World::address(World::PEER, Family::V4), OPEN);
        let _serve = Serve::start(&world.peer, &[peer], &[]);
        let _seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let load = Connect::at_rate(peer, 500, 60.0).start(&world.desk);
        load.wait_until_under_way();
        let before = ours(&world.desk, backend);
        for _ in 0..3 {
            run_ok(world.desk.command(backend).args(["-w", "5", "-t", "mangle", "-F"]));
            eventually("the flush is mended", MENDED, || ours(&world.desk, backend) == before);
        }
        let report = load.stop();
        assert_eq!(report.failed.total(), 0, "{backend}: {report:?}");
    }
}
