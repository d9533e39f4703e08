//! The words of `seawall explain`: whom it is about, and what would be opened.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use seawall_messages::Protocol;
use seawall_messages::explain::Whom;
use seawall_policy::rule::protocol_by_name;

/// The port that is meant where none is named.
pub(crate) const USUAL_PORT: u16 = 443;

/// What begins the id of an app, as `seawall ps --json` shows it. A word alone
/// is `kernel` or `unidentified`.
const KINDS: [&str; 9] = [
    "path",
    "script",
    "snap",
    "flatpak",
    "app_image",
    "nix",
    "container",
    "kernel",
    "unidentified",
];

/// What would be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The other end.
    pub(crate) address: IpAddr,
    /// The port that is called, if it was named.
    pub(crate) port: Option<u16>,
}

/// Reads `IP`, `IP:PORT` or `[v6]:PORT`.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Target { address, port: None });
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Target { address: socket.ip(), port: Some(socket.port()) });
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(Ok(address)) = bracketed.map(str::parse) {
        return Ok(Target { address: IpAddr::V6(address), port: None });
    }
    Err(why_no_target(text))
}

fn why_no_target(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() || host.starts_with('[') && host.ends_with(']') {
        return format!("{port:?} is no port: expected 0 to 65535");
    }
    let is_name = |c: char| c.is_alphanumeric() || "-._".contains(c);
    let has_letters = host.chars().any(|c| c.is_alphabetic());
    if has_letters && host.chars().all(is_name) {
        return format!(
            "{host} is a name, and names aren't decided yet, only addresses: name one, such as `getent ahosts {host}` shows"
        );
    }
    "expected an address, or address and port: 9.9.9.9, 9.9.9.9:443, [2620:fe::9]:443".to_owned()
}

/// Reads a protocol's name or number.
pub(crate) fn protocol(text: &str) -> Result<Protocol, String> {
    let named = protocol_by_name(text);
    named.or_else(|| text.parse().ok().map(Protocol)).ok_or_else(|| {
        "expected tcp, udp, icmp, icmp6, sctp, dccp, udp-lite, igmp, or a number up to 255"
            .to_owned()
    })
}

/// The port that is meant; none where the protocol has none.
pub(crate) fn port(protocol: Protocol, named: Option<u16>) -> Result<Option<u16>, String> {
    match (protocol.has_ports(), named) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(format!("{protocol} has no ports: name the address alone")),
        (true, Some(port)) => Ok(Some(port)),
        (true, None) if matches!(protocol, Protocol::TCP | Protocol::UDP) => Ok(Some(USUAL_PORT)),
        (true, None) => Err(format!("{protocol} needs a port: name address:port")),
    }
}

/// Reads whom it is about: a path, an app's id, a process id, or `-`.
pub(crate) fn whom(text: &str) -> Result<Whom, String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    whom_among(text, std::env::split_paths(&folders))
}

fn whom_among(text: &str, mut folders: impl Iterator<Item = PathBuf>) -> Result<Whom, String> {
    if text == "-" {
        return Ok(Whom::Nobody);
    }
    if text.is_empty() {
        return Err("expected a path, an app's id, a process id, or -".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Whom::Pid).map_err(|_| format!("{text} is no process id"));
    }
    let kind = text.split(':').next().unwrap_or_default();
    // `snap:firefox:/usr/lib/x` is the path of a file that isn't the host's.
    let is_file_of = |kind: &str| matches!(kind, "snap" | "flatpak") && text.contains(":/");
    if KINDS.contains(&kind) && !is_file_of(kind) {
        return Ok(Whom::App(text.to_owned()));
    }
    if text.contains(":/") {
        return Ok(Whom::Path(text.to_owned()));
    }
    if text.contains('/') {
        return real(Path::new(text)).map(Whom::Path);
    }
    match folders.find_map(|folder| Some(folder.join(text)).filter(|path| path.is_file())) {
        Some(path) => real(&path).map(Whom::Path),
        None => Err(format!(
            "no program called {text} in PATH: name a path, an app's id (`seawall ps --json`), a process id, or - for nobody"
        )),
    }
}

/// The path as the kernel tells it of a program that runs: links followed. One
/// that doesn't exist here stays as it is.
fn real(path: &Path) -> Result<String, String> {
    let real = std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned());
    real.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_with_a_port_or_without() {
        let cases = [
            ("9.9.9.9", Some(("9.9.9.9", None))),
            ("9.9.9.9:53", Some(("9.9.9.9", Some(53)))),
            ("2620:fe::9", Some(("2620:fe::9", None))),
            ("[2620:fe::9]", Some(("2620:fe::9", None))),
            ("[2620:fe::9]:443", Some(("2620:fe::9", Some(443)))),
            ("9.9.9.9:port", None),
            ("9.9.9.9:70000", None),
            ("", None),
            ("10.0.0.0/8", None),
            ("[9.9.9.9]:1", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(address, port)| Target {
                address: address.parse().expect("an address"),
                port,
            });
            assert_eq!(target(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_told_from_nonsense() {
        for name in ["example.org", "example.org:443", "localhost"] {
            let problem = target(name).expect_err(name);
            assert!(problem.contains("names aren't decided yet"), "{name}: {problem}");
        }
        for nonsense in ["10.0.0.0/8", "9.9.9.9:x", "???"] {
            let problem = target(nonsense).expect_err(nonsense);
            assert!(!problem.contains("names"), "{nonsense}: {problem}");
        }
    }

    #[test]
    fn ports_go_with_protocols_that_have_them() {
        let cases = [
            ("tcp", Some(80), Ok(Some(80))),
            ("TCP", None, Ok(Some(USUAL_PORT))),
            ("17", None, Ok(Some(USUAL_PORT))),
            ("icmp", None, Ok(None)),
            ("47", None, Ok(None)),
            ("icmp", Some(1), Err(())),
            ("sctp", None, Err(())),
        ];
        for (name, named, expected) in cases {
            let protocol = protocol(name).expect(name);
            assert_eq!(port(protocol, named).map_err(drop), expected, "{name}");
        }
        assert!(protocol("quic").is_err() && protocol("256").is_err());
    }

    #[test]
    fn whoever_is_meant_is_a_path_an_app_a_process_or_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        std::fs::write(&program, "").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&program, &link).expect("linked");
        let real = std::fs::canonicalize(&program).expect("it is there").display().to_string();
        let app = |text: &str| Whom::App(text.to_owned());
        let path = |text: &str| Whom::Path(text.to_owned());
        let cases = [
            ("-", Whom::Nobody),
            ("4711", Whom::Pid(4711)),
            ("snap:firefox", app("snap:firefox")),
            ("path:/usr/bin/curl", app("path:/usr/bin/curl")),
            ("container:docker/web:/usr/bin/curl", app("container:docker/web:/usr/bin/curl")),
            ("unidentified", app("unidentified")),
            ("docker:web:/usr/bin/curl", path("docker:web:/usr/bin/curl")),
            ("snap:firefox:/usr/lib/x", path("snap:firefox:/usr/lib/x")),
            ("/nonexistent/program", path("/nonexistent/program")),
            ("program", path(&real)),
            ("link", path(&real)),
            (link.to_str().expect("plain"), path(&real)),
        ];
        for (text, expected) in cases {
            let found = whom_among(text, std::iter::once(folder.path().to_owned()));
            assert_eq!(found, Ok(expected), "{text}");
        }
        for text in ["", "missing", "99999999999"] {
            let found = whom_among(text, std::iter::once(folder.path().to_owned()));
            assert!(found.is_err(), "{text}: {found:?}");
        }
    }
}
