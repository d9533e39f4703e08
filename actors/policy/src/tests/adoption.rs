//! What is adopted of the sockets that are found.

use std::net::SocketAddr;

use seawall_messages::policy::AdoptedEntry;
use seawall_messages::{Flow, Protocol};

use crate::adopt::{FoundSocket, MAX_ADOPTED, Role, adopt, ended};

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

pub(super) fn listener(protocol: Protocol, local: &str) -> FoundSocket {
    FoundSocket { protocol, local: end(local), role: Role::Listener { only_v6: false } }
}

pub(super) fn session(local: &str, remote: &str) -> FoundSocket {
    let role = Role::Session { remote: end(remote) };
    FoundSocket { protocol: Protocol::TCP, local: end(local), role }
}

/// Entries as text, in the order of their ids.
fn adopted(sockets: &[FoundSocket]) -> Vec<String> {
    let entries = adopt(sockets);
    for (id, entry) in (1..).zip(&entries) {
        assert_eq!(entry.id, id);
    }
    let show = |entry: &AdoptedEntry| match entry {
        AdoptedEntry::Listener { protocol, address, port } => {
            format!("{protocol} {}", SocketAddr::new(*address, *port))
        }
        AdoptedEntry::Session { flow } => flow.to_string(),
    };
    entries.iter().map(|entry| show(&entry.what)).collect()
}

#[test]
fn listeners_that_others_can_reach_are_adopted() {
    let only_v6 = Role::Listener { only_v6: true };
    let cases: &[(&[FoundSocket], &[&str])] = &[
        (&[], &[]),
        (&[listener(Protocol::TCP, "0.0.0.0:22")], &["TCP 0.0.0.0:22"]),
        (&[listener(Protocol::UDP, "192.168.1.5:51820")], &["UDP 192.168.1.5:51820"]),
        (&[listener(Protocol::TCP, "127.0.0.1:631")], &[]),
        (&[listener(Protocol::TCP, "[::1]:631")], &[]),
        (&[listener(Protocol::TCP, "[::ffff:127.0.0.1]:631")], &[]),
        (&[listener(Protocol::TCP, "[::ffff:10.0.0.1]:80")], &["TCP 10.0.0.1:80"]),
        // One socket, both families.
        (&[listener(Protocol::TCP, "[::]:22")], &["TCP 0.0.0.0:22", "TCP [::]:22"]),
        (&[FoundSocket { role: only_v6, ..listener(Protocol::TCP, "[::]:22") }], &["TCP [::]:22"]),
        // Several sockets on one port (SO_REUSEPORT) are one service.
        (
            &[listener(Protocol::TCP, "0.0.0.0:80"), listener(Protocol::TCP, "0.0.0.0:80")],
            &["TCP 0.0.0.0:80"],
        ),
    ];
    for (sockets, expected) in cases {
        assert_eq!(adopted(sockets), *expected, "{sockets:?}");
    }
}

#[test]
fn connections_are_adopted_with_their_direction() {
    let sockets = [
        listener(Protocol::TCP, "[::]:22"),
        listener(Protocol::TCP, "10.0.0.1:443"),
        listener(Protocol::UDP, "0.0.0.0:8443"),
        session("[::ffff:192.168.1.5]:22", "[::ffff:192.168.1.9]:40000"),
        session("[2001:db8::5]:22", "[2001:db8::9]:40000"),
        session("192.168.1.5:443", "192.168.1.9:40000"),
        session("192.168.1.5:8443", "192.168.1.9:40000"),
        session("127.0.0.1:22", "127.0.0.1:50000"),
        session("127.0.0.1:50000", "127.0.0.1:22"),
    ];
    assert_eq!(
        adopted(&sockets)[4..],
        [
            "outbound TCP 192.168.1.5:443 > 192.168.1.9:40000",
            "outbound TCP 192.168.1.5:8443 > 192.168.1.9:40000",
            "inbound TCP 192.168.1.9:40000 > 192.168.1.5:22",
            "inbound TCP [2001:db8::9]:40000 > [2001:db8::5]:22",
            // Its connections with itself last: the first to go without.
            "outbound TCP 127.0.0.1:50000 > 127.0.0.1:22",
            "inbound TCP 127.0.0.1:50000 > 127.0.0.1:22",
        ]
    );
}

#[test]
fn adoption_is_bounded_and_takes_listeners_first() {
    let sockets: Vec<FoundSocket> = (0..MAX_ADOPTED + 10)
        .map(|index| session(&format!("10.0.{}.{}:1000", index / 256, index % 256), "9.9.9.9:443"))
        .chain([listener(Protocol::TCP, "0.0.0.0:22")])
        .collect();
    let entries = adopt(&sockets);
    assert_eq!(entries.len(), MAX_ADOPTED);
    assert!(matches!(entries[0].what, AdoptedEntry::Listener { port: 22, .. }));
}

#[test]
fn connections_that_ended_are_found() {
    let ssh = listener(Protocol::TCP, "0.0.0.0:22");
    let inbound = session("192.168.1.5:22", "192.168.1.9:40000");
    let outbound = session("192.168.1.5:50000", "9.9.9.9:443");
    let entries = adopt(&[ssh, inbound, outbound]);
    let flows = |ids: &[u32]| -> Vec<Flow> {
        let by_id = |id: &u32| entries.iter().find(|entry| entry.id == *id).map(|it| &it.what);
        ids.iter()
            .filter_map(by_id)
            .filter_map(|what| match what {
                AdoptedEntry::Session { flow } => Some(*flow),
                AdoptedEntry::Listener { .. } => None,
            })
            .collect()
    };
    assert!(ended(&entries, &[ssh, inbound, outbound]).is_empty());
    // The server was stopped, its connection lives.
    assert!(ended(&entries, &[inbound, outbound]).is_empty());
    let gone = flows(&ended(&entries, &[ssh, outbound]));
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].to_string(), "inbound TCP 192.168.1.9:40000 > 192.168.1.5:22");
    assert_eq!(ended(&entries, &[]).len(), 2, "listeners stay until they are removed");
}
