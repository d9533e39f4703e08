//! What a machine's own plumbing needs, where everything else is blocked or asked about.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Family, Seawall, World, run_ok, uninterrupted};

/// A client of the system's, which asks for the time and needs nobody's answer.
const TIMESYNCD: &str = "/usr/lib/systemd/systemd-timesyncd";
/// Port of NTP, and of VXLAN.
const NTP: u16 = 123;
const VXLAN: u16 = 4789;
/// How soon what is permitted arrives, and how long one waits for what isn't.
const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_secs(3);

fn ear(world: &World, port: u16) -> UdpSocket {
    world.peer.datagrams(SocketAddr::new(World::address(World::PEER, Family::V4), port))
}

/// Whether a datagram comes while something is done again and again.
fn hears(ear: &UdpSocket, within: Duration, mut act: impl FnMut()) -> bool {
    let end = Instant::now() + within;
    ear.set_read_timeout(Some(Duration::from_millis(300))).expect("a time limit");
    while Instant::now() < end {
        act();
        if uninterrupted(|| ear.recv(&mut [0; 2048])).is_ok() {
            return true;
        }
    }
    false
}

/// The client, in a mount namespace of its own, as its service has it, with the peer as its server.
struct TimeClient {
    child: std::process::Child,
    _folder: tempfile::TempDir,
}

impl TimeClient {
    fn start(world: &World, program: &str) -> Self {
        const RUN: &str = "mount --bind \"$1\" /etc/systemd/timesyncd.conf
            mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/timesync
            mount -t tmpfs tmpfs /var/lib/systemd
            exec \"$2\"";
        let folder = tempfile::tempdir().expect("a folder");
        let server = World::address(World::PEER, Family::V4);
        let settings = folder.path().join("timesyncd.conf");
        std::fs::write(&settings, format!("[Time]\nNTP={server}\n")).expect("written");
        let mut command = world.desk.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", RUN, "sh"]);
        let child = command.arg(&settings).arg(program).spawn().expect("unshare runs");
        Self { child, _folder: folder }
    }
}

impl Drop for TimeClient {
    fn drop(&mut self) {
        // It has ended, or is ended now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_time_client_of_the_system_is_neither_cut_nor_asked_about_and_nobody_else_gets_through() {
    assert!(Path::new(TIMESYNCD).is_file(), "the test needs {TIMESYNCD}, of systemd-timesyncd");
    let world = World::new();
    let ear = ear(&world, NTP);
    for action in ["ask", "block"] {
        let policy = format!("[filter]\ndefault_action = \"{action}\"\n");
        let seawall = Seawall::on(&world.desk).policy(&policy).start();
        {
            let _client = TimeClient::start(&world, TIMESYNCD);
            assert!(hears(&ear, SOON, || ()), "{action}: it asks for the time");
        }
        let prompts = seawall.verb(&["prompts", "--json"]).json();
        assert_eq!(prompts["prompts"].as_array().map(Vec::len), Some(0), "{action}: {prompts}");

        // The same program elsewhere is somebody else, whatever its name.
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("systemd-timesyncd");
        std::fs::copy(TIMESYNCD, &copy).expect("a copy");
        {
            let _client = TimeClient::start(&world, copy.to_str().expect("plain"));
            assert!(!hears(&ear, A_WHILE, || ()), "{action}: the copy isn't the system's");
        }

        let done = |words: &[&str]| {
            let answer = seawall.verb(words);
            assert_eq!(answer.code, Some(0), "{words:?}: {answer:?}");
            answer.stdout
        };
        let explain = ["explain", TIMESYNCD, "9.9.9.9:123", "--protocol", "udp"];
        let explained = done(&explain);
        assert!(explained.contains("built-in profile for Time synchronisation"), "{explained}");
        done(&["profile", "disable", "time synchronisation"]);
        {
            let _client = TimeClient::start(&world, TIMESYNCD);
            assert!(!hears(&ear, A_WHILE, || ()), "{action}: it is switched off");
        }
        let listed = done(&["profile", "list"]);
        assert!(listed.contains("built-in, off"), "{listed}");
        done(&["profile", "enable", "Time synchronisation"]);
        done(&["rule", "add", "--app", TIMESYNCD, "- * TCP/1"]);
        let explained = done(&explain);
        assert!(explained.contains("something is said of the app itself"), "{explained}");
    }
}

#[test]
fn a_tunnel_of_the_kernel_passes_unless_built_in_profiles_are_off() {
    let world = World::new();
    let ear = ear(&world, VXLAN);
    let peer = World::address(World::PEER, Family::V4);
    let ip = |words: &str| {
        let words: Vec<_> = words.split_whitespace().collect();
        run_ok(world.desk.command("ip").args(words));
    };
    ip(&format!("link add vx0 type vxlan id 7 remote {peer} dstport {VXLAN}"));
    ip("address add 10.77.0.1/24 dev vx0");
    ip("link set vx0 up");
    ip("neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev vx0");
    let ping = || {
        let mut ping: Command = world.desk.command("ping");
        // Nobody answers.
        let _ = ping.args(["-c", "1", "-W", "1", "10.77.0.2"]).output();
    };
    // What goes into the tunnel is permitted by a rule: what comes out of it is the question.
    let policy = "[filter]\ndefault_action = \"block\"\noutgoing_rules = [\"+ * ICMP\"]\n";
    let seawall = Seawall::on(&world.desk).policy(policy).start();
    assert!(hears(&ear, SOON, ping), "the kernel's own");
    let set = seawall.verb(&["setting", "set", "built_in_profiles", "off"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    // What was on its way, or in the queue of the socket.
    while hears(&ear, Duration::from_millis(200), || ()) {}
    assert!(!hears(&ear, A_WHILE, ping), "they are off");
}
