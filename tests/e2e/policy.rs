//! The policy file, changed, broken, and adopted entries beside it.

#[path = "policy/built_in.rs"]
mod built_in;
#[path = "policy/exit.rs"]
mod exit;
#[path = "policy/full.rs"]
mod full;
#[path = "policy/parents.rs"]
mod parents;
#[path = "policy/pause.rs"]
mod pause;
#[path = "policy/rules.rs"]
mod rules;
#[path = "policy/store.rs"]
mod store;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Datagrams, Family, Seawall, Talk, World, eventually};
use seawall_messages::api::Protection;
use seawall_messages::policy::PolicySource;
use serde_json::Value;

const PATIENCE: Patience = Patience(Duration::from_millis(1500));
/// How long a round trip may take where nothing is in the way.
const EASY: Duration = Duration::from_secs(2);
/// What is now forbidden is cut within this.
const CUT: Duration = Duration::from_secs(1);

fn path(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

fn back(world: &World, family: Family) -> Path<'_> {
    let there = path(world, family);
    Path::new(there.to, there.destination, there.from, there.source)
}

fn through(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.inner, address(World::INNER), &world.peer, address(World::PEER))
}

#[test]
fn a_reload_cuts_what_is_now_forbidden_and_nothing_else_notices() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for family in Family::BOTH {
        seawall.set_policy("");
        let mut kept = [path(&world, family), back(&world, family), through(&world, family)]
            .map(|path| Talk::open(&path, 7301));
        let kept_datagrams = Datagrams::open(&path(&world, family), 7301);
        let mut idle = Talk::open(&path(&world, family), 7401);
        let mut idle_inbound = Talk::open(&back(&world, family), 7401);
        let mut forwarded = Talk::open(&through(&world, family), 7402);
        let datagrams = Datagrams::open(&path(&world, family), 7401);
        for talk in kept.iter_mut().chain([&mut idle, &mut idle_inbound, &mut forwarded]) {
            talk.round_trip(EASY).expect("a round trip before the reload");
        }
        kept_datagrams.round_trip(EASY).expect("a datagram before the reload");
        datagrams.round_trip(EASY).expect("a datagram before the reload");

        let begun = Instant::now();
        seawall.set_policy(
            "[filter]\n\
             outgoing_rules = [\"- * TCP/7400-7499\", \"- * UDP/7400-7499\"]\n\
             incoming_rules = [\"- * TCP/7400-7499\"]\n",
        );
        assert!(idle.caller_sees_the_end(CUT), "{family:?}: an idle stream is cut");
        assert!(idle_inbound.called_sees_the_end(CUT), "{family:?}: an idle inbound stream is cut");
        assert!(begun.elapsed() < CUT, "{family:?}: cut within {:?}", begun.elapsed());
        let late = forwarded.round_trip(Duration::from_millis(300));
        assert!(
            late.is_err(),
            "{family:?}: a forwarded stream is cut at its next packet: {late:?}"
        );
        let late = datagrams.round_trip(Duration::from_millis(300));
        assert!(late.is_err(), "{family:?}: a datagram flow is cut: {late:?}");
        for talk in &mut kept {
            let took = talk.round_trip(EASY).expect("what is allowed goes on");
            assert!(took < Duration::from_millis(500), "{family:?}: {took:?}");
        }
        kept_datagrams.round_trip(EASY).expect("what is allowed goes on");
    }
}

/// Packets that the two threads have answered so far.
fn judged_packets(seawall: &Seawall<'_>) -> f64 {
    let page = seawall.metrics();
    let lines = page.lines().filter(|line| line.starts_with("seawall_datapath_packets_total{"));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn a_decided_flow_leaves_the_queue_unless_told_otherwise() {
    const ROUND_TRIPS: u32 = 100;
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for (policy, least, most) in [
        ("", 1.0, 0.2 * f64::from(ROUND_TRIPS)),
        ("[filter]\npermanent_verdicts = false\n", 2.0 * f64::from(ROUND_TRIPS), f64::MAX),
    ] {
        seawall.set_policy(policy);
        for path in
            [path(&world, Family::V4), back(&world, Family::V6), through(&world, Family::V4)]
        {
            let before = judged_packets(&seawall);
            let mut talk = Talk::open(&path, 7301);
            for _ in 0..ROUND_TRIPS {
                talk.round_trip(EASY).expect("a round trip");
            }
            let judged = judged_packets(&seawall) - before;
            assert!((least..=most).contains(&judged), "{policy:?}: {judged} packets judged");
        }
    }
}

#[test]
fn an_edited_file_is_seen_without_being_told() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let path = path(&world, Family::V4);
    let _listener = path.listen(Kind::Tcp, 7401);
    let send = || path.send(Kind::Tcp, 7401, PATIENCE).outcome;
    assert_eq!(send(), Outcome::Connected);
    seawall.write_policy("[filter]\noutgoing_rules = [\"- * TCP/7401\"]\n");
    eventually("the edited file is in force", Duration::from_secs(5), || {
        send() == Outcome::Refused
    });
    seawall.write_policy("");
    eventually("and back", Duration::from_secs(5), || send() == Outcome::Connected);
}

#[test]
fn many_reloads_under_load_cost_no_connection() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let open = SocketAddr::new(World::address(World::PEER, Family::V4), 7001);
    let _serve = lab::Serve::start(&world.peer, &[open], &[]);
    let load = lab::Connect::at_rate(open, 500, 60.0).start(&world.desk);
    load.wait_until_under_way();
    for number in 0..20 {
        seawall
            .set_policy(&format!("[filter]\noutgoing_rules = [\"- * TCP/{}\"]\n", 7400 + number));
    }
    let report = load.stop();
    assert_eq!(report.failed.total(), 0, "{report:?}");
}

/// Bad files: text, the line that is to be named, and a word of the reason.
const BAD: [(&str, usize, &str); 6] = [
    ("[filter]\ndefault_action = \"deny\"\n", 2, "deny"),
    ("[filter]\ndefault_action = \"allow\"\n", 2, "permit"),
    ("[filter]\nblock_inbond = true\n", 2, "block_inbound"),
    ("[filter]\n\noutgoing_rules = [\n  \"+ *\",\n  \"- 10.0.0.300\",\n]\n", 5, "10.0.0.300"),
    ("[filter]\nincoming_rules = [\"- * TCP/80-22\"]\n", 2, "80-22"),
    ("[filter\n", 1, "seawall.toml"),
];

#[test]
fn a_bad_file_is_refused_with_line_and_reason_and_the_old_policy_stays() {
    let world = World::new();
    let good = "[filter]\noutgoing_rules = [\"- * TCP/7401\"]\n";
    let seawall = Seawall::on(&world.desk).policy(good).start();
    let path = path(&world, Family::V4);
    for (text, line, word) in BAD {
        seawall.write_policy(text);
        let answer = seawall.verb(&["reload"]);
        assert_eq!(answer.code, Some(1), "{text}: {answer:?}");
        let place = format!("seawall.toml:{line}");
        assert!(answer.stderr.contains(&place), "{text}: no {place} in {}", answer.stderr);
        assert!(answer.stderr.contains(word), "{text}: no {word} in {}", answer.stderr);
        assert_eq!(path.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused, "{text}");
        let status = seawall.status();
        let refused = status.policy.as_ref().and_then(|policy| policy.refused.as_deref());
        assert!(refused.is_some_and(|reason| reason.contains(word)), "{text}: {status:?}");
        assert_eq!(status.protection, Protection::Degraded, "{text}: {status:?}");
    }
    seawall.set_policy(good);
    assert_eq!(seawall.status().protection, Protection::Protected);
}

#[test]
fn a_bad_file_at_start_gives_way_to_the_last_good_copy() {
    let world = World::new();
    let seawall =
        Seawall::on(&world.desk).policy("[filter]\noutgoing_rules = [\"- * TCP/7401\"]\n").start();
    let (_, folder) = seawall.stop();
    let bad = "[filter]\nnonsense = 1\n";
    let seawall = Seawall::on(&world.desk).policy(bad).folder(folder.expect("its folder")).start();
    let status = seawall.status().policy.expect("the policy component answers");
    assert_eq!(status.source, PolicySource::LastGood, "{status:?}");
    assert!(status.refused.is_some_and(|reason| reason.contains("nonsense")));
    assert_eq!(seawall.verb(&["status"]).code, Some(3));
    let path = path(&world, Family::V4);
    assert_eq!(path.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused);
}

#[test]
fn a_bad_file_at_the_first_start_is_a_refusal_with_line_and_reason() {
    let world = World::new();
    let (refused, _folder) = Seawall::on(&world.desk)
        .policy("[filter]\nnonsense = 1\n")
        .try_start()
        .map(|_| ())
        .expect_err("a bad file without a good copy");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("seawall.toml:2"), "{refused:?}");
    assert!(refused.stderr.contains("nonsense"), "{refused:?}");
    let filters = world.desk.filters();
    assert!(!filters.contains("SEAWALL"), "a refused start leaves no rules: {filters}");
}

#[test]
fn a_missing_file_means_safe_defaults() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let (_, folder) = seawall.stop();
    let folder = folder.expect("its folder");
    std::fs::remove_file(folder.path().join("seawall.toml")).expect("the policy file is removed");
    let config = folder.path().join("seawall.toml").to_string_lossy().into_owned();
    let state = folder.path().join("fresh").to_string_lossy().into_owned();
    let run = folder.path().join("run").to_string_lossy().into_owned();
    let binary = lab::seawall::binary().to_string_lossy().into_owned();
    let arguments = ["run", "--config", &config, "--state-dir", &state, "--run-dir", &run];
    let running = world.desk.start(&binary, &arguments);
    let ready = running.line_where(Duration::from_secs(20), |line| line == "seawall: ready");
    assert!(ready.is_some(), "{}", running.stderr());
    let status = lab::seawall::command(&world.desk, &["status", "--json", "--run-dir", &run]);
    let status: Value = serde_json::from_str(&status.stdout).expect("status as JSON");
    assert_eq!(status["policy"]["source"], "defaults", "{status}");
    let path = path(&world, Family::V4);
    let _listener = path.listen(Kind::Tcp, 7001);
    assert_eq!(path.send(Kind::Tcp, 7001, PATIENCE).outcome, Outcome::Connected);
    let mut running = running;
    running.signal(rustix::process::Signal::TERM);
    assert!(running.wait(Duration::from_secs(15)).is_some_and(|status| status.success()));
}

/// What was adopted, as `kind` and port of listeners or sessions.
fn adopted(seawall: &Seawall<'_>) -> Vec<Value> {
    let answer = seawall.verb(&["adopted", "--json"]).json();
    answer["adopted"].as_array().cloned().unwrap_or_default()
}

fn adopted_listener(seawall: &Seawall<'_>, port: u16) -> Option<u64> {
    adopted(seawall)
        .iter()
        .find(|entry| entry["what"]["kind"] == "listener" && entry["what"]["port"] == port)
        .and_then(|entry| entry["id"].as_u64())
}

const BLOCK: &str = "[filter]\ndefault_action = \"block\"\n";
const BLOCK_INBOUND: &str = "[filter]\nblock_inbound = true\n";

#[test]
fn what_was_there_before_the_first_start_stays_reachable() {
    let world = World::new();
    for family in Family::BOTH {
        let (there, back) = (path(&world, family), back(&world, family));
        let any = match family {
            Family::V4 => SocketAddr::from(([0, 0, 0, 0], 7501)),
            Family::V6 => SocketAddr::from(([0_u16; 8], 7501)),
        };
        let listener = world.desk.listen(any);
        let mut outbound = Talk::open(&there, 7502);
        let mut inbound = Talk::open_to(&back, &listener);

        let seawall = Seawall::on(&world.desk).policy(BLOCK).start();
        let new = |path: &Path<'_>, port| path.send(Kind::Tcp, port, PATIENCE).outcome;
        assert_eq!(new(&back, 7501), Outcome::Connected, "{family:?}: an adopted listener");
        outbound.round_trip(EASY).expect("an adopted outbound session");
        inbound.round_trip(EASY).expect("an adopted inbound session");
        let _late = world.desk.listen(SocketAddr::new(any.ip(), 7503));
        assert_eq!(new(&back, 7503), Outcome::Silence, "{family:?}: a listener that came later");
        let _server = there.listen(Kind::Tcp, 7504);
        assert_eq!(new(&there, 7504), Outcome::Refused, "{family:?}: a new outbound connection");

        seawall.set_policy(BLOCK_INBOUND);
        assert_eq!(new(&back, 7501), Outcome::Silence, "{family:?}: block_inbound beats listeners");
        inbound.round_trip(EASY).expect("block_inbound never beats sessions");

        seawall.set_policy(BLOCK);
        assert_eq!(new(&back, 7501), Outcome::Connected, "{family:?}: and back");
        let id = adopted_listener(&seawall, 7501).expect("the listener is listed");
        let removed = seawall.verb(&["adopted", "remove", &id.to_string()]);
        assert_eq!(removed.code, Some(0), "{removed:?}");
        eventually("a removed listener is unreachable", Duration::from_secs(2), || {
            new(&back, 7501) == Outcome::Silence
        });
        let again = seawall.verb(&["adopted", "remove", &id.to_string()]);
        assert_eq!(again.code, Some(1), "there is none any more: {again:?}");
        inbound.round_trip(EASY).expect("the session stays");
    }
}

#[test]
fn adoption_happens_once_and_is_remembered() {
    let world = World::new();
    let listener = world.desk.listen(SocketAddr::from(([0, 0, 0, 0], 7501)));
    let seawall = Seawall::on(&world.desk).policy(BLOCK).start();
    let id = adopted_listener(&seawall, 7501).expect("the listener is listed");
    let (_, folder) = seawall.stop();
    let _late = world.desk.listen(SocketAddr::from(([0, 0, 0, 0], 7503)));

    let seawall =
        Seawall::on(&world.desk).policy(BLOCK).folder(folder.expect("its folder")).start();
    assert_eq!(adopted_listener(&seawall, 7501), Some(id), "it is still there");
    assert_eq!(adopted_listener(&seawall, 7503), None, "the second start adopts nothing");
    let back = back(&world, Family::V4);
    assert_eq!(back.send(Kind::Tcp, 7501, PATIENCE).outcome, Outcome::Connected);
    assert_eq!(back.send(Kind::Tcp, 7503, PATIENCE).outcome, Outcome::Silence);
    assert_eq!(seawall.verb(&["adopted", "remove", &id.to_string()]).code, Some(0));
    let (_, folder) = seawall.stop();

    let seawall =
        Seawall::on(&world.desk).policy(BLOCK).folder(folder.expect("its folder")).start();
    assert_eq!(adopted_listener(&seawall, 7501), None, "removed for good");
    assert_eq!(back.send(Kind::Tcp, 7501, PATIENCE).outcome, Outcome::Silence);
    drop(listener);
}

#[test]
fn scopes_are_blocked_as_named() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for family in Family::BOTH {
        let lan = path(&world, family);
        let far = Path::new(lan.from, lan.source, lan.to, World::address(World::FAR, family));
        let local = Path::new(
            lan.from,
            lan.source,
            lan.from,
            match family {
                Family::V4 => std::net::Ipv4Addr::LOCALHOST.into(),
                Family::V6 => std::net::Ipv6Addr::LOCALHOST.into(),
            },
        );
        let local = Path { source: local.destination, ..local };
        let _listeners = [&lan, &far, &local].map(|path| path.listen(Kind::Tcp, 7001));
        let send = |path: &Path<'_>| path.send(Kind::Tcp, 7001, PATIENCE).outcome;
        use Outcome::{Connected, Refused};
        for (policy, expected) in [
            ("", (Connected, Connected, Connected)),
            ("[filter]\nblock_lan = true\n", (Refused, Connected, Connected)),
            ("[filter]\nblock_internet = true\n", (Connected, Refused, Connected)),
            ("[filter]\nblock_local = true\n", (Connected, Connected, Refused)),
            ("[filter]\ndefault_action = \"block\"\n", (Refused, Refused, Connected)),
            ("[filter]\noutgoing_rules = [\"- lan\", \"+ *\"]\n", (Refused, Connected, Connected)),
            // `- *` speaks of everyone else: loopback is not judged for its sake.
            ("[filter]\noutgoing_rules = [\"+ lan\", \"- *\"]\n", (Connected, Refused, Connected)),
        ] {
            seawall.set_policy(policy);
            let seen = (send(&lan), send(&far), send(&local));
            assert_eq!(seen, expected, "{family:?} {policy}");
        }
    }
}
