//! What waits in a packet queue outlives everything that is done to rules.

use std::net::UdpSocket;
use std::time::Duration;

use nfq::{Message, Queue, Verdict};
use seawall_messages::Hook;
use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::layout::{Epoch, MarkAction, QueueId, QueueKind, verdict_mark};
use seawall_platform::linux::rules::{Backend, Rules};

use super::host::Host;
use super::wait::{eventually, uninterrupted};
use super::{apply, backends, install};

const NEW: QueueId = QueueId { hook: Hook::Output, kind: QueueKind::New };

/// A reader of one queue that has taken a packet and not answered yet.
fn hold(host: &Host) -> (Queue, Message) {
    let mut queue = host.on(|| Queue::open().expect("a queue socket"));
    queue.bind(NEW.number(&Layout::default())).expect("to bind a queue");
    let sender = host.on(|| UdpSocket::bind("10.9.0.1:0").expect("a socket"));
    sender.send_to(b"held", "10.9.0.2:9000").expect("to send");
    queue.set_nonblocking(true);
    let mut received = None;
    eventually("a packet", || {
        received = queue.recv().ok();
        received.is_some()
    });
    let message = received.expect("a packet");
    assert_eq!(waiting(host), 1);
    (queue, message)
}

/// How many packets wait in the queue, as the kernel says (its third column).
fn waiting(host: &Host) -> u32 {
    let text = host.run("cat /proc/thread-self/net/netfilter/nfnetlink_queue");
    let number = NEW.number(&Layout::default()).to_string();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(&number));
    let line = line.expect("the queue");
    line.split_whitespace().nth(2).expect("a count").parse().expect("a number")
}

#[test]
fn a_held_packet_outlives_detection_and_a_change_of_epoch() {
    let layout = Layout::default();
    for backend in backends() {
        let (host, peer) = Host::pair();
        let mut rules = install(&host, backend, Mode::Open);
        let receiver = peer.on(|| UdpSocket::bind("10.9.0.2:9000").unwrap());
        let (mut queue, mut message) = hold(&host);
        for wanted in std::iter::once(None).chain(Backend::ALL.map(Some)) {
            // nft's own may not work here; what counts is what trying it does.
            let _ = host.on(|| Rules::detect(wanted, layout));
            assert_eq!(waiting(&host), 1, "{backend}, tried {wanted:?}");
        }
        let second = Epoch::FIRST.next();
        for (epoch, mode) in [(Epoch::FIRST, Mode::Lockdown), (second, Mode::Lockdown)] {
            apply(&host, &mut rules, epoch, mode);
            assert_eq!(waiting(&host), 1, "{backend} {epoch:?} {mode:?}");
        }
        // As a keeper does that comes back.
        let mut again = install(&host, backend, Mode::Open);
        apply(&host, &mut again, second, Mode::Open);
        assert_eq!(waiting(&host), 1, "{backend}");

        message.set_nfmark(verdict_mark(&layout, 0, MarkAction::Allow, Some(second)));
        message.set_verdict(Verdict::Repeat);
        queue.verdict(message).expect("to answer");
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut datagram = [0; 8];
        let received = uninterrupted(|| receiver.recv(&mut datagram));
        assert_eq!(received.expect("the held datagram"), 4, "{backend}");
    }
}

#[test]
fn a_hook_that_goes_takes_what_waits_with_it() {
    let (host, _peer) = Host::pair();
    let _rules = install(&host, Backend::IptablesLegacy, Mode::Open);
    let (_queue, _message) = hold(&host);
    host.run("nft add table inet other");
    host.run("nft add chain inet other c { type filter hook output priority 500 ; }");
    assert_eq!(waiting(&host), 1);
    host.run("nft delete table inet other");
    assert_eq!(waiting(&host), 0, "else there is no need to keep our chains");
}
