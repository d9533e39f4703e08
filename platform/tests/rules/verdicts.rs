//! What becomes of packets: labels, marks, rejects, silence, always-passing traffic.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use seawall_messages::Hook;
use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::conntrack::Conntrack;
use seawall_platform::linux::layout::{Epoch, MarkAction, QueueKind, label};
use seawall_platform::linux::rules::Backend;

use super::host::Host;
use super::socket::{join_group, set_mark};
use super::wait::eventually;
use super::{apply, backends, install, iptables, judge, standing, temporary};

const FAMILIES: [&str; 2] = ["10.9.0.2", "fd09::2"];

fn server(host: &Host, address: &str) -> (TcpListener, SocketAddr) {
    let address = address.parse().expect("an address");
    let listener = host.on(|| TcpListener::bind(SocketAddr::new(address, 0)).expect("to listen"));
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn connect(host: &Host, to: SocketAddr) -> std::io::Result<TcpStream> {
    host.on(|| TcpStream::connect_timeout(&to, Duration::from_secs(3)))
}

/// Sends a byte to and fro.
fn echo(client: &mut TcpStream, server: &mut TcpStream) {
    for _ in 0..5 {
        client.write_all(b"x").expect("to send");
        server.read_exact(&mut [0]).expect("to receive");
        server.write_all(b"y").expect("to answer");
        client.read_exact(&mut [0]).expect("the answer");
    }
}

/// Waits for a datagram, five seconds.
fn receive(socket: &UdpSocket) -> SocketAddr {
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("to set a time limit");
    loop {
        match socket.recv_from(&mut [0; 8]) {
            Ok((_, from)) => return from,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no datagram came: {error}"),
        }
    }
}

#[test]
fn a_standing_allow_leaves_the_queue_and_a_temporary_one_does_not() {
    for backend in backends() {
        for mode in [Mode::Open, Mode::Lockdown] {
            for address in FAMILIES {
                let (host, peer) = Host::pair();
                let _rules = install(&host, backend, mode);
                let judge = judge(&host, standing(MarkAction::Allow));
                let (listener, at) = server(&peer, address);

                let mut client = connect(&host, at).unwrap();
                let mut accepted = listener.accept().unwrap().0;
                echo(&mut client, &mut accepted);
                let seen = judge.seen();
                assert_eq!(seen.len(), 1, "{backend} {address}: {seen:?}");
                assert_eq!(
                    (seen[0].queue.kind, seen[0].queue.hook),
                    (QueueKind::New, Hook::Output)
                );

                judge.set(temporary(MarkAction::Allow));
                let mut client = connect(&host, at).unwrap();
                let mut accepted = listener.accept().unwrap().0;
                echo(&mut client, &mut accepted);
                let counts = judge.counts();
                assert_eq!(counts[&QueueKind::New], 1, "{backend} {mode:?} {address}: {counts:?}");
                assert!(counts[&QueueKind::RestOriginal] >= 5, "{counts:?}");
                assert!(counts[&QueueKind::RestReply] >= 5, "{counts:?}");

                // The other way round, an inbound connection.
                judge.set(standing(MarkAction::Allow));
                let inbound = address.replace("9.0.2", "9.0.1").replace("::2", "::1");
                let (listener, at) = server(&host, &inbound);
                drop((client, accepted));
                let mut client = connect(&peer, at).unwrap();
                let mut accepted = listener.accept().unwrap().0;
                echo(&mut client, &mut accepted);
                let new = judge.seen().into_iter().filter(|seen| seen.queue.kind == QueueKind::New);
                assert_eq!(new.map(|seen| seen.queue.hook).collect::<Vec<_>>(), [Hook::Input]);
            }
        }
    }
}

#[test]
fn a_reject_is_told_at_once_and_a_drop_is_silent() {
    for backend in backends() {
        for address in FAMILIES {
            let (host, peer) = Host::pair();
            let _rules = install(&host, backend, Mode::Open);
            let judge = judge(&host, standing(MarkAction::Reject));
            let (_listener, at) = server(&peer, address);
            let start = Instant::now();
            let error = connect(&host, at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{backend} {address}");
            assert!(start.elapsed() < Duration::from_secs(1));

            let udp = host.on(|| UdpSocket::bind((unspecified(address), 0)).unwrap());
            udp.connect(at).unwrap();
            eventually("the error of a rejected datagram", || udp.send(b"x").is_err());

            judge.set(standing(MarkAction::Drop));
            let silent = host.on(|| TcpStream::connect_timeout(&at, Duration::from_millis(300)));
            assert_eq!(silent.unwrap_err().kind(), ErrorKind::TimedOut, "{backend} {address}");
        }
    }
}

fn unspecified(address: &str) -> &'static str {
    if address.contains(':') { "::" } else { "0.0.0.0" }
}

#[test]
fn an_inbound_reject_reaches_the_other_end() {
    for backend in backends() {
        for address in ["10.9.0.1", "fd09::1"] {
            let (host, peer) = Host::pair();
            let _rules = install(&host, backend, Mode::Open);
            let _judge = judge(&host, standing(MarkAction::Reject));
            let (_listener, at) = server(&host, address);
            let error = connect(&peer, at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{backend} {address}");
        }
    }
}

#[test]
fn rejects_that_cannot_stand_are_dropped_and_never_let_through() {
    for backend in backends() {
        let (host, peer) = Host::pair();
        let mut rules = install(&host, backend, Mode::Open);
        let judge = judge(&host, temporary(MarkAction::Reject));
        let (_listener, at) = server(&peer, FAMILIES[0]);
        let attempt = || host.on(|| TcpStream::connect_timeout(&at, Duration::from_millis(200)));
        for late in [temporary(MarkAction::Reject), temporary(MarkAction::Drop)] {
            judge.set(late);
            assert_eq!(attempt().unwrap_err().kind(), ErrorKind::TimedOut, "{late:?}");
        }
        // Verdicts of an epoch that is over.
        apply(&host, &mut rules, Epoch::FIRST.next(), Mode::Open);
        for late in [standing(MarkAction::Reject), standing(MarkAction::Drop)] {
            judge.set(late);
            assert_eq!(attempt().unwrap_err().kind(), ErrorKind::TimedOut, "{late:?}");
        }
    }
}

#[test]
fn a_verdict_of_an_old_epoch_no_longer_counts() {
    for backend in backends() {
        for address in FAMILIES {
            let (host, peer) = Host::pair();
            let mut rules = install(&host, backend, Mode::Open);
            let judge = judge(&host, standing(MarkAction::Allow));
            let (listener, at) = server(&peer, address);
            let mut client = connect(&host, at).unwrap();
            let mut accepted = listener.accept().unwrap().0;
            echo(&mut client, &mut accepted);
            assert_eq!(judge.seen().len(), 1);

            let second = Epoch::FIRST.next();
            apply(&host, &mut rules, second, Mode::Open);
            judge.set(super::Judgement { action: MarkAction::Allow, standing: Some(second) });
            echo(&mut client, &mut accepted);
            assert!(!judge.seen().is_empty(), "{backend} {address}: judged anew");
            echo(&mut client, &mut accepted);
            assert!(judge.seen().is_empty(), "{backend} {address}: and once only");

            // What the new epoch forbids ends a connection that the old one allowed.
            let third = second.next();
            apply(&host, &mut rules, third, Mode::Open);
            judge.set(super::Judgement { action: MarkAction::Reject, standing: Some(third) });
            client.write_all(b"x").unwrap();
            let outcome = client.read(&mut [0]);
            assert_eq!(
                outcome.unwrap_err().kind(),
                ErrorKind::ConnectionReset,
                "{backend} {address}"
            );
        }
    }
}

#[test]
fn own_traffic_passes_by_group_and_mark_only() {
    let layout = Layout::default();
    let own = 7 << layout.mark_shift;
    for backend in backends() {
        for (marked, with_group, queued) in [(true, true, 0), (true, false, 1), (false, true, 1)] {
            let (host, peer) = Host::pair();
            let _rules = install(&host, backend, Mode::Lockdown);
            let judge = judge(&host, standing(MarkAction::Allow));
            let receiver = peer.on(|| UdpSocket::bind("10.9.0.2:0").unwrap());
            let sender = host.on(|| {
                if with_group {
                    join_group(layout.own_gid);
                }
                UdpSocket::bind("10.9.0.1:0").unwrap()
            });
            if marked {
                set_mark(&sender, own);
            }
            sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
            receiver.send_to(b"y", receive(&receiver)).unwrap();
            receive(&sender);
            assert_eq!(judge.seen().len(), queued, "{backend} {marked} {with_group}");
            let entries = host.on(|| Conntrack::open().unwrap().list().unwrap());
            let own_label = 1 << label(&layout, MarkAction::Own, Epoch::FIRST);
            let labelled = entries.iter().any(|entry| entry.labels.unwrap_or(0) & own_label != 0);
            assert_eq!(labelled, queued == 0, "{entries:?}");
        }
    }
}

#[test]
fn loopback_is_judged_only_if_wanted_and_never_cut() {
    for backend in backends() {
        for mode in [Mode::Open, Mode::Lockdown] {
            let host = Host::new();
            let mut rules = install(&host, backend, mode);
            for address in ["127.0.0.1", "::1"] {
                let (_listener, at) = server(&host, address);
                let judge = judge(&host, standing(MarkAction::Drop));
                connect(&host, at).unwrap();
                assert!(judge.seen().is_empty());
            }
            let mut wanted = super::wanted(Epoch::FIRST, mode);
            wanted.judge_loopback = true;
            host.on(|| rules.apply(&wanted).unwrap());
            for address in ["127.0.0.1", "::1"] {
                let (_listener, at) = server(&host, address);
                connect(&host, at).expect("loopback lives without anybody to judge it");
                let judge = judge(&host, standing(MarkAction::Reject));
                let error = connect(&host, at).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                assert!(!judge.seen().is_empty());
            }
        }
    }
}

#[test]
fn without_a_reader_open_passes_and_lockdown_drops_new_flows_only() {
    for backend in backends() {
        for address in FAMILIES {
            for mode in [Mode::Open, Mode::Lockdown] {
                let (host, peer) = Host::pair();
                let _rules = install(&host, backend, mode);
                let (listener, at) = server(&peer, address);
                let judge = judge(&host, standing(MarkAction::Allow));
                let mut client = connect(&host, at).unwrap();
                let mut accepted = listener.accept().unwrap().0;
                drop(judge);
                echo(&mut client, &mut accepted);
                let new = host.on(|| TcpStream::connect_timeout(&at, Duration::from_millis(500)));
                assert_eq!(new.is_ok(), mode == Mode::Open, "{backend} {address} {mode:?}");
            }
        }
    }
}

#[test]
fn the_lockdown_backstop_catches_what_foreign_rules_let_past_our_judgement() {
    for backend in backends() {
        let (host, peer) = Host::pair();
        let _rules = install(&host, backend, Mode::Lockdown);
        let (_listener, at) = server(&peer, FAMILIES[0]);
        let _judge = judge(&host, standing(MarkAction::Allow));
        connect(&host, at).unwrap();
        host.run(&format!("{} -t mangle -I OUTPUT 1 -j ACCEPT", iptables(backend)));
        host.run(&format!("{} -t filter -I OUTPUT 1 -j ACCEPT", iptables(backend)));
        // With nft nothing gets past: an accept in another table cuts none of our chains short.
        if backend == Backend::Nft {
            connect(&host, at).unwrap();
            continue;
        }
        let past = host.on(|| TcpStream::connect_timeout(&at, Duration::from_millis(300)));
        assert_eq!(past.unwrap_err().kind(), ErrorKind::TimedOut, "{backend}");
    }
}

#[test]
fn neighbours_are_found_in_lockdown_with_nobody_there() {
    for backend in backends() {
        let (host, peer) = Host::pair();
        let _rules = install(&host, backend, Mode::Lockdown);
        host.run("ip -6 neigh flush dev cable");
        // The first packet asks for the neighbour; it itself is dropped, so ask by hand.
        host.run("ip -6 neigh add fd09::2 dev cable nud none");
        peer.run("ip -6 neigh flush dev cable");
        peer.try_run("ping -6 -c 1 -W 1 fd09::1");
        let neighbours = peer.run("ip -6 neigh show fd09::1");
        assert!(neighbours.contains("lladdr"), "{backend}: {neighbours}");
    }
}

#[test]
fn flows_older_than_the_rules_live_on_in_lockdown() {
    for backend in backends() {
        let (host, peer) = Host::pair();
        // Connection tracking in use, but no room for labels.
        host.run(&format!("{} -A INPUT -m conntrack --ctstate ESTABLISHED", iptables(backend)));
        let receiver = peer.on(|| UdpSocket::bind("10.9.0.2:0").unwrap());
        let sender = host.on(|| UdpSocket::bind("10.9.0.1:0").unwrap());
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        sender.send(b"x").unwrap();
        receive(&receiver);
        let (listener, at) = server(&peer, FAMILIES[0]);
        let mut client = connect(&host, at).unwrap();
        let mut accepted = listener.accept().unwrap().0;

        let _rules = install(&host, backend, Mode::Lockdown);
        let judge = judge(&host, standing(MarkAction::Allow));
        sender.send(b"x").unwrap();
        receive(&receiver);
        echo(&mut client, &mut accepted);
        let counts = judge.counts();
        assert!(counts[&QueueKind::RestOriginal] > 0, "no room for a label: {counts:?}");
    }
}
