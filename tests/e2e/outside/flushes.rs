//! Rules that others sweep away, ours among them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lab::{Family, Host, Seawall, Serve, World, eventually};

use super::scene::{FORBIDDEN, MENDED, POLICY, Scene, Strictness, backends, survives};

/// Flushes until one lets something through: rules are back within milliseconds.
const MOST_FLUSHES: usize = 50;
const MOST_KEPT: usize = 200;

/// What scripts begin with that want an empty firewall.
fn empty(desk: &Host, flavour: &str) {
    for program in [flavour.to_owned(), flavour.replacen("iptables", "ip6tables", 1)] {
        for table in ["filter", "nat", "mangle", "raw"] {
            desk.run(&program, &["-w", "5", "-t", table, "-F"]);
            // A chain that our rules, put back meanwhile, lead to can't be deleted.
            let deleted = desk.command(&program).args(["-w", "5", "-t", table, "-X"]).output();
            assert!(deleted.is_ok(), "{program} can't be run");
        }
        for chain in ["INPUT", "OUTPUT", "FORWARD"] {
            desk.run(&program, &["-w", "5", "-P", chain, "ACCEPT"]);
        }
    }
}

#[test]
fn nft_flushes_the_ruleset() {
    survives(Strictness::OnceRulesAreBack, |scene: &mut Scene<'_>| {
        for time in 1..=3 {
            scene.world.desk.run("nft", &["flush", "ruleset"]);
            scene.goes_on(&format!("after flush {time}"));
        }
    });
}

#[test]
fn iptables_is_emptied() {
    survives(Strictness::OnceRulesAreBack, |scene: &mut Scene<'_>| {
        for flavour in ["iptables-nft", "iptables-legacy"] {
            empty(&scene.world.desk, flavour);
            scene.goes_on(&format!("after {flavour} was emptied"));
        }
    });
}

/// What slipped through while there were no rules is judged once they are back.
#[test]
fn nothing_that_slipped_through_lives_on() {
    let names = backends(&World::new());
    for backend in names {
        let world = World::new();
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let to = SocketAddr::new(World::address(World::PEER, Family::V4), FORBIDDEN);
        let _serve = Serve::start(&world.peer, &[to], &[]);
        let (slipped, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| slip_through(&world.desk, to, &slipped, &over));
            for _ in 0..MOST_FLUSHES {
                match backend {
                    "nft" => drop(world.desk.run("nft", &["flush", "ruleset"])),
                    flavour => empty(&world.desk, flavour),
                }
                eventually("the rules are back", MENDED, || {
                    world.desk.connect(to, Duration::from_secs(1)).is_err()
                });
                if !lock(&slipped).is_empty() {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        let slipped = std::mem::take(&mut *lock(&slipped));
        assert!(!slipped.is_empty(), "{backend}: nothing slipped through: the test sees nothing");
        for mut stream in slipped {
            assert!(!goes_on(&mut stream), "{backend}: a forbidden connection lives on");
        }
        eventually("it protects", MENDED, || seawall.verb(&["status"]).code == Some(0));
    }
}

/// Tries a forbidden connection again and again, and keeps those that come about.
fn slip_through(from: &Host, to: SocketAddr, kept: &Mutex<Vec<TcpStream>>, over: &AtomicBool) {
    from.inside(|| {
        while !over.load(Ordering::Relaxed) && lock(kept).len() < MOST_KEPT {
            if let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
                lock(kept).push(stream);
            }
        }
    });
}

/// Whether a byte gets there and back.
fn goes_on(stream: &mut TcpStream) -> bool {
    let mut byte = *b"e";
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .and_then(|()| stream.write_all(&byte))
        .and_then(|()| stream.read_exact(&mut byte))
        .is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
