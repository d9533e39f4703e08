//! A larger world: a desktop at home behind a router, neighbours on its LAN,
//! and servers with names on an Internet of its own. It is told as a sentence:
//!
//! ```no_run
//! use lab::Neighbourhood;
//!
//! let place = Neighbourhood::with_a_desktop()
//!     .behind_a_router()
//!     .beside_a_neighbour("noisy")
//!     .and_a_site("shop.example")
//!     .and_a_site("news.example")
//!     .and_a_site("tracker.example")
//!     .built();
//! place.start(place.desktop(), "curl", &["http://shop.example/"]);
//! ```
//!
//! ```text
//!  desktop   ──┐                          ┌── shop.example
//!              ├── router (hides its LAN) ┼── news.example
//!  neighbour ──┘                          └── tracker.example
//! ```

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;
use std::time::Duration;

use tempfile::TempDir;

use crate::check::eventually;
use crate::process::{Running, run};
use crate::world::{Family, Host, World, alone, remove_namespace};

/// The kernel brings IPv6 up on a cable within a second or so.
const CABLES_UP: Duration = Duration::from_secs(20);
/// Most hosts of a kind: addresses and names of interfaces are numbered.
const MOST: usize = 50;

/// Mounts the names over the machine's own, where only the program sees them.
const WITH_NAMES: &str = "mount --bind \"$1\" /etc/hosts; shift; exec \"$@\"";

/// What a neighbourhood will be.
#[derive(Debug, Default)]
pub struct Plan {
    name: Option<String>,
    has_router: bool,
    neighbours: Vec<String>,
    sites: Vec<String>,
}

/// A server on the Internet of the neighbourhood.
#[derive(Debug)]
pub struct Site {
    /// Its name, which programs on all hosts can look up.
    pub name: String,
    /// The host.
    pub host: Host,
    number: usize,
}

/// Its hosts. Removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Neighbourhood {
    desktop: Host,
    router: Option<Host>,
    neighbours: Vec<Host>,
    sites: Vec<Site>,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Plan {
    /// Names of namespaces begin so, instead of in a way that nobody else has: for people who
    /// want to type them. What an earlier neighbourhood of that name left behind is removed.
    pub fn called(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// A router between the LAN and the Internet, which hides the LAN behind its own address.
    pub fn behind_a_router(mut self) -> Self {
        self.has_router = true;
        self
    }

    /// Another host on the LAN.
    pub fn beside_a_neighbour(mut self, name: &str) -> Self {
        self.neighbours.push(name.to_owned());
        self
    }

    /// A server on the Internet, with a name.
    pub fn and_a_site(mut self, name: &str) -> Self {
        self.sites.push(name.to_owned());
        self
    }

    /// Makes all of it, and waits until the cables carry packets.
    ///
    /// # Panics
    /// Without root, when a program or kernel feature is missing, or where sites have no router before them.
    pub fn built(self) -> Neighbourhood {
        assert!(self.has_router || self.sites.is_empty(), "sites are reached through a router");
        assert!(self.sites.len() <= MOST && self.neighbours.len() <= MOST, "too many hosts");
        let (alone, own) = alone();
        let prefix = self.name.unwrap_or(own);
        remove_earlier(&prefix);
        let host = |name: &str| {
            let host = Host::new(name, format!("{prefix}-{name}"));
            host.sysctl("net/ipv6/conf/default/accept_dad", "0");
            host.ip("link set lo up\n");
            host
        };
        let folder = TempDir::with_prefix("seawall-names-")
            .unwrap_or_else(|error| panic!("can't make a temporary folder: {error}"));
        let sites = self.sites.iter().enumerate().map(|(number, name)| {
            let (first, _) = name.split_once('.').unwrap_or((name, ""));
            Site { name: name.clone(), host: host(first), number }
        });
        let place = Neighbourhood {
            desktop: host("desktop"),
            router: self.has_router.then(|| host("router")),
            neighbours: self.neighbours.iter().map(|name| host(name)).collect(),
            sites: sites.collect(),
            folder,
            _alone: alone,
        };
        place.write_names();
        place.lay_cables();
        for host in place.hosts() {
            eventually("IPv6 is up on all cables", CABLES_UP, || host.is_up());
        }
        place
    }
}

impl Neighbourhood {
    /// Begins the sentence.
    pub fn with_a_desktop() -> Plan {
        Plan::default()
    }

    /// Where Seawall runs.
    pub fn desktop(&self) -> &Host {
        &self.desktop
    }

    /// The router.
    #[track_caller]
    pub fn router(&self) -> &Host {
        self.router.as_ref().unwrap_or_else(|| panic!("nobody asked for a router"))
    }

    /// A neighbour, by name.
    #[track_caller]
    pub fn neighbour(&self, name: &str) -> &Host {
        let found = self.neighbours.iter().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("there is no neighbour {name}"))
    }

    /// A site, by name.
    #[track_caller]
    pub fn site(&self, name: &str) -> &Site {
        let found = self.sites.iter().find(|site| site.name == name);
        found.unwrap_or_else(|| panic!("there is no site {name}"))
    }

    /// Address of the desktop on the LAN.
    pub fn desktop_address(family: Family) -> IpAddr {
        lan(2, family)
    }

    /// Address of the router on the LAN.
    pub fn router_address(family: Family) -> IpAddr {
        lan(1, family)
    }

    /// Address of a neighbour on the LAN, by name.
    #[track_caller]
    pub fn neighbour_address(&self, name: &str, family: Family) -> IpAddr {
        let number = self.neighbours.iter().position(|host| host.name() == name);
        lan(number.unwrap_or_else(|| panic!("there is no neighbour {name}")) + 10, family)
    }

    /// The file that names sites, in the form of `/etc/hosts`.
    pub fn names(&self) -> std::path::PathBuf {
        self.folder.path().join("hosts")
    }

    /// A program that will run on a host and can look up the names of all sites.
    pub fn command(&self, host: &Host, program: &str) -> Command {
        let mut command = host.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-ec", WITH_NAMES, "sh"]);
        command.arg(self.names()).arg(program);
        command
    }

    /// Starts such a program.
    pub fn start(&self, host: &Host, program: &str, arguments: &[&str]) -> Running {
        Running::start(self.command(host, program).args(arguments))
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        let sites = self.sites.iter().map(|site| &site.host);
        std::iter::once(&self.desktop).chain(&self.router).chain(&self.neighbours).chain(sites)
    }

    fn write_names(&self) {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for site in &self.sites {
            for family in Family::BOTH {
                text.push_str(&format!("{} {}\n", site.address(family), site.name));
            }
        }
        let file = self.names();
        std::fs::write(&file, text)
            .unwrap_or_else(|error| panic!("can't write {}: {error}", file.display()));
    }

    /// The router's two bridges are the switches; without a router, the LAN is one cable to the first neighbour.
    fn lay_cables(&self) {
        let Some(router) = &self.router else {
            if let [neighbour] = self.neighbours.as_slice() {
                World::cable((&self.desktop, "lan"), (neighbour, "lan"));
                give(&self.desktop, "lan", |family| lan(2, family));
                give(neighbour, "lan", |family| lan(10, family));
            } else {
                assert!(self.neighbours.is_empty(), "several neighbours need a router");
            }
            return;
        };
        router.ip(
            "link add lan type bridge\nlink set lan up\nlink add internet type bridge\nlink set internet up\n",
        );
        give(router, "lan", |family| lan(1, family));
        give(router, "internet", |family| internet(1, family));
        let homes = std::iter::once((2, &self.desktop));
        let homes = homes.chain((10..).zip(&self.neighbours));
        for (number, host) in homes {
            self.plug(host, "lan", &format!("lan{number}"), |family| lan(number, family));
            for (family, everywhere) in [(Family::V4, "0.0.0.0/0"), (Family::V6, "::/0")] {
                host.ip(&format!("route add {everywhere} via {}\n", lan(1, family)));
            }
        }
        // They know no way to the LAN: they answer the router.
        for site in &self.sites {
            let port = format!("net{}", site.number);
            self.plug(&site.host, "internet", &port, |family| site.address(family));
        }
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv6/conf/all/forwarding", "1");
        let bridged = "net/bridge/bridge-nf-call-iptables";
        if Path::new("/proc/sys").join(bridged).exists() {
            router.sysctl(bridged, "0");
        }
        for program in ["iptables-nft", "ip6tables-nft"] {
            let rule = ["POSTROUTING", "-o", "internet", "-j", "MASQUERADE"];
            router.run(program, &[&["-w", "5", "-t", "nat", "-A"][..], &rule].concat());
        }
    }

    /// A cable from a host to a port of one of the router's bridges, with addresses.
    fn plug(&self, host: &Host, bridge: &str, port: &str, address: impl Fn(Family) -> IpAddr) {
        let router = self.router();
        World::cable((host, bridge), (router, port));
        router.ip(&format!("link set {port} master {bridge}\n"));
        give(host, bridge, address);
    }
}

impl Site {
    /// Its address, whose scope is the Internet.
    pub fn address(&self, family: Family) -> IpAddr {
        internet(self.number + 10, family)
    }

    /// An end of it.
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }
}

fn give(host: &Host, interface: &str, address: impl Fn(Family) -> IpAddr) {
    let [v4, v6] = Family::BOTH.map(address);
    host.ip(&format!("addr add {v4}/24 dev {interface}\naddr add {v6}/64 dev {interface} nodad\n"));
}

fn lan(number: usize, family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([192, 168, 7, number as u8]),
        Family::V6 => IpAddr::from([0xfd77, 7, 0, 0, 0, 0, 0, number as u16]),
    }
}

fn internet(number: usize, family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([45, 77, 7, number as u8]),
        Family::V6 => IpAddr::from([0x2a77, 7, 0, 0, 0, 0, 0, number as u16]),
    }
}

/// Namespaces that a neighbourhood of this name left behind.
fn remove_earlier(prefix: &str) {
    let listed = run(Command::new("ip").args(["netns", "list"])).stdout;
    let beginning = format!("{prefix}-");
    let names = listed.lines().filter_map(|line| line.split_ascii_whitespace().next());
    names.filter(|name| name.starts_with(&beginning)).for_each(remove_namespace);
}
