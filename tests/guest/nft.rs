//! nft with its own `queue`: what it lets cross, and that its table is mended and goes.

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Family, Host, Seawall, World, eventually};

use super::crossing::{Manner, Way, nothing_forbidden_crosses};

const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7101\"]\n";
const OPEN: u16 = 7001;
const FORBIDDEN: u16 = 7101;
const MENDED: Duration = Duration::from_secs(30);
const PATIENCE: Patience = Patience(Duration::from_millis(2500));

#[test]
fn outbound() {
    nothing_forbidden_crosses("nft", Way::Outbound, Manner::Usual);
}

#[test]
fn outbound_in_lockdown() {
    nothing_forbidden_crosses("nft", Way::Outbound, Manner::Strict);
}

#[test]
fn inbound() {
    nothing_forbidden_crosses("nft", Way::Inbound, Manner::Usual);
}

#[test]
fn inbound_in_lockdown() {
    nothing_forbidden_crosses("nft", Way::Inbound, Manner::Strict);
}

#[test]
fn forwarded() {
    nothing_forbidden_crosses("nft", Way::Forwarded, Manner::Usual);
}

#[test]
fn forwarded_in_lockdown() {
    nothing_forbidden_crosses("nft", Way::Forwarded, Manner::Strict);
}

/// Our table as `nft` prints it; empty where it isn't.
fn table(host: &Host) -> String {
    lab::run(host.command("nft").args(["--stateless", "list", "table", "inet", "seawall"])).stdout
}

#[test]
fn it_is_what_a_kernel_that_has_it_gets() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    assert_eq!(seawall.status().datapath.backend, "nft");
    assert!(table(&world.desk).contains("queue"), "{}", world.desk.filters());
}

#[test]
fn what_is_done_to_the_table_is_mended_and_a_stop_takes_it_away() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).backend("nft").policy(POLICY).start();
    let before = table(&world.desk);
    assert!(before.contains("queue"), "{before}");
    let path = {
        let address = |pair| World::address(pair, Family::V4);
        Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
    };
    for harm in [
        "delete table inet seawall",
        "flush chain inet seawall judge_output",
        "flush ruleset",
        "insert rule inet seawall judge_output accept",
    ] {
        world.desk.run("nft", &[harm]);
        eventually(&format!("`{harm}` is mended"), MENDED, || table(&world.desk) == before);
        let _listener = path.listen(Kind::Tcp, OPEN);
        assert_eq!(path.send(Kind::Tcp, FORBIDDEN, PATIENCE).outcome, Outcome::Refused, "{harm}");
        assert_eq!(path.send(Kind::Tcp, OPEN, PATIENCE).outcome, Outcome::Connected, "{harm}");
    }
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0));
    assert_eq!(table(&world.desk), "");
}
