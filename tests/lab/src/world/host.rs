//! One host: a network namespace, the programs in it and the sockets of tests in it.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Running, run, run_ok, run_with_input};

/// A network namespace with a name.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: String,
}

impl Host {
    pub(crate) fn new(name: &str, namespace: String) -> Self {
        run_ok(Command::new("ip").args(["netns", "add", &namespace]));
        Self { name: name.to_owned(), namespace }
    }

    /// What it is called: `desk`, say.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace's name for `ip netns`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A program that will run here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg("--").arg(program);
        command
    }

    /// Starts a program here.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Running {
        Running::start(self.command(program).args(arguments))
    }

    /// Runs a program here to its end; panics unless it ends well.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        run_ok(self.command(program).args(arguments))
    }

    /// Runs `iptables-restore` of a flavour here (`iptables-nft`, `ip6tables-legacy`…), keeping what is there.
    #[track_caller]
    pub fn restore(&self, flavour: &str, rules: &str) {
        let program = format!("{flavour}-restore");
        let finished = run_with_input(self.command(&program).args(["--noflush", "-w", "5"]), rules);
        assert!(finished.ok(), "{program} failed: {}\nin:\n{rules}", finished.stderr);
    }

    /// Everything that the host's packet filters hold, all flavours and families.
    pub fn filters(&self) -> String {
        let mut text = String::new();
        for program in [
            "iptables-legacy-save",
            "ip6tables-legacy-save",
            "iptables-nft-save",
            "ip6tables-nft-save",
        ] {
            text.push_str(&run(&mut self.command(program)).stdout);
        }
        text.push_str(&run(self.command("nft").args(["list", "ruleset"])).stdout);
        text
    }

    /// The connection-tracking table, both families, with labels and marks.
    pub fn conntrack(&self) -> String {
        let list = |family| {
            run(self.command("conntrack").args(["-L", "-o", "extended,labels", "-f", family]))
                .stdout
        };
        list("ipv4") + &list("ipv6")
    }

    /// Runs `ip -batch` here.
    pub fn ip(&self, batch: &str) {
        let finished = run_with_input(self.command("ip").args(["-batch", "-"]), batch);
        assert!(finished.ok(), "ip failed in {}: {}\nin:\n{batch}", self.name, finished.stderr);
    }

    /// Sets a value under `/proc/sys`.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{name}");
        self.inside(|| {
            std::fs::write(&path, value)
                .unwrap_or_else(|error| panic!("can't set {path}: {error}"));
        });
    }

    /// Spreads incoming packets over the processors by flow (receive packet
    /// steering, Documentation/networking/scaling.rst in the kernel's source).
    pub(crate) fn steer_flows(&self) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(32);
        let mask = format!("{:x}", u32::MAX >> (32 - processors));
        // `ip netns exec` mounts the /sys that shows this namespace's interfaces.
        let script = format!(
            "for queue in /sys/class/net/*/queues/rx-0/rps_cpus; do\n\
                 case $queue in */lo/*) continue;; esac\n\
                 echo {mask} > $queue || exit 1\n\
             done"
        );
        run_ok(Command::new("ip").args(["netns", "exec", &self.namespace, "sh", "-ec", &script]));
    }

    /// Whether every interface but loopback has a link-local address that is ready for use,
    /// without which the kernel answers no neighbour solicitation.
    pub(crate) fn is_up(&self) -> bool {
        const TENTATIVE: u32 = 0x40;
        let text = self.run("cat", &["/proc/net/if_inet6"]);
        let columns: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        let ready = |interface: &str| {
            columns.iter().any(|column| {
                column.len() == 6
                    && column[5] == interface
                    && column[0].starts_with("fe80")
                    && u32::from_str_radix(column[4], 16).is_ok_and(|flags| flags & TENTATIVE == 0)
            })
        };
        columns.iter().filter_map(|column| column.last()).all(|name| *name == "lo" || ready(name))
    }

    /// Does something on a thread that lives here. Sockets made there stay here.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file =
                    File::open(&path).unwrap_or_else(|error| panic!("can't open {path}: {error}"));
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap_or_else(|error| panic!("can't enter {path}: {error}"));
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Connects from here.
    pub fn connect(&self, to: SocketAddr, within: Duration) -> std::io::Result<TcpStream> {
        self.inside(|| TcpStream::connect_timeout(&to, within))
    }

    /// Listens here, on a port of the kernel's choice for port 0.
    pub fn listen(&self, on: SocketAddr) -> TcpListener {
        self.inside(|| TcpListener::bind(on))
            .unwrap_or_else(|error| panic!("can't listen on {on} in {}: {error}", self.name))
    }

    /// A datagram socket here, for receiving with a time-out.
    pub fn datagrams(&self, on: SocketAddr) -> UdpSocket {
        self.inside(|| UdpSocket::bind(on))
            .unwrap_or_else(|error| panic!("can't bind {on} in {}: {error}", self.name))
    }

    /// An address of any port, for binding.
    pub fn any(address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, 0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "delete", &self.namespace]));
    }
}
