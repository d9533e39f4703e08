//! The command, its JSON and exit codes, and the metrics page.

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::process::run_with_input;
use lab::world::needs;
use lab::{Family, Seawall, World, eventually};
use serde_json::Value;

const PATIENCE: Patience = Patience(Duration::from_millis(1500));
const POLICY: &str = "[filter]\noutgoing_rules = [\"- 10.77.1.66\", \"- * TCP/7101\"]\n";

fn path(world: &World) -> Path<'_> {
    let address = |pair| World::address(pair, Family::V4);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

/// Panics unless `value` has every field, in any order; more are allowed.
#[track_caller]
fn has_fields(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for field in fields {
        assert!(object.contains_key(*field), "no field {field} in {value}");
    }
}

#[test]
fn status_opens_with_its_word_and_ends_with_its_code() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let text = seawall.verb(&["status"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.starts_with("PROTECTED"), "{text:?}");
    let json = seawall.verb(&["status", "--json"]);
    assert_eq!(json.code, Some(0));
    let json = json.json();
    assert_eq!(json["protection"], "PROTECTED");
    assert_eq!(json["reasons"], Value::Array(Vec::new()));
    assert_eq!(json["mode"], "open");
    assert_eq!(json["keeper_pid"], seawall.keeper_pid());
    has_fields(
        &json,
        &["version", "worker_pid", "uptime_s", "worker_crashes", "policy", "datapath"],
    );
    has_fields(&json["policy"], &["generation", "file", "source"]);
    has_fields(
        &json["datapath"],
        &["protecting", "backend", "generation", "parked_flows", "parked_packets", "problems"],
    );

    seawall.write_policy("[filter]\nnonsense = 1\n");
    seawall.verb(&["reload"]);
    let degraded = seawall.verb(&["status"]);
    assert_eq!(degraded.code, Some(3), "{degraded:?}");
    assert!(degraded.stdout.starts_with("DEGRADED"), "{degraded:?}");
    assert!(degraded.stdout.contains("nonsense"), "the reason is shown: {degraded:?}");

    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    let (_, folder) = seawall.stop();
    let gone = lab::seawall::command(&world.desk, &["status", "--run-dir", &run_dir]);
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert!(gone.stdout.starts_with("NOT PROTECTED"), "{gone:?}");
    let gone = lab::seawall::command(&world.desk, &["components", "--run-dir", &run_dir, "--json"]);
    assert_eq!(gone.code, Some(4), "{gone:?}");
    drop(folder);
}

#[test]
fn components_are_named_with_their_state() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let json = seawall.verb(&["components", "--json"]).json();
    assert_eq!(json["keeper_pid"], seawall.keeper_pid());
    assert!(json["worker_pid"].as_u64().is_some_and(|pid| pid != u64::from(seawall.keeper_pid())));
    let components = json["components"].as_array().expect("a list");
    for component in components {
        has_fields(
            component,
            &[
                "name",
                "group",
                "state",
                "generation",
                "restarts",
                "hangs",
                "last_failure",
                "uptime_s",
                "mailbox_depth",
                "mailbox_bound",
                "handled",
                "refused",
                "mean_handle_us",
                "while_down",
            ],
        );
        assert_eq!(component["state"], "running", "{component}");
    }
    let names: Vec<&str> = components.iter().filter_map(|one| one["name"].as_str()).collect();
    for name in [
        "network",
        "policy",
        "verdict",
        "datapath",
        "datapath/new",
        "datapath/rest",
        "api",
        "keeper",
    ] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let text = seawall.verb(&["components"]);
    assert_eq!(text.code, Some(0));
    assert!(names.iter().all(|name| text.stdout.contains(name)), "{text:?}");
}

#[test]
fn connections_say_what_happened_and_why() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let path = path(&world);
    let _listener = path.listen(Kind::Tcp, 7001);
    assert_eq!(path.send(Kind::Tcp, 7001, PATIENCE).outcome, Outcome::Connected);
    assert_eq!(path.send(Kind::Tcp, 7101, PATIENCE).outcome, Outcome::Refused);
    let find = |port: u64| {
        let json = seawall.verb(&["connections", "--json"]).json();
        let list = json["connections"].as_array().cloned().unwrap_or_default();
        list.into_iter().find(|one| one["flow"]["transport"]["ports"]["responder"] == port)
    };
    eventually("both connections are listed", Duration::from_secs(5), || {
        find(7001).is_some() && find(7101).is_some()
    });
    let (allowed, denied) = (find(7001).unwrap_or_default(), find(7101).unwrap_or_default());
    let fields = ["flow", "action", "reason", "permanent", "generation", "decided", "live"];
    has_fields(&allowed, &fields);
    has_fields(&denied, &fields);
    assert_eq!(allowed["action"], "allow");
    assert_eq!(allowed["flow"]["direction"], "outbound");
    assert_eq!(allowed["reason"]["layer"], "default_action", "{allowed}");
    assert_eq!(denied["action"], "reject");
    assert_eq!(denied["reason"]["layer"], "outgoing_rule", "{denied}");
    assert_eq!(denied["reason"]["rule"], serde_json::json!([2, "- * TCP/7101"]), "{denied}");
    assert_eq!(denied["live"], false);

    let one = seawall.verb(&["connections", "--json", "--limit", "1"]).json();
    assert_eq!(one["connections"].as_array().map(Vec::len), Some(1));
    let text = seawall.verb(&["connections"]);
    assert!(text.stdout.contains("TCP") && text.stdout.contains("7101"), "{text:?}");
}

#[test]
fn wrong_command_lines_end_with_two_and_unknown_components_with_one() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for line in [&["fly"][..], &["status", "extra"], &["connections", "--limit", "0"]] {
        assert_eq!(seawall.verb(line).code, Some(2), "{line:?}");
    }
    let unknown = seawall.verb(&["fault", "nobody", "panic"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("nobody"), "{unknown:?}");
}

#[test]
fn only_root_reaches_the_socket() {
    needs("setpriv");
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    let binary = lab::seawall::binary().to_string_lossy().into_owned();
    let mut command = world.desk.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    let refused = lab::run(command.args([&binary, "status", "--run-dir", &run_dir]));
    assert_ne!(refused.code, Some(0), "a stranger learns nothing: {refused:?}");
    assert!(!refused.stdout.contains("worker"), "{refused:?}");
}

#[test]
fn the_metrics_page_is_clean_and_tells_what_happened() {
    needs("promtool");
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let path = path(&world);
    let _listener = path.listen(Kind::Tcp, 7001);
    path.send(Kind::Tcp, 7001, PATIENCE);
    path.send(Kind::Tcp, 7101, PATIENCE);
    let page = seawall.metrics();
    let mut promtool = std::process::Command::new("promtool");
    let checked = run_with_input(promtool.args(["check", "metrics"]), &page);
    assert!(checked.ok() && checked.stdout.trim().is_empty(), "{checked:?}\n{page}");
    assert!(checked.stderr.trim().is_empty(), "{checked:?}\n{page}");
    for name in [
        "seawall_datapath_verdicts_total",
        "seawall_datapath_packets_total",
        "seawall_datapath_first_packet_seconds_bucket",
        "seawall_verdict_judgements_total",
        "seawall_component_restarts_total",
    ] {
        assert!(page.contains(name), "no {name} in:\n{page}");
    }
    for words in [["depth", "queue"], ["dropped", "queue"]] {
        let found = page.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no metric of {words:?} in:\n{page}");
    }
}

#[test]
fn the_metrics_listener_answers_nothing_else() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let ask = |line: &str, host: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = seawall.http("127.0.0.1:9817", &request);
        answer.split_ascii_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok())
    };
    assert_eq!(ask("GET /metrics", "127.0.0.1:9817"), Some(200));
    assert_eq!(ask("GET /metrics", "localhost:9817"), Some(200));
    for (line, host) in [
        ("GET /metrics", "rebound.example"),
        ("GET /v1/status", "127.0.0.1:9817"),
        ("POST /v1/reload", "127.0.0.1:9817"),
        ("POST /metrics", "127.0.0.1:9817"),
    ] {
        let code = ask(line, host);
        assert!(code.is_some_and(|code| (400..500).contains(&code)), "{line} {host}: {code:?}");
    }
}

/// Listens where a service manager does.
fn manager() -> (tempfile::TempDir, std::path::PathBuf, std::os::unix::net::UnixDatagram) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("notify.sock");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a notify socket");
    (folder, path, socket)
}

#[test]
fn the_service_manager_is_told() {
    let world = World::new();
    let (_folder, path, manager) = manager();
    let (tell, told) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(length) = lab::uninterrupted(|| manager.recv(&mut buffer)) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text == "END" || tell.send(text).is_err() {
                return;
            }
        }
    });
    let hears = |wanted: &str| {
        let is_it = |text: &String| text.lines().any(|line| line == wanted);
        while let Ok(text) = told.recv_timeout(Duration::from_secs(10)) {
            if is_it(&text) {
                return true;
            }
        }
        false
    };
    let seawall = Seawall::on(&world.desk)
        .environment("NOTIFY_SOCKET", &path.to_string_lossy())
        .environment("WATCHDOG_USEC", "2000000")
        .start();
    assert!(hears("READY=1"), "ready");
    assert!(hears("WATCHDOG=1"), "the watchdog is fed");
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0));
    assert!(hears("STOPPING=1"), "stopping");
    let end = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    end.send_to(b"END", &path).expect("it is heard");
    listener.join().expect("it listened to the end");
}

#[test]
fn a_service_manager_that_does_not_listen_holds_nothing_up() {
    let world = World::new();
    let (_folder, path, _manager) = manager();
    let mut seawall = Seawall::on(&world.desk)
        .environment("NOTIFY_SOCKET", &path.to_string_lossy())
        .environment("WATCHDOG_USEC", "2000000")
        .start();
    assert_eq!(seawall.verb(&["status"]).code, Some(0));
    let old = seawall.kill_worker();
    seawall.wait_for_successor(old, Duration::from_secs(10)).expect("a successor in time");
    assert_eq!(seawall.verb(&["status"]).code, Some(0));
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0));
}
