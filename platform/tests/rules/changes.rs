//! Rules change under load without losing or leaking a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seawall_messages::policy::Mode;
use seawall_platform::linux::layout::{Epoch, MarkAction};

use super::host::Host;
use super::wait::eventually;
use super::{apply, backends, install, judge, temporary};

/// A lost SYN costs its connection a second.
const LOST: Duration = Duration::from_millis(900);

#[test]
fn twenty_changes_under_load_lose_no_connection() {
    for backend in backends() {
        for (mode, address) in [
            (Mode::Open, "10.9.0.2:0"),
            (Mode::Open, "[fd09::2]:0"),
            (Mode::Lockdown, "10.9.0.2:0"),
            (Mode::Lockdown, "[fd09::2]:0"),
        ] {
            let (host, peer) = Host::pair();
            let mut rules = install(&host, backend, mode);
            let _judge = judge(&host, temporary(MarkAction::Allow));
            let listener = peer.on(|| TcpListener::bind(address).unwrap());
            let at = listener.local_addr().unwrap();
            let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
            let slowest = std::thread::scope(|scope| {
                let _ending = Ending { stop: &stop, listener: &listener };
                scope.spawn(|| {
                    while let Ok((stream, _)) = listener.accept() {
                        welcome(stream);
                    }
                });
                let client = scope.spawn(|| host.on(|| load(at, &stop, &made)));
                eventually("the first connection", || made.load(Ordering::Relaxed) > 0);
                let mut epoch = Epoch::FIRST;
                let start = Instant::now();
                for _ in 0..20 {
                    epoch = epoch.next();
                    apply(&host, &mut rules, epoch, mode);
                }
                println!("{backend}: 20 changes in {:?}", start.elapsed());
                stop.store(true, Ordering::Relaxed);
                client.join().unwrap()
            });
            let made = made.load(Ordering::Relaxed);
            println!("{backend} {mode:?}: {made} connections, the slowest took {slowest:?}");
            assert!(made > 50, "no load: {made}");
            assert!(slowest < LOST, "{backend} {mode:?}: {slowest:?}");
        }
    }
}

/// Ends client and server, also when the test fails: else it would wait for them.
struct Ending<'a> {
    stop: &'a AtomicBool,
    listener: &'a TcpListener,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may be closed already.
        let _ = rustix::net::shutdown(self.listener, rustix::net::Shutdown::Both);
    }
}

/// Says a byte and waits for the other end to close: it has to find a new port each time.
fn welcome(mut stream: TcpStream) {
    // A client that gave up is the client's matter.
    let _ = stream.write_all(b"x").and_then(|()| stream.read(&mut [0]));
}

/// Connects again and again, and waits each time until the server took the
/// connection: so none is lost to a full backlog. Returns the longest that one took.
fn load(at: SocketAddr, stop: &AtomicBool, made: &AtomicUsize) -> Duration {
    let mut slowest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let mut stream =
            TcpStream::connect_timeout(&at, Duration::from_secs(5)).expect("to connect");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("to set a time limit");
        stream.read_exact(&mut [0]).expect("the server's byte");
        // The first one finds the neighbour, which takes its own time.
        if made.fetch_add(1, Ordering::Relaxed) > 0 {
            slowest = slowest.max(start.elapsed());
        }
    }
    slowest
}
