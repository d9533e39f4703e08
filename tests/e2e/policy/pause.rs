//! A pause lets everything pass, for as long as was said and no longer.

use std::time::Duration;

use lab::probe::{Kind, Outcome};
use lab::seawall::sample;
use lab::{Family, Seawall, Talk, World, eventually};

use super::{CUT, EASY, PATIENCE, back, path};

const SHUT: &str = "[filter]\ndefault_action = \"block\"\nblock_inbound = true\n";

#[test]
fn a_paused_seawall_lets_everything_pass_until_it_is_resumed() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(SHUT).start();
    for family in Family::BOTH {
        let (out, inbound) = (path(&world, family), back(&world, family));
        let _listeners = [out.listen(Kind::Tcp, 7401), inbound.listen(Kind::Tcp, 7401)];
        assert_eq!(out.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused);
        let paused = seawall.verb(&["pause", "10m"]);
        assert_eq!(paused.code, Some(0), "{paused:?}");
        assert!(paused.stdout.starts_with("paused for 10m"), "{paused:?}");
        assert_eq!(out.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Connected);
        assert_eq!(inbound.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Connected);
        let status = seawall.verb(&["status"]);
        assert_eq!(status.code, Some(3), "{status:?}");
        assert!(status.stdout.contains("paused for another"), "{status:?}");
        let explained = seawall.verb(&["explain", "-", "9.9.9.9:443"]);
        assert!(explained.stdout.contains("Seawall is paused"), "{explained:?}");
        let mut meanwhile = Talk::open(&out, 7402);
        meanwhile.round_trip(EASY).expect("a round trip in a pause");
        let resumed = seawall.verb(&["resume"]);
        assert_eq!(resumed.code, Some(0), "{resumed:?}");
        assert!(meanwhile.caller_sees_the_end(CUT), "what was opened meanwhile is cut");
        assert_eq!(out.send(Kind::Tcp, 7401, PATIENCE).outcome, Outcome::Refused);
    }
    let counted = "seawall_verdict_judgements_total{action=\"allow\",layer=\"paused\"}";
    assert!(sample(&seawall.metrics(), counted) >= Some(2.0), "{}", seawall.metrics());
    assert_eq!(seawall.verb(&["resume", "--json"]).code, Some(0), "there is none to end");
    for length in ["0s", "25h", "for ever", "10"] {
        let refused = seawall.verb(&["pause", length]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
    }
}

#[test]
fn a_pause_ends_by_itself_whatever_restarts_meanwhile() {
    let world = World::new();
    let mut seawall = Seawall::on(&world.desk).policy(SHUT).start();
    let out = path(&world, Family::V4);
    let _listener = out.listen(Kind::Tcp, 7401);
    let send = || out.send(Kind::Tcp, 7401, PATIENCE).outcome;
    let paused = seawall.verb(&["pause", "8s"]);
    assert_eq!(paused.code, Some(0), "{paused:?}");
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, Duration::from_secs(5)).expect("another worker");
    assert_eq!(send(), Outcome::Connected, "a new worker goes on pausing");
    let (_, folder) = seawall.stop();
    let folder = folder.expect("its folder");
    let seawall = Seawall::on(&world.desk).policy(SHUT).folder(folder).start();
    assert_eq!(send(), Outcome::Connected, "so does another Seawall");
    eventually("the pause is over", Duration::from_secs(15), || send() == Outcome::Refused);
    assert_eq!(seawall.verb(&["status"]).code, Some(0));
    assert!(seawall.log().contains("The pause is over"), "{}", seawall.log());
    let (_, folder) = seawall.stop();
    let _seawall =
        Seawall::on(&world.desk).policy(SHUT).folder(folder.expect("its folder")).start();
    assert_eq!(send(), Outcome::Refused, "it is over for good");
}
