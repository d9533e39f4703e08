//! `seawall rule test`: whether a policy does what its owner expects of it.
//!
//! ```toml
//! [[expect]]
//! app = "/usr/bin/curl"
//! target = "9.9.9.9:443"
//! result = "permit"
//! ```

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use seawall_messages::explain::{Explain, Whom};
use seawall_messages::network::Surroundings;
use seawall_messages::policy::PolicyGeneration;
use seawall_messages::process::{App, AppKind, Attribution, Method, Process};
use seawall_messages::{Action, Direction, Judgement, Protocol, Snapshot};
use seawall_policy::{PolicyFile, file, rule};
use seawall_verdict::{Decision, Seen, decide_seen};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::output::{self, Cell, Style, Table};
use crate::verbs::{Outcome, describe, explain, read_text};

/// Largest file of expectations, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The number of an interface that is named; any but loopback's would do.
const SOME_INTERFACE: u32 = 2;

/// A file of expectations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    #[serde(default)]
    expect: Vec<Spanned<Expectation>>,
}

/// What is expected of one connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// A path or an app's id; nobody, where there is none.
    app: Option<String>,
    /// The other end.
    target: String,
    /// Its protocol by name or number.
    #[serde(default = "tcp")]
    protocol: String,
    /// Whether the other end opens it.
    #[serde(default)]
    inbound: bool,
    /// The number of the user whose it is; unknown, where there is none.
    uid: Option<u32>,
    /// The interface that leads to the other end; unknown, where there is none.
    interface: Option<String>,
    /// The named network that the machine is in; none, where there is none.
    network: Option<String>,
    /// What shall become of it.
    result: Expected,
    /// The rule that shall be the reason, as it is printed.
    rule: Option<String>,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Permit,
    Deny,
    Ask,
}

/// What became of an expectation.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Tested {
    /// Where it stands in the file.
    line: usize,
    /// What was expected of whom.
    case: String,
    expected: Expected,
    found: Expected,
    /// Why.
    reason: String,
    met: bool,
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Report {
    policy: String,
    met: usize,
    failed: usize,
    cases: Vec<Tested>,
}

pub(super) fn perform(file: &Path, policy: &Path, json: bool) -> Outcome {
    let report = match report(file, policy) {
        Ok(report) => report,
        Err(problem) => {
            output::complaint(problem);
            return Outcome::Failed;
        }
    };
    if json {
        output::json(&report);
    } else {
        print(&report);
    }
    if report.failed == 0 { Outcome::Done } else { Outcome::Failed }
}

fn report(path: &Path, policy: &Path) -> Result<Report, String> {
    let text = file::read(policy).map_err(|error| describe(&error))?;
    let parsed = file::parse(&text, policy).map_err(|problems| problems.to_string())?;
    let text = read_text(path, MAX_FILE_BYTES)
        .map_err(|problem| format!("{}: {problem}", path.display()))?;
    let cases = cases(&text, path, &parsed)?;
    let met = cases.iter().filter(|case| case.met).count();
    let failed = cases.len() - met;
    Ok(Report { policy: policy.display().to_string(), met, failed, cases })
}

fn cases(text: &str, path: &Path, policy: &PolicyFile) -> Result<Vec<Tested>, String> {
    let expectations: Expectations =
        toml::from_str(text).map_err(|error| format!("{}: {error}", path.display()))?;
    if expectations.expect.is_empty() {
        return Err(format!("{}: found no [[expect]]; expected at least one", path.display()));
    }
    let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let usual = snapshot(policy, None, None);
    let test = |expectation: &Spanned<Expectation>| {
        let line = line_of(expectation.span().start);
        test(expectation.get_ref(), line, policy, &usual)
            .map_err(|problem| format!("{}:{line}: {problem}", path.display()))
    };
    expectations.expect.iter().map(test).collect()
}

/// The policy as it would be in that network, with that interface.
fn snapshot(policy: &PolicyFile, network: Option<&str>, interface: Option<&str>) -> Snapshot {
    let mut present = policy.present(rule::now(), &Surroundings::default());
    present.networks.extend(network.map(Arc::from));
    present.interfaces.extend(interface.map(|name| (SOME_INTERFACE, Arc::from(name))));
    policy.snapshot(PolicyGeneration(1), Vec::new(), &present)
}

fn test(
    expectation: &Expectation,
    line: usize,
    policy: &PolicyFile,
    usual: &Snapshot,
) -> Result<Tested, String> {
    let Expectation { network, interface, uid, .. } = expectation;
    let is_named = |name: &String| policy.networks.iter().any(|known| *known.name == **name);
    if let Some(name) = network.as_ref().filter(|name| !is_named(name)) {
        return Err(format!("expect.network: no [[network]] is called {name:?}"));
    }
    let own = (network.is_some() || interface.is_some())
        .then(|| snapshot(policy, network.as_deref(), interface.as_deref()));
    let snapshot = own.as_ref().unwrap_or(usual);
    let attribution = attribution(expectation.app.as_deref())?;
    let request = request(expectation)?;
    let flow = request.flow(own_address(request.remote))?;
    let seen = Seen { uid: *uid, interface: interface.as_ref().map(|_| SOME_INTERFACE) };
    let decision = decide_seen(snapshot, &flow, snapshot.layers_of(&attribution), seen);
    let asks = matches!(decision, Decision::Ask(_));
    let judgement = decision.judgement();
    let found = match judgement.action {
        _ if asks => Expected::Ask,
        Action::Allow => Expected::Permit,
        Action::Reject | Action::Drop => Expected::Deny,
    };
    let met = found == expectation.result && is_by(&judgement, expectation.rule.as_deref());
    let whose = expectation.app.as_deref().unwrap_or("nobody");
    let direction = request.direction.as_str();
    let case = format!("{whose}, {direction} {} {}", request.protocol, expectation.target);
    let reason = judgement.reason.to_string();
    Ok(Tested { line, case, expected: expectation.result, found, reason, met })
}

/// Whether that rule decided, if one was named.
fn is_by(judgement: &Judgement, rule: Option<&str>) -> bool {
    let decided = judgement.reason.rule.as_ref().map(|(_, rule)| &**rule);
    rule.is_none_or(|expected| decided == Some(expected))
}

fn request(expectation: &Expectation) -> Result<Explain, String> {
    let named = |key: &str, problem: String| format!("expect.{key}: {problem}");
    let target = explain::target(&expectation.target).map_err(|it| named("target", it))?;
    let protocol: Protocol =
        explain::protocol(&expectation.protocol).map_err(|it| named("protocol", it))?;
    let port = explain::port(protocol, target.port).map_err(|it| named("target", it))?;
    let direction = if expectation.inbound { Direction::Inbound } else { Direction::Outbound };
    Ok(Explain { whom: Whom::Nobody, direction, protocol, remote: target.address, port })
}

/// An address of this machine's own, wherever the file is tried.
fn own_address(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        remote if remote.is_loopback() => remote,
        IpAddr::V4(_) => [10, 255, 255, 254].into(),
        IpAddr::V6(_) => [0xfd00, 0, 0, 0, 0, 0, 0, 0xffff].into(),
    }
}

/// A process of which no more is known than how the app is named, in the words of `explain`.
fn attribution(app: Option<&str>) -> Result<Attribution, String> {
    let Some(app) = app else { return Ok(Attribution::unidentified()) };
    let named = |problem: &str| format!("expect.app: {problem}");
    let (path, id) = match explain::whom(app).map_err(|problem| named(&problem))? {
        Whom::Nobody => return Ok(Attribution::unidentified()),
        Whom::Pid(_) => return Err(named("expected a path or an app's id, not a process")),
        Whom::Path(path) => {
            let id = format!("path:{path}");
            (path, id)
        }
        Whom::App(id) => (id.strip_prefix("path:").unwrap_or_default().to_owned(), id),
    };
    let name = Arc::from(app.rsplit('/').next().unwrap_or(app));
    let app = App { id: Arc::from(id), kind: AppKind::Path, name, icon: None };
    let process = Some(Arc::new(Process::made_up(app, &path)));
    Ok(Attribution { method: Method::OpenFiles, process })
}

fn tcp() -> String {
    "tcp".to_owned()
}

impl Expected {
    fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

fn print(report: &Report) {
    let mut table = Table::new(["LINE", "RESULT", "CONNECTION", "EXPECTED", "FOUND"]).flowing();
    for case in &report.cases {
        let (style, word) = if case.met { (Style::Good, "ok") } else { (Style::Bad, "FAILED") };
        table.row([
            Cell::from(case.line.to_string()),
            Cell::styled(style, word),
            Cell::from(&case.case),
            Cell::from(case.expected.as_str()),
            Cell::from(format!("{}: {}", case.found.as_str(), case.reason)),
        ]);
    }
    table.print();
    output::line(format_args!("{}: {} met, {} failed", report.policy, report.met, report.failed));
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
[filter]
default_action = "block"
block_lan = true
outgoing_rules = ["+ 9.9.9.9 UDP/53", "- 9.9.9.9"]
incoming_rules = ["+ Internet TCP/22"]

[[app]]
match = { path = "/usr/bin/curl" }
outgoing_rules = ["+ 9.9.9.9 TCP/443"]
"#;

    fn tested(text: &str) -> Result<Vec<Tested>, String> {
        let path = Path::new("expect.toml");
        let policy = file::parse(POLICY, path).expect("a policy");
        cases(text, path, &policy)
    }

    #[test]
    fn expectations_are_met_or_not() {
        let text = r#"
[[expect]]
app = "/usr/bin/curl"
target = "9.9.9.9"
result = "permit"
rule = "+ 9.9.9.9 TCP/HTTPS"

[[expect]]
target = "9.9.9.9:443"
result = "permit"

[[expect]]
target = "[2620:fe::9]:22"
inbound = true
result = "permit"

[[expect]]
target = "192.168.1.1"
protocol = "icmp"
result = "deny"

[[expect]]
target = "9.9.9.9:53"
protocol = "udp"
result = "permit"
rule = "+ *"
"#;
        let tested = tested(text).expect("a good file");
        let seen: Vec<_> = tested.iter().map(|case| (case.line, case.found, case.met)).collect();
        let (permit, deny) = (Expected::Permit, Expected::Deny);
        let expected = [
            (2, permit, true),
            (8, deny, false),
            (12, permit, true),
            (17, deny, true),
            (22, permit, false),
        ];
        assert_eq!(seen, expected);
        assert!(tested[1].reason.contains("- 9.9.9.9"), "{:?}", tested[1]);
    }

    #[test]
    fn apps_are_named_as_explain_names_them() {
        let cases = [
            (None, "", "unidentified"),
            (Some("-"), "", "unidentified"),
            (Some("/nonexistent/program"), "/nonexistent/program", "path:/nonexistent/program"),
            (Some("path:/x/y"), "/x/y", "path:/x/y"),
            (Some("container:docker/web:/usr/bin/curl"), "", "container:docker/web:/usr/bin/curl"),
        ];
        for (app, path, id) in cases {
            let attribution = attribution(app).expect("an app");
            let found = attribution.process.as_ref().map_or("", |process| &process.path);
            assert_eq!((found, &*attribution.app().id), (path, id), "{app:?}");
        }
    }

    #[test]
    fn what_is_no_expectation_is_told_with_its_place() {
        let cases = [
            ("", "no [[expect]]"),
            ("[[expect]]\ntarget = \"9.9.9.9\"\n", "missing field `result`"),
            ("[[expect]]\ntarget = \"9.9.9.9\"\nresult = \"maybe\"\n", "line 3"),
            ("[[expect]]\ntarget = \"9.9.9.9\"\nresult = \"deny\"\nport = 1\n", "line 4"),
            ("\n[[expect]]\ntarget = \"x y\"\nresult = \"deny\"\n", "expect.toml:2: expect.target"),
            (
                "[[expect]]\ntarget = \"1.1.1.1:1\"\nprotocol = \"icmp\"\nresult = \"deny\"\n",
                "has no ports",
            ),
            ("[[expect]]\napp = \"1\"\ntarget = \"1.1.1.1\"\nresult = \"deny\"\n", "not a process"),
            ("[[expect]]\napp = \"\"\ntarget = \"1.1.1.1\"\nresult = \"deny\"\n", "expect.app"),
        ];
        for (text, expected) in cases {
            let problem = tested(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn a_network_a_user_and_an_interface_may_be_taken_for_granted() {
        let policy = r#"
[filter]
outgoing_rules = ["- 9.9.9.9 network=cafe", "- 9.9.9.8 user=7", "- 9.9.9.7 interface=tun*"]

[[network]]
name = "cafe"
match = { interface = "wl*" }
block_lan = true
"#;
        let path = Path::new("expect.toml");
        let policy = file::parse(policy, path).expect("a policy");
        let met = |target: &str, words: &str, result: &str| {
            let text = format!("[[expect]]\ntarget = {target:?}\nresult = {result:?}\n{words}\n");
            cases(&text, path, &policy).map(|tested| tested[0].met)
        };
        let taken = [
            ("9.9.9.9", "", "permit"),
            ("9.9.9.9", "network = \"cafe\"", "deny"),
            ("192.168.1.1", "", "permit"),
            ("192.168.1.1", "network = \"cafe\"", "deny"),
            ("9.9.9.8", "uid = 7", "deny"),
            ("9.9.9.8", "uid = 8", "permit"),
            ("9.9.9.8", "", "deny"),
            ("9.9.9.7", "interface = \"tun0\"", "deny"),
            ("9.9.9.7", "interface = \"eth0\"", "permit"),
        ];
        for (target, words, result) in taken {
            assert_eq!(met(target, words, result), Ok(true), "{target} {words}");
        }
        let unknown = met("9.9.9.9", "network = \"caffe\"", "deny").expect_err("unknown");
        assert!(unknown.contains("no [[network]] is called \"caffe\""), "{unknown}");
    }
}
