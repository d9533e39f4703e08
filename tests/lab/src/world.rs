//! Three hosts in network namespaces, joined by virtual cables.

mod host;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub use self::host::Host;
use crate::check::eventually;
use crate::process::{run, run_ok, run_with_input};

/// Programs that worlds are made with.
const NEEDED: [&str; 6] = ["ip", "nsenter", "iptables-nft", "iptables-legacy", "conntrack", "nft"];

/// The kernel brings IPv6 up on a cable within a second or so.
const CABLES_UP: Duration = Duration::from_secs(20);

static ONE_WORLD: Mutex<()> = Mutex::new(());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// The hosts of one test. Removed with all that is in it when dropped.
#[derive(Debug)]
pub struct World {
    /// Where Seawall runs. Forwards between the other two.
    pub desk: Host,
    /// Servers; connected to `desk`. Has a second, forbidden address: see [`World::FORBIDDEN`].
    pub peer: Host,
    /// Behind `desk`, which forwards for it.
    pub inner: Host,
    prefix: String,
    /// Of worlds that are there at the same time, the first has it.
    _alone: Option<MutexGuard<'static, ()>>,
}

impl World {
    /// Addresses of `desk` towards `peer`.
    pub const DESK: [&str; 2] = ["10.77.1.1", "fd77:1::1"];
    /// Addresses of `desk` towards `inner`.
    pub const DESK_INSIDE: [&str; 2] = ["10.77.2.1", "fd77:2::1"];
    /// First addresses of `peer`.
    pub const PEER: [&str; 2] = ["10.77.1.2", "fd77:1::2"];
    /// Second addresses of `peer`, for tests that forbid an address.
    pub const FORBIDDEN: [&str; 2] = ["10.77.1.66", "fd77:1::66"];
    /// Addresses of `peer` whose scope is the Internet.
    pub const FAR: [&str; 2] = ["45.77.1.9", "2a77:1::9"];
    /// Addresses of `inner`.
    pub const INNER: [&str; 2] = ["10.77.2.2", "fd77:2::2"];

    /// Three hosts that reach each other, and no firewall anywhere. Each host
    /// takes in all packets of a flow on one processor, as behind a network card.
    ///
    /// A bare virtual cable takes a packet in wherever it was sent. Then the
    /// first data of a connection, sent by a program, can race with the last
    /// packet of its handshake, sent by the kernel on another processor: in
    /// kernels as of 6.18 a server's look-up may meet neither the socket in
    /// the making nor the made one, and it answers with a reset, firewall or
    /// no firewall, about once in 300,000 connections.
    ///
    /// # Panics
    /// Without root, or when a program or kernel feature is missing.
    pub fn new() -> Self {
        let (alone, prefix) = alone();
        Self::made(Some(alone), prefix)
    }

    /// Another one at the same time, with the same addresses.
    pub fn beside(&self) -> Self {
        Self::made(None, unused_prefix())
    }

    fn made(alone: Option<MutexGuard<'static, ()>>, prefix: String) -> Self {
        let host = |name: &str| Host::new(name, format!("{prefix}-{name}"));
        let (desk, peer, inner) = (host("desk"), host("peer"), host("inner"));
        let world = Self { desk, peer, inner, prefix, _alone: alone };
        // Addresses of interfaces made from now on are good at once: no second of probing for duplicates.
        for host in [&world.desk, &world.peer, &world.inner] {
            host.sysctl("net/ipv6/conf/default/accept_dad", "0");
        }
        world.lay_cables();
        world.tune();
        for host in [&world.desk, &world.peer, &world.inner] {
            host.steer_flows();
            eventually("IPv6 is up on all cables", CABLES_UP, || host.is_up());
        }
        world
    }

    /// As [`World::new`], but `desk` hides `inner` behind its own address (IPv4 and IPv6).
    pub fn with_nat() -> Self {
        let world = Self::new();
        for program in ["iptables-nft", "ip6tables-nft"] {
            run_ok(world.desk.command(program).args([
                "-w",
                "5",
                "-t",
                "nat",
                "-A",
                "POSTROUTING",
                "-o",
                "peer",
                "-j",
                "MASQUERADE",
            ]));
        }
        world
    }

    /// One host more, without a cable. It is removed when it is dropped.
    pub fn another_host(&self, name: &str) -> Host {
        let host = Host::new(name, format!("{}-{name}", self.prefix));
        host.sysctl("net/ipv6/conf/default/accept_dad", "0");
        host.ip("link set lo up\n");
        host
    }

    /// A cable between two hosts: an interface in each, named for the other's. Both are up, without addresses.
    pub fn cable(from: (&Host, &str), to: (&Host, &str)) {
        run_ip(&format!(
            "link add {} netns {} type veth peer name {} netns {}\n",
            from.1,
            from.0.namespace(),
            to.1,
            to.0.namespace()
        ));
        for (host, interface) in [from, to] {
            host.ip(&format!("link set {interface} up\n"));
        }
    }

    /// One of the address pairs above.
    pub fn address(pair: [&str; 2], family: Family) -> IpAddr {
        let text = match family {
            Family::V4 => pair[0],
            Family::V6 => pair[1],
        };
        text.parse().unwrap_or_else(|_| panic!("{text} is not an address"))
    }

    fn lay_cables(&self) {
        let (desk, peer, inner) =
            (self.desk.namespace(), self.peer.namespace(), self.inner.namespace());
        run_ip(&format!(
            "link add peer netns {desk} type veth peer name desk netns {peer}\n\
             link add inner netns {desk} type veth peer name desk netns {inner}\n"
        ));
        self.desk.ip(&format!(
            "link set lo up\naddr add {}/24 dev peer\naddr add {}/64 dev peer nodad\nlink set peer up\n\
             addr add {}/24 dev inner\naddr add {}/64 dev inner nodad\nlink set inner up\n\
             route add default via {}\nroute add ::/0 via {}\n",
            Self::DESK[0], Self::DESK[1], Self::DESK_INSIDE[0], Self::DESK_INSIDE[1],
            Self::PEER[0], Self::PEER[1],
        ));
        self.peer.ip(&format!(
            "link set lo up\naddr add {}/24 dev desk\naddr add {}/64 dev desk nodad\n\
             addr add {}/24 dev desk\naddr add {}/64 dev desk nodad preferred_lft 0\n\
             addr add {}/32 dev lo\naddr add {}/128 dev lo nodad preferred_lft 0\nlink set desk up\n\
             route add default via {}\nroute add ::/0 via {}\n",
            Self::PEER[0], Self::PEER[1], Self::FORBIDDEN[0], Self::FORBIDDEN[1], Self::FAR[0], Self::FAR[1],
            Self::DESK[0], Self::DESK[1],
        ));
        self.inner.ip(&format!(
            "link set lo up\naddr add {}/24 dev desk\naddr add {}/64 dev desk nodad\nlink set desk up\n\
             route add default via {}\nroute add ::/0 via {}\n",
            Self::INNER[0], Self::INNER[1], Self::DESK_INSIDE[0], Self::DESK_INSIDE[1],
        ));
    }

    /// What high connection rates need, alike with and without Seawall.
    fn tune(&self) {
        self.desk.sysctl("net/ipv4/ip_forward", "1");
        self.desk.sysctl("net/ipv6/conf/all/forwarding", "1");
        for host in [&self.desk, &self.peer, &self.inner] {
            host.sysctl("net/ipv4/ip_local_port_range", "10000 65000");
            host.sysctl("net/ipv4/tcp_tw_reuse", "1");
            host.sysctl("net/ipv4/icmp_ratelimit", "0");
            host.sysctl("net/ipv6/icmp/ratelimit", "0");
            host.sysctl("net/ipv4/conf/all/rp_filter", "0");
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Panics unless a program can be found: in the search path, or where programs for root lie.
pub fn needs(program: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(std::path::PathBuf::from))
        .any(|folder| folder.join(program).is_file());
    assert!(found, "the test needs the program `{program}`, which is not installed");
}

pub(crate) fn run_ip(batch: &str) {
    let finished = run_with_input(Command::new("ip").args(["-batch", "-"]), batch);
    assert!(finished.ok(), "ip failed: {}\nin:\n{batch}", finished.stderr);
}

/// The right to be the one world at this time, with a prefix for the names of its namespaces.
///
/// # Panics
/// Without root, or when a program is missing.
pub(crate) fn alone() -> (MutexGuard<'static, ()>, String) {
    let alone = ONE_WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(
        rustix::process::geteuid().is_root(),
        "the lab needs root: it makes network namespaces"
    );
    for program in NEEDED {
        needs(program);
    }
    remove_leftovers();
    (alone, unused_prefix())
}

fn unused_prefix() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("sw{}x{number}", std::process::id())
}

/// Removes namespaces of lab processes that are no more, and what still runs in them.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner =
            name.strip_prefix("sw").and_then(|rest| rest.split_once('x')).map(|(pid, _)| pid);
        if let Some(pid) = owner.and_then(|pid| pid.parse::<u32>().ok())
            && !std::path::Path::new(&format!("/proc/{pid}")).exists()
        {
            remove_namespace(&name);
        }
    }
}

/// Removes a namespace that a lab before this one left behind, and ends what still runs in it.
pub(crate) fn remove_namespace(name: &str) {
    for pid in run(Command::new("ip").args(["netns", "pids", name])).stdout.lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    run(Command::new("ip").args(["netns", "delete", name]));
}
