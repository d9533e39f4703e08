//! Rules that others sweep away, ours among them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::{Family, Host, Seawall, Serve, World, eventually};
use rustix::process::{Pid, Signal, kill_process};

use super::scene::{FORBIDDEN, MENDED, POLICY, Scene, Strictness, survives, with_each_backend};

const SLIP_THROUGH: usize = 5;
const PATIENCE: Duration = Duration::from_secs(1);

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

/// What slipped through while there were no rules is judged once they are back. The keeper is
/// stopped meanwhile: it puts them back within milliseconds, and often nothing slips through.
#[test]
fn nothing_that_slipped_through_lives_on() {
    with_each_backend(|world, backend| {
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let to = SocketAddr::new(World::address(World::PEER, Family::V4), FORBIDDEN);
        let _serve = Serve::start(&world.peer, &[to], &[]);
        assert!(world.desk.connect(to, MENDED).is_err(), "{backend}: it is forbidden");
        let keeper = Pid::from_raw(seawall.keeper_pid().cast_signed()).expect("a process id");
        kill_process(keeper, Signal::STOP).expect("the keeper can be stopped");
        match backend {
            "nft" => drop(world.desk.run("nft", &["flush", "ruleset"])),
            flavour => empty(&world.desk, flavour),
        }
        let mut slipped: Vec<TcpStream> =
            (0..SLIP_THROUGH).filter_map(|_| connect(&world.desk, to)).collect();
        assert_eq!(slipped.len(), SLIP_THROUGH, "{backend}: without rules all are let through");
        assert!(slipped.iter_mut().all(goes_on), "{backend}: they are open");
        kill_process(keeper, Signal::CONT).expect("the keeper can go on");
        eventually("the rules are back", MENDED, || world.desk.connect(to, PATIENCE).is_err());
        for stream in &mut slipped {
            assert!(!goes_on(stream), "{backend}: a forbidden connection lives on");
        }
        eventually("it protects", MENDED, || seawall.verb(&["status"]).code == Some(0));
    });
}

fn connect(from: &Host, to: SocketAddr) -> Option<TcpStream> {
    from.inside(|| TcpStream::connect_timeout(&to, MENDED)).ok()
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
