//! Dashboard and alerts: every query parses, every metric that they name is on
//! the page of a Seawall that saw traffic, alerts fire when they should.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::process::run_ok;
use lab::world::needs;
use lab::{Family, Seawall, World, eventually};
use serde_json::Value;

/// What alerts watch beside our metrics: made by Prometheus for each target.
const UP: &str = "up";

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All queries of the dashboard, with what Grafana puts in for its variables.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&read(&packaging("grafana/seawall.json"))).expect("JSON");
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<String> = targets
        .filter_map(|target| target["expr"].as_str())
        .map(|query| query.replace("$__rate_interval", "5m").replace("$instance", ".*"))
        .collect();
    assert!(queries.len() >= 30, "only {} queries were found", queries.len());
    queries
}

/// Names of our metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("seawall_")).map(str::to_owned).collect()
}

fn folder_with_alerts() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    std::fs::copy(packaging("prometheus/seawall-alerts.yml"), folder.path().join("rules.yml"))
        .expect("copied");
    folder
}

#[test]
fn alerts_fire_when_they_should_and_not_else() {
    needs("promtool");
    let folder = folder_with_alerts();
    run_ok(Command::new("promtool").args(["check", "rules"]).arg(folder.path().join("rules.yml")));
    let test = folder.path().join("alerts.test.yml");
    std::fs::write(&test, include_str!("alerts.test.yml")).expect("written");
    run_ok(Command::new("promtool").args(["test", "rules"]).arg(&test));
    // Each alert is in the tests: silent, and firing.
    let rules = read(&folder.path().join("rules.yml"));
    let names: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let tests = include_str!("alerts.test.yml");
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "{name} is silent");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires");
    }
}

#[test]
fn every_query_of_the_dashboard_parses() {
    needs("promtool");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let rules: Vec<Value> = dashboard_queries()
        .into_iter()
        .enumerate()
        .map(|(number, query)| serde_json::json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    // JSON is YAML.
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let path = folder.path().join("dashboard.yml");
    std::fs::write(&path, file.to_string()).expect("written");
    run_ok(Command::new("promtool").args(["check", "rules"]).arg(&path));
}

#[test]
fn every_metric_that_is_watched_is_on_the_page() {
    let world = World::new();
    let own = std::env::current_exe().expect("a running program").display().to_string();
    let policy =
        format!("[[app]]\nmatch = {{ path = \"{own}\" }}\noutgoing_rules = [\"- * TCP/7101\"]\n");
    let seawall = Seawall::on(&world.desk).policy(&policy).start();
    let to = World::address(World::PEER, Family::V4);
    let mut serve = lab::Serve::start(&world.peer, &[(to, 7001).into(), (to, 7101).into()], &[]);
    lab::Connect::at_rate((to, 7001).into(), 20, 2.0).run(&world.desk);
    world.desk.connect((to, 7101).into(), Duration::from_secs(2)).expect_err("it is denied");
    assert!(serve.report().accepted(7001) > 0);

    let alerts = read(&packaging("prometheus/seawall-alerts.yml"));
    let expressions: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.iter().any(|expression| expression.contains(UP)));
    let mut wanted = metrics_in(&expressions.join("\n"));
    wanted.extend(metrics_in(&dashboard_queries().join("\n")));
    assert!(wanted.len() >= 25, "{wanted:?}");
    let mut missing = BTreeSet::new();
    // What moved is looked at every five seconds.
    eventually("every metric is on the page", Duration::from_secs(30), || {
        let page = seawall.metrics();
        let samples = page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        let there = metrics_in(&samples.join("\n"));
        missing = wanted.difference(&there).cloned().collect();
        if !missing.is_empty() {
            eprintln!("not there yet: {missing:?}");
        }
        missing.is_empty()
    });
    let page = seawall.metrics();
    let sample = |name: &str| lab::seawall::sample(&page, name).unwrap_or(f64::NAN);
    assert_eq!(sample("seawall_api_protection_state{state=\"protected\"}"), 1.0, "{page}");
    assert_eq!(sample("seawall_policy_file_refused"), 0.0);
    for process in ["keeper", "worker"] {
        let of = |name: &str| sample(&format!("{name}{{process=\"{process}\"}}"));
        assert!(of("seawall_api_resident_memory_bytes") > 1e6, "{page}");
        assert!(of("seawall_api_open_descriptors") > 3.0, "{page}");
    }
    assert!(sample("seawall_datapath_tracked_connections ") > 0.0, "{page}");
    seawall.write_policy("[filter]\nnonsense = 1\n");
    eventually("the refusal shows", Duration::from_secs(20), || {
        let page = seawall.metrics();
        let sample = |name: &str| lab::seawall::sample(&page, name);
        sample("seawall_policy_file_refused") == Some(1.0)
            && sample("seawall_api_protection_state{state=\"degraded\"}") == Some(1.0)
    });
}

/// Sends a datagram to so many places on loopback, each of which is tracked.
const FILL: &str = "
import socket, sys
count = int(sys.argv[1])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(count):
    sender.sendto(b'', (f'127.1.{number // 60000}.1', 1024 + number % 60000))
";

#[test]
fn a_full_table_of_tracked_connections_needs_attention() {
    needs("python3");
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    assert_eq!(seawall.verb(&["status"]).code, Some(0));
    let limit = world.desk.run("cat", &["/proc/sys/net/netfilter/nf_conntrack_max"]);
    let limit: u64 = limit.trim().parse().expect("a number");
    assert!((1..=4_000_000).contains(&limit), "a table of {limit} takes too long to fill");
    world.desk.run("python3", &["-c", FILL, &limit.to_string()]);
    let status = seawall.verb(&["status"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    assert!(status.stdout.contains("nf_conntrack_max"), "{status:?}");
    world.desk.run("conntrack", &["-F"]);
    eventually("the table is empty again", Duration::from_secs(20), || {
        seawall.verb(&["status"]).code == Some(0)
    });
}
