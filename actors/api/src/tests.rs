//! The API over real sockets, with `policy`, `datapath` and `process` played by the test.

mod apps;
mod explain;
mod prompts;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use seawall_messages::api::{
    AdoptedList, Components, Connections, ErrorBody, Protection, RuleAdded, Status,
};
use seawall_messages::datapath::{self, DatapathStatus};
use seawall_messages::keeper::{KeeperFacts, Layout};
use seawall_messages::network::{Interface, NetworkAnswer, Surroundings};
use seawall_messages::policy::{
    self, AddedRule, Adopted, AdoptedEntry, Difference, Filter, NetworkChange, PolicyRefusal,
    PolicySource, PolicyStatus, SettingsStatus,
};
use seawall_messages::{PolicyGeneration, Protocol, Snapshot, process, prompt, verdict};
use seawall_runtime::{
    Address, Backoff, Component, Context, Deadlines, Failure, Intensity, Kernel, Lender, Mailbox,
    Published, Publisher, Spec, StartError, TreeBuilder,
};
use serde::de::DeserializeOwned;

use self::apps::{Manner, Programs};
use self::explain::Explainer;
use self::prompts::Asking;
use crate::{Api, Arguments, Listeners, Metrics, Services};

/// Plays `policy`: knows one adopted entry; the second reload is refused.
struct Policy {
    context: Context<policy::Message>,
    publisher: Publisher<Snapshot>,
    reloads: u32,
}

impl Component for Policy {
    type Message = policy::Message;
    type Arguments = Publisher<Snapshot>;

    async fn start(
        context: Context<policy::Message>,
        publisher: Publisher<Snapshot>,
    ) -> Result<Self, StartError> {
        Ok(Self { context, publisher, reloads: 0 })
    }

    async fn handle(&mut self, message: policy::Message) -> Result<(), Failure> {
        match message {
            policy::Message::Reload { reply } => {
                self.reloads += 1;
                reply.send(match self.reloads {
                    1 => Ok(policy_status()),
                    _ => Err("seawall.toml:3:1: nonsense".to_owned()),
                });
            }
            policy::Message::Status { reply } => reply.send(policy_status()),
            policy::Message::RemoveAdopted { id, reply } => {
                if id == 1 {
                    self.publisher.publish(self.context.generation(), snapshot(2, Vec::new()));
                }
                reply.send(Ok(id == 1));
            }
            policy::Message::AddRule { rule, reply } => reply.send(match rule.rule.as_str() {
                "nonsense" => Err(PolicyRefusal::Invalid("no rule".to_owned())),
                "- 10.0.0.9" => Err(PolicyRefusal::Failed("read-only".to_owned())),
                _ => {
                    let list = rule.list.key().to_owned();
                    let added = AddedRule { rule: rule.rule, list, was_there: false, behind: None };
                    Ok((added, policy_status()))
                }
            }),
            policy::Message::ChangeRule { asked, reply } => {
                reply.send(Err(PolicyRefusal::Failed(asked.rule)));
            }
            policy::Message::Pause { reply, .. } | policy::Message::Resume { reply } => {
                reply.send(Ok(policy_status()));
            }
            policy::Message::Settings { app, reply } => reply.send(match app {
                Some(app) => Err(PolicyRefusal::Failed(format!("no {app}"))),
                None => {
                    Ok(SettingsStatus { profile: None, settings: Vec::new(), problems: Vec::new() })
                }
            }),
            policy::Message::ChangeSettings { change, reply } => {
                reply.send(match change.changes.contains_key("nonsense") {
                    true => Err(PolicyRefusal::Invalid("no such setting".to_owned())),
                    false => Ok(policy_status()),
                });
            }
            policy::Message::Profiles { reply } => reply.send(Ok(Vec::new())),
            policy::Message::ChangeProfile { reply, .. } => {
                reply.send(Err(PolicyRefusal::Failed("no such profile".to_owned())));
            }
            policy::Message::ChangeNetwork { change, reply } => reply.send(match change {
                NetworkChange::Add(network) => Ok((network, policy_status())),
                _ => Err(PolicyRefusal::Failed("no such network".to_owned())),
            }),
            policy::Message::Export { reply, .. } => reply.send(Ok("[filter]\n".to_owned())),
            policy::Message::Import { import, reply } => {
                let lines = vec![import.text.len().to_string()];
                reply.send(Ok((Difference { lines }, policy_status())));
            }
            policy::Message::AppsSeen(_)
            | policy::Message::FileChanged
            | policy::Message::NetworkChanged
            | policy::Message::TimePassed
            | policy::Message::AppEnded => {}
            policy::Message::Renew { reply } => reply.send(PolicyGeneration(2)),
        }
        Ok(())
    }
}

/// Plays `datapath`: every policy is in force at once.
struct Datapath;

impl Component for Datapath {
    type Message = datapath::Message;
    type Arguments = ();

    async fn start(_: Context<datapath::Message>, (): ()) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, message: datapath::Message) -> Result<(), Failure> {
        match message {
            datapath::Message::AwaitPolicy { reply, .. } => reply.send(Ok(())),
            datapath::Message::RuleHits { reply } => reply.send(Vec::new()),
            datapath::Message::Connections { reply } => reply.send(apps::connections()),
            datapath::Message::Changes { since, reply } => reply.send(apps::changes(since)),
            datapath::Message::Status { reply } => {
                reply.send(DatapathStatus { protecting: true, ..DatapathStatus::default() });
            }
            _ => {}
        }
        Ok(())
    }
}

fn policy_status() -> PolicyStatus {
    PolicyStatus {
        generation: PolicyGeneration(1),
        file: PathBuf::from("seawall.toml"),
        source: PolicySource::File,
        refused: None,
        restart_needed: Vec::new(),
        idle_rules: Vec::new(),
        unused_settings: Vec::new(),
        paused_s: None,
        store_problem: None,
    }
}

fn snapshot(generation: u64, adopted: Vec<Adopted>) -> Snapshot {
    let filter = Filter::permit_all();
    let generation = PolicyGeneration(generation);
    Snapshot { generation, filter, adopted, ..Snapshot::unloaded() }
}

fn surroundings() -> Surroundings {
    let addresses = vec!["10.0.0.7/8".parse().expect("a network")];
    let interface = Interface { index: 2, name: "eth0".into(), up: true, addresses, ssid: None };
    Surroundings { interfaces: vec![interface], gateways: Vec::new() }
}

fn spec(name: &'static str, asks: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "all",
        intensity: Intensity::default(),
        backoff: Backoff::default(),
        mailbox: Mailbox::default(),
        deadlines: Deadlines::default(),
        asks,
        tells: &[],
        while_down: "nothing",
    }
}

/// A running API.
struct World {
    kernel: Option<Kernel>,
    socket: PathBuf,
    metrics: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        Self::with(Manner::Answers)
    }

    /// With a stand-in for `process` that behaves like this.
    fn with(manner: Manner) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("api.sock");
        let command = UnixListener::bind(&socket).expect("a socket");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let metrics = tcp.local_addr().expect("its address");
        let mut tree = TreeBuilder::new(|reason| panic!("the tree gave up: {reason}"));
        tree.group("all", None, seawall_runtime::Strategy::OneForOne, Intensity::default());
        let policy: Address<policy::Message> = tree.declare(spec("policy", &[]));
        let datapath: Address<datapath::Message> = tree.declare(spec("datapath", &[]));
        let process: Address<process::Message> = tree.declare(spec("process", &[]));
        let prompt: Address<prompt::Message> = tree.declare(spec("prompt", &[]));
        let verdict: Address<verdict::Message> = tree.declare(spec("verdict", &[]));
        let api =
            tree.declare(spec("api", &["policy", "datapath", "process", "prompt", "verdict"]));
        let what =
            AdoptedEntry::Session { flow: crate::tests::flow("192.168.7.1:5000 10.0.0.1:22") };
        let (publisher, published) = Published::new(snapshot(1, vec![Adopted { id: 1, what }]));
        let (_, keeper) = Published::new(KeeperFacts { pid: 77, ..KeeperFacts::default() });
        tree.actor::<Policy>(&policy, publisher);
        tree.actor::<Datapath>(&datapath, ());
        tree.actor::<Programs>(&process, manner);
        tree.actor::<Asking>(&prompt, ());
        tree.actor::<Explainer>(&verdict, ());
        let services = Services {
            policy,
            process,
            prompt,
            verdict,
            datapath,
            snapshot: published,
            surroundings: Published::new(surroundings()).1,
            keeper,
            introspect: tree.introspect(),
            metrics: Metrics::detached(),
            layout: Layout::default(),
            started: Instant::now(),
            version: "1.2.3",
        };
        let listeners =
            Lender::new(Listeners { command, metrics: Some(tcp), metrics_problem: None });
        tree.actor::<Api>(&api, Arguments { listeners, services });
        let kernel = Some(tree.start().expect("the tree starts"));
        Self { kernel, socket, metrics, _folder: folder }
    }

    /// Sends a whole request, returns status and body.
    fn send(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        split(&answer)
    }

    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        self.send(&format!("{method} {path} HTTP/1.1\r\nhost: seawall\r\n\r\n"))
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.ask("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    fn scrape(&self, path: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.metrics).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        split(&answer)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.take() {
            kernel.stop(Duration::from_secs(5));
        }
    }
}

fn split(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

fn flow(ends: &str) -> seawall_messages::Flow {
    let (from, to) = ends.split_once(' ').expect("two ends");
    let (from, to): (std::net::SocketAddr, std::net::SocketAddr) =
        (from.parse().expect("an end"), to.parse().expect("an end"));
    seawall_messages::Flow::between(seawall_messages::Direction::Inbound, Protocol::TCP, from, to)
}

#[test]
fn what_can_be_looked_at_has_its_documented_shape() {
    let world = World::start();
    let status: Status = world.get("/v1/status");
    assert_eq!(status.protection, Protection::Protected, "{:?}", status.reasons);
    assert_eq!(status.keeper_pid, 77);
    assert_eq!(status.worker_pid, std::process::id());
    let components: Components = world.get("/v1/components");
    let names: Vec<_> = components.components.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["policy", "datapath", "process", "prompt", "verdict", "api"]);
    for (limit, expected) in [("", 2), ("?limit=5", 2), ("?limit=1", 1), ("?limit=0", 0)] {
        let connections: Connections = world.get(&format!("/v1/connections{limit}"));
        assert_eq!(connections.connections.len(), expected, "{limit}");
    }
}

#[test]
fn an_adopted_entry_is_removed_once() {
    let world = World::start();
    let before: AdoptedList = world.get("/v1/adopted");
    assert_eq!(before.adopted.len(), 1);
    assert_eq!(world.ask("DELETE", "/v1/adopted/2").0, 404);
    let (status, body) = world.ask("DELETE", "/v1/adopted/1");
    assert_eq!(status, 200, "{body}");
    let left: AdoptedList = serde_json::from_str(&body).expect("a list");
    assert!(left.adopted.is_empty());
}

#[test]
fn a_refused_file_is_a_conflict_with_its_reason() {
    let world = World::start();
    assert_eq!(world.ask("POST", "/v1/reload").0, 200);
    let (status, body) = world.ask("POST", "/v1/reload");
    assert_eq!(status, 409);
    let body: ErrorBody = serde_json::from_str(&body).expect("an error");
    assert_eq!(body.error, "seawall.toml:3:1: nonsense");
}

#[test]
fn a_rule_is_added_or_refused_with_its_reason() {
    let world = World::start();
    let (status, body) = world.post("/v1/rules", r#"{"rule": "- *", "list": "incoming"}"#);
    assert_eq!(status, 200, "{body}");
    let added: RuleAdded = serde_json::from_str(&body).expect("an answer");
    assert_eq!((added.added.list.as_str(), added.policy), ("incoming_rules", policy_status()));
    let cases = [
        (r#"{"rule": "nonsense"}"#, 400),
        (r#"{"rule": "- 10.0.0.9"}"#, 409),
        (r#"{"rule": "- *", "place": "last"}"#, 422),
        (r#"{"rule": "- *", "app": "curl"}"#, 422),
        ("{", 400),
    ];
    for (body, expected) in cases {
        let (status, answer) = world.post("/v1/rules", body);
        assert_eq!(status, expected, "{body}: {answer}");
        let error: ErrorBody = serde_json::from_str(&answer).expect("an error");
        assert!(!error.error.is_empty(), "{body}");
    }
}

#[test]
fn settings_profiles_and_texts_are_changed_or_refused_with_a_reason() {
    let world = World::start();
    let large = format!(r##"{{"text": "{}"}}"##, "#".repeat(200_000));
    let cases = [
        ("/v1/settings", r#"{"changes": {"block_lan": true}}"#, 200),
        ("/v1/settings", r#"{"changes": {"block_lan": null}, "app": "curl"}"#, 200),
        ("/v1/settings", r#"{"changes": {"nonsense": true}}"#, 400),
        ("/v1/settings", r#"{"changes": {"block_lan": 1.5}}"#, 422),
        ("/v1/profiles", r#"{"remove": {"app": "curl"}}"#, 409),
        ("/v1/profiles", r#"{"forget": {"app": "curl"}}"#, 422),
        ("/v1/networks", r#"{"add": {"name": "x", "match": {"interface": "wg0"}}}"#, 200),
        ("/v1/networks", r#"{"remove": {"name": "x"}}"#, 409),
        ("/v1/networks", r#"{"add": {"name": "x", "match": {"gateway_mac": "x"}}}"#, 422),
        ("/v1/import", r#"{"text": "", "dry_run": true}"#, 200),
        ("/v1/import", r#"{"dry_run": true}"#, 422),
        ("/v1/import", large.as_str(), 200),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = world.post(path, body);
        assert_eq!(status, expected, "{path}: {answer}");
    }
    let exported: seawall_messages::api::Exported = world.get("/v1/export");
    assert_eq!(exported.text, "[filter]\n");
    let profiles: seawall_messages::api::ProfileList = world.get("/v1/profiles");
    assert!(profiles.profiles.is_empty());
}

#[test]
fn nonsense_is_answered_with_an_error_in_json() {
    let world = World::start();
    let cases = [
        ("GET", "/", 404),
        ("GET", "/v1/reload", 405),
        ("DELETE", "/v1/rules", 405),
        ("GET", "/v1/rules/change", 405),
        ("DELETE", "/v1/settings", 405),
        ("DELETE", "/v1/profiles", 405),
        ("POST", "/v1/export", 405),
        ("GET", "/v1/import", 405),
        ("GET", "/v1/settings?app=wget", 404),
        ("GET", "/v1/pause", 405),
        ("POST", "/v1/prompts", 405),
        ("GET", "/v1/prompts/answer", 405),
        ("GET", "/v1/prompts/dismiss", 405),
        ("GET", "/v1/changes?feed=x", 400),
        ("POST", "/v1/status", 405),
        ("POST", "/v1/apps", 405),
        ("POST", "/v1/network", 405),
        ("GET", "/v1/connections?limit=many", 400),
        ("DELETE", "/v1/adopted/first", 400),
    ];
    for (method, path, expected) in cases {
        let (status, body) = world.ask(method, path);
        assert_eq!(status, expected, "{method} {path}: {body}");
        let error: ErrorBody =
            serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
        assert!(!error.error.is_empty(), "{method} {path}");
    }
}

#[test]
fn where_the_machine_is_can_be_asked() {
    let world = World::start();
    let answer: NetworkAnswer = world.get("/v1/network");
    assert_eq!(answer, NetworkAnswer { surroundings: surroundings(), networks: Vec::new() });
    let status: Status = world.get("/v1/status");
    assert_eq!(status.networks, None, "none has a name");
}

#[test]
fn a_head_beyond_all_bounds_ends_the_connection_and_nothing_else() {
    let world = World::start();
    let long = "x".repeat(64 * 1024);
    let mut stream = UnixStream::connect(&world.socket).expect("connected");
    // The other end may close before all is sent.
    let _ = stream.write_all(format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    let _: Status = world.get("/v1/status");
}

#[test]
fn callers_beyond_the_bound_are_refused_and_the_rest_is_served() {
    let world = World::start();
    let ask = || {
        let mut stream = UnixStream::connect(&world.socket).expect("connected");
        let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let silent: Vec<_> = (0..80).map(|_| UnixStream::connect(&world.socket)).collect();
    assert_eq!(ask(), "", "one too many is closed unanswered");
    drop(silent);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ask().starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "nobody is served any more");
    }
}

#[test]
fn metrics_are_served_to_addresses_only() {
    let world = World::start();
    let address = world.metrics.to_string();
    assert_eq!(world.scrape("/metrics", &address).0, 200);
    assert_eq!(world.scrape("/metrics", "rebound.example").0, 403);
    assert_eq!(world.scrape("/v1/status", &address).0, 404);
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_fault_reaches_its_component_and_the_api_survives_its_own() {
    let world = World::start();
    let inject = |component: &str| {
        let body =
            format!(r#"{{"component":"{component}","fault":{{"fault":"panic","after":1}}}}"#);
        world.send(&format!(
            "POST /v1/fault HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    assert_eq!(inject("nobody").0, 404);
    assert_eq!(inject("api").0, 200);
    // The next connection is lost with the incarnation that took it.
    let mut lost = UnixStream::connect(&world.socket).expect("connected");
    let _ = lost.read_to_end(&mut Vec::new());
    let components: Components = world.get("/v1/components");
    let api = components.components.iter().find(|it| it.name == "api").expect("listed");
    assert_eq!(api.restarts, 1);
}
