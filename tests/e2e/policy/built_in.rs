//! What a machine's own plumbing needs, where everything else is blocked or asked about.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Family, Seawall, World, run_ok, uninterrupted};

/// A client of the system's, which hands on what it is asked.
const DNSMASQ: &str = "/usr/sbin/dnsmasq";
/// Port of DNS, and where the client is asked; port of VXLAN.
const DNS: u16 = 53;
const ASKED: u16 = 5300;
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

/// The client on `desk`, with the peer as its server.
struct DnsClient {
    child: std::process::Child,
    asker: UdpSocket,
}

impl DnsClient {
    fn start(world: &World, program: &str) -> Self {
        let server = World::address(World::PEER, Family::V4);
        let mut command = world.desk.command(program);
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
        ]);
        command.args([
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--user=root",
            "--pid-file",
        ]);
        command.arg(format!("--port={ASKED}")).arg(format!("--server={server}"));
        let child = command.spawn().expect("it runs");
        let asker = world.desk.datagrams(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { child, asker }
    }

    /// Asks it for an address. That it doesn't listen yet is no matter: it is asked again.
    fn ask(&self) {
        let mut question = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        question.extend(b"\x03www\x07example\x00\x00\x01\x00\x01");
        let _ = self.asker.send_to(&question, ("127.0.0.1", ASKED));
    }
}

impl Drop for DnsClient {
    fn drop(&mut self) {
        // It has ended, or is ended now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_dns_client_of_the_system_is_neither_cut_nor_asked_about_and_nobody_else_gets_through() {
    assert!(Path::new(DNSMASQ).is_file(), "the test needs {DNSMASQ}, of dnsmasq-base");
    let world = World::new();
    let ear = ear(&world, DNS);
    let asks = |program: &str, within| {
        let client = DnsClient::start(&world, program);
        hears(&ear, within, || client.ask())
    };
    for action in ["ask", "block"] {
        let policy = format!("[filter]\ndefault_action = \"{action}\"\n");
        let seawall = Seawall::on(&world.desk).policy(&policy).start();
        assert!(asks(DNSMASQ, SOON), "{action}: what it was asked goes on");
        let prompts = seawall.verb(&["prompts", "--json"]).json();
        assert_eq!(prompts["prompts"].as_array().map(Vec::len), Some(0), "{action}: {prompts}");

        // The same program elsewhere is somebody else, whatever its name.
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("dnsmasq");
        std::fs::copy(DNSMASQ, &copy).expect("a copy");
        // What was on its way, or in the queue of the socket.
        while hears(&ear, Duration::from_millis(200), || ()) {}
        assert!(
            !asks(copy.to_str().expect("plain"), A_WHILE),
            "{action}: the copy isn't the system's"
        );

        let done = |words: &[&str]| {
            let answer = seawall.verb(words);
            assert_eq!(answer.code, Some(0), "{words:?}: {answer:?}");
            answer.stdout
        };
        let explain = ["explain", DNSMASQ, "9.9.9.9:53", "--protocol", "udp"];
        let explained = done(&explain);
        assert!(explained.contains("built-in profile for DNS clients"), "{explained}");
        done(&["profile", "disable", "dns clients"]);
        assert!(!asks(DNSMASQ, A_WHILE), "{action}: it is switched off");
        let listed = done(&["profile", "list"]);
        assert!(listed.contains("built-in, off"), "{listed}");
        done(&["profile", "enable", "DNS clients"]);
        done(&["rule", "add", "--app", DNSMASQ, "- * TCP/1"]);
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
