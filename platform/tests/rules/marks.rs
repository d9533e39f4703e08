//! Foreign marks pass unchanged, and none skips judgement, whoever sets it and wherever.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::conntrack::Conntrack;
use seawall_platform::linux::layout::{Epoch, MarkAction, label};
use seawall_platform::linux::rules::Backend;

use super::host::Host;
use super::socket::set_mark;
use super::wait::{eventually, uninterrupted};
use super::{backends, install, iptables, judge, standing, temporary};

/// Sender, receiver, and where somebody else marks packets after the rules
/// that take our flag from packets which come with it. With a foreign ACCEPT,
/// or in `nat`, no rule of ours follows before our judgement.
const WAYS: [(&str, &str, &str, &str, bool); 5] = [
    ("10.9.0.1:0", "10.9.0.2:0", "raw", "OUTPUT", false),
    ("10.9.0.1:0", "10.9.0.2:0", "raw", "OUTPUT", true),
    ("10.9.0.2:0", "10.9.0.1:0", "mangle", "PREROUTING", false),
    ("10.9.0.2:0", "10.9.0.1:0", "mangle", "PREROUTING", true),
    ("10.9.0.2:0", "10.9.0.1:0", "nat", "PREROUTING", true),
];

/// The sender's port that the first mark belongs to.
const FIRST_PORT: u16 = 20_000;

#[test]
fn no_value_that_a_foreign_rule_sets_skips_judgement() {
    for backend in backends() {
        for (from, to, table, chain, accepts) in WAYS {
            for mode in [Mode::Open, Mode::Lockdown] {
                let (host, peer) = Host::pair();
                restore(&host, iptables(backend), &every_top_byte(table, chain, accepts));
                let _rules = install(&host, backend, mode);
                let judge = judge(&host, temporary(MarkAction::Drop));
                let outbound = chain == "OUTPUT";
                let (sender, receiver) = if outbound { (&host, &peer) } else { (&peer, &host) };
                let receiver = receiver.on(|| UdpSocket::bind(to).unwrap());
                let to = receiver.local_addr().unwrap();
                for top in 0..=0xff {
                    send(sender, from, FIRST_PORT + top, to, &top.to_be_bytes());
                }
                // One more, for the judge may still be at the last one when it has seen all.
                send(sender, from, FIRST_PORT + 0x100, to, b"last");
                let mut seen = 0;
                eventually("every datagram in a queue", || {
                    seen += judge.seen().len();
                    seen >= 0x101
                });
                // Datagrams don't overtake each other here: one that got through comes before this.
                judge.set(standing(MarkAction::Allow));
                send(sender, from, FIRST_PORT + 0x101, to, b"last");
                receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut datagram = [0; 8];
                let length = uninterrupted(|| receiver.recv(&mut datagram)).expect("the last one");
                assert_eq!(&datagram[..length], b"last", "{backend} {table} {accepts} {mode:?}");
            }
        }
    }
}

/// Where foreign rules look at a packet's mark: behind ours in the very chain, and later.
const OUTBOUND: [(&str, &str); 3] =
    [("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("mangle", "POSTROUTING")];
const INBOUND: [(&str, &str); 2] = [("mangle", "INPUT"), ("filter", "INPUT")];

/// wg-quick, Mullvad, Tailscale, all bits that can come with a packet, and two
/// with our flag, which costs them the byte.
const MARKS: [(u32, u32); 7] = [
    (0xca6c, 0xca6c),
    (0x6d6f_6c65, 0x6d6f_6c65),
    (0x4_0000, 0x4_0000),
    (0x0100_0000, 0x0100_0000),
    (0x7fff_ffff, 0x7fff_ffff),
    (0x8100_0000, 0),
    (0xff00_0001, 1),
];

#[test]
fn marks_of_first_packets_are_seen_unchanged_behind_our_rules() {
    for backend in backends() {
        for mode in [Mode::Open, Mode::Lockdown] {
            for (mark, wanted) in MARKS {
                let what = format!("{backend} {mode:?} {mark:#x}");
                let (host, peer) = Host::pair();
                restore(&host, iptables(backend), &counting(&OUTBOUND, 9001, wanted));
                let _rules = install(&host, backend, mode);
                let judge = judge(&host, temporary(MarkAction::Allow));
                let to: SocketAddr = "10.9.0.2:9001".parse().unwrap();
                let receiver = peer.on(|| UdpSocket::bind(to).unwrap());
                let sender = host.on(|| UdpSocket::bind("10.9.0.1:0").unwrap());
                set_mark(&sender, mark);
                for (judgement, seen) in [
                    (temporary(MarkAction::Allow), 1),
                    (temporary(MarkAction::Allow), 1),
                    (standing(MarkAction::Allow), 1),
                    (standing(MarkAction::Drop), 0),
                ] {
                    judge.set(judgement);
                    sender.send_to(b"x", to).unwrap();
                    receive(&receiver);
                    let marks: Vec<_> = judge.seen().iter().map(|seen| seen.mark).collect();
                    assert_eq!(marks, vec![wanted; seen], "{what}");
                }
                for place in OUTBOUND {
                    assert_eq!(counted(&host, backend, place), 4, "{what} {place:?}");
                }
                assert_labelled_and_unmarked(&host, &what);
            }
        }
    }
}

#[test]
fn marks_that_arriving_packets_are_given_are_seen_unchanged_behind_our_rules() {
    for backend in backends() {
        for mode in [Mode::Open, Mode::Lockdown] {
            for (mark, wanted) in MARKS {
                let what = format!("{backend} {mode:?} {mark:#x}");
                let (host, peer) = Host::pair();
                let command = iptables(backend);
                host.run(&format!(
                    "{command} -t mangle -A PREROUTING -j MARK --set-mark {mark:#x}"
                ));
                restore(&host, command, &counting(&INBOUND, 9001, wanted));
                let _rules = install(&host, backend, mode);
                let judge = judge(&host, standing(MarkAction::Allow));
                let to: SocketAddr = "10.9.0.1:9001".parse().unwrap();
                let receiver = host.on(|| UdpSocket::bind(to).unwrap());
                let sender = peer.on(|| UdpSocket::bind("10.9.0.2:0").unwrap());
                for seen in [1, 0] {
                    sender.send_to(b"x", to).unwrap();
                    receive(&receiver);
                    let marks: Vec<_> = judge.seen().iter().map(|seen| seen.mark).collect();
                    assert_eq!(marks, vec![wanted; seen], "{what}");
                }
                for place in INBOUND {
                    assert_eq!(counted(&host, backend, place), 2, "{what} {place:?}");
                }
                assert_labelled_and_unmarked(&host, &what);
            }
        }
    }
}

/// The flow has a standing allow, and nobody touched its connection mark.
fn assert_labelled_and_unmarked(host: &Host, what: &str) {
    let entries = host.on(|| Conntrack::open().expect("a socket").list().expect("entries"));
    let mut flows = entries.iter().filter(|entry| entry.original.destination_port == 9001);
    let flow = flows.next().expect("the flow");
    let allow = 1 << label(&Layout::default(), MarkAction::Allow, Epoch::FIRST);
    assert_ne!(flow.labels.unwrap_or(0) & allow, 0, "{what}: {flow:?}");
    assert_eq!((flow.mark, flows.next()), (0, None), "{what}");
}

/// Rules that count datagrams of a port with exactly this mark.
fn counting(places: &[(&str, &str)], port: u16, mark: u32) -> String {
    let mut text = String::new();
    for (table, chain) in places {
        let mark = format!("-m mark --mark {mark:#x}");
        write!(text, "*{table}\n-A {chain} -p udp --dport {port} {mark}\nCOMMIT\n")
            .expect("a string");
    }
    text
}

/// What the rule of `counting` saw, which is the only one in its chain beside ours.
fn counted(host: &Host, backend: Backend, (table, chain): (&str, &str)) -> u32 {
    let list = host.run(&format!("{} -t {table} -nvxL {chain}", iptables(backend)));
    let rule = list.lines().find(|line| line.contains("dpt:9001")).expect("the rule");
    rule.split_whitespace().next().expect("a count").parse().expect("a number")
}

fn receive(socket: &UdpSocket) {
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    uninterrupted(|| socket.recv(&mut [0; 8])).expect("a datagram");
}

/// Rules that set each value of the byte where our bits lie.
fn every_top_byte(table: &str, chain: &str, accepts: bool) -> String {
    let mut text = format!("*{table}\n:THEIRS - [0:0]\n-A {chain} -p udp -j THEIRS\n");
    for top in 0..=0xff_u16 {
        let (port, mark) = (FIRST_PORT + top, u32::from(top) << 24);
        writeln!(text, "-A THEIRS -p udp --sport {port} -j MARK --set-mark {mark:#x}")
            .expect("a string");
    }
    if accepts {
        writeln!(text, "-A {chain} -p udp -j ACCEPT").expect("a string");
    }
    text + "COMMIT\n"
}

fn restore(host: &Host, command: &str, text: &str) {
    let status = host.on(|| {
        let mut child = Command::new(format!("{command}-restore"))
            .arg("--noflush")
            .stdin(Stdio::piped())
            .spawn()
            .expect("iptables is needed for this test");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("to write rules");
        child.wait().expect("its outcome")
    });
    assert!(status.success(), "{text}");
}

fn send(host: &Host, from: &str, port: u16, to: SocketAddr, datagram: &[u8]) {
    let mut from: SocketAddr = from.parse().expect("an address");
    from.set_port(port);
    let socket = host.on(|| UdpSocket::bind(from).expect("a socket"));
    socket.send_to(datagram, to).expect("to send");
}
