//! Network namespaces for tests: a host under test, a peer, and a client behind the host.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::wait::uninterrupted;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Which namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the rules are.
    Host,
    /// Beyond the host's first interface.
    Peer,
    /// Beyond the host's second one; reaches the peer only through the host.
    Client,
}

/// Three namespaces, gone with this value.
pub(crate) struct Net {
    prefix: String,
}

impl Net {
    /// Makes them. Fails the test where that isn't allowed.
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces and needs to run as root"
        );
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let net = Self { prefix: format!("swq{}-{number}", std::process::id()) };
        for place in [Place::Host, Place::Peer, Place::Client] {
            run(&format!("ip netns add {}", net.name(place)));
            // Addresses are good at once: until they are, nobody answers for them.
            net.run_in(place, "sysctl -qw net.ipv6.conf.default.accept_dad=0");
            run(&format!("ip -n {} link set lo up", net.name(place)));
        }
        net.join("peer0", Place::Peer, "10.77.1", "fd77:1::");
        net.join("client0", Place::Client, "10.77.2", "fd77:2::");
        net.run_in(Place::Host, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        for place in [Place::Peer, Place::Client] {
            let net_number = if place == Place::Peer { 1 } else { 2 };
            let name = net.name(place);
            run(&format!("ip -n {name} route add default via 10.77.{net_number}.1"));
            run(&format!("ip -n {name} route add default via fd77:{net_number}::1"));
        }
        net
    }

    fn join(&self, interface: &str, place: Place, v4: &str, v6: &str) {
        let (host, other) = (self.name(Place::Host), self.name(place));
        run(&format!("ip -n {host} link add {interface} type veth peer name up0 netns {other}"));
        for (name, interface, last) in [(&host, interface, 1), (&other, "up0", 2)] {
            run(&format!("ip -n {name} addr add {v4}.{last}/24 dev {interface}"));
            run(&format!("ip -n {name} addr add {v6}{last}/64 dev {interface} nodad"));
            run(&format!("ip -n {name} link set {interface} up"));
        }
    }

    fn name(&self, place: Place) -> String {
        format!("{}{}", self.prefix, format!("{place:?}").to_lowercase())
    }

    /// Does something inside a namespace, in a thread of its own.
    pub(crate) fn inside<T: Send>(&self, place: Place, what: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(self.name(place));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = std::fs::File::open(path).expect("the namespace is there");
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(LinkNameSpaceType::Network),
                )
                .expect("root may enter a namespace");
                what()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs a command inside a namespace.
    pub(crate) fn run_in(&self, place: Place, command: &str) {
        self.inside(place, || run(command));
    }

    /// A UDP socket bound inside a namespace, with room for many datagrams.
    pub(crate) fn udp(&self, place: Place, address: SocketAddr) -> UdpSocket {
        let socket = self.inside(place, || UdpSocket::bind(address)).expect("a UDP socket");
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 32 << 20)
            .expect("root may size buffers");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in [Place::Host, Place::Peer, Place::Client] {
            // Best effort: a namespace that was never made can't be deleted.
            let _ = Command::new("ip").args(["netns", "del", &self.name(place)]).output();
        }
    }
}

/// The address of a place as seen on the link between it and the host.
pub(crate) fn address(place: Place, v6: bool) -> IpAddr {
    let text = match (place, v6) {
        (Place::Host, false) => "10.77.1.1",
        (Place::Peer, false) => "10.77.1.2",
        (Place::Client, false) => "10.77.2.2",
        (Place::Host, true) => "fd77:1::1",
        (Place::Peer, true) => "fd77:1::2",
        (Place::Client, true) => "fd77:2::2",
    };
    text.parse().expect("an address")
}

/// Runs a command; the test fails with its words if it does.
pub(crate) fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The next datagram's text.
pub(crate) fn next_text(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let length = uninterrupted(|| socket.recv(&mut buffer)).expect("a datagram in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}
