//! A rule that denies one program, against thousands of it that are gone at once.
//!
//! What gets through is counted where it arrives, packet by packet, before any socket.

use std::net::SocketAddr;

use lab::world::needs;
use lab::{Deed, Family, Findings, Host, OneShots, Programs, Seawall, Serve, Shot, Way, World};

use seawall_messages::Action;
use seawall_messages::datapath::Connection;

use super::common::{at, oneshots};

/// Where only the denied program connects to, and where only the allowed one.
pub(super) const DENIED: u16 = 7101;
pub(super) const ALLOWED: u16 = 7201;
/// One allowed program for so many denied ones.
const ALLOWED_SHARE: u32 = 10;
/// One TCP connection for so many datagrams.
const TCP_SHARE: u32 = 10;

const DATAGRAMS: [Deed; 2] = [Deed::SendTo, Deed::ConnectAndSend];
const CONNECTS: [Deed; 2] = [Deed::Connect, Deed::ConnectAndGo];
/// All that start a file of ours: a fork stays what its parent was.
const WAYS: [Way; 4] = [Way::Exec, Way::Thread, Way::Inherited, Way::Passed];

/// Counts first packets to both ports.
pub(super) fn count_arrivals(peer: &Host) {
    let rules: String = [DENIED, ALLOWED]
        .map(|port| {
            format!(
                "-A INPUT -p udp --dport {port}\n-A INPUT -p tcp --dport {port} --tcp-flags SYN,ACK SYN\n"
            )
        })
        .concat();
    for flavour in ["iptables-nft", "ip6tables-nft"] {
        peer.restore(flavour, &format!("*filter\n{rules}COMMIT\n"));
    }
}

/// Packets counted for a port, both families.
pub(super) fn arrived(peer: &Host, protocol: &str, port: u16) -> u64 {
    let text =
        ["iptables-nft-save", "ip6tables-nft-save"].map(|program| peer.run(program, &["-c"]));
    let rules: Vec<&str> = text
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| {
            line.contains(&format!("-p {protocol} ")) && line.contains(&format!("--dport {port}"))
        })
        .collect();
    assert_eq!(rules.len(), 2, "counters of {protocol}/{port}: {text:?}");
    let packets = |line: &str| line.strip_prefix('[')?.split(':').next()?.parse::<u64>().ok();
    rules.into_iter().map(|line| packets(line).expect("a counter before the rule")).sum()
}

fn shots(named: &str, port: u16, deeds: &[Deed], count: u32, within: &[&str]) -> OneShots {
    OneShots {
        deeds: deeds.to_vec(),
        ways: WAYS.to_vec(),
        named: named.to_owned(),
        within: within.iter().map(|word| (*word).to_owned()).collect(),
        ..OneShots::matrix(Family::BOTH.map(|family| at(family, port)).to_vec(), count)
    }
}

/// Denied and allowed programs at the same time; gives what the allowed ones did, then the denied ones.
fn both(
    world: &World,
    programs: &Programs,
    deeds: &[Deed],
    count: u32,
    within: &[&str],
) -> (Vec<Shot>, Vec<Shot>) {
    let allowed = shots("allowed-", ALLOWED, deeds, (count / ALLOWED_SHARE).max(1), within);
    let denied = shots("denied-", DENIED, deeds, count, within);
    let allowed = allowed.start(&world.desk, programs);
    let denied = denied.start(&world.desk, programs);
    (allowed.finish(), denied.finish())
}

/// Some of what Seawall let through to a port, and why.
fn allowed_to(seawall: &Seawall<'_>, port: u16) -> Vec<Connection> {
    let wrongly = |connection: &Connection| {
        connection.action == Action::Allow && connection.flow.destination_port() == Some(port)
    };
    seawall.connections().connections.into_iter().filter(wrongly).take(5).collect()
}

#[test]
fn a_rule_that_denies_one_program_leaks_nothing() {
    needs("unshare");
    let world = World::new();
    let programs = Programs::new();
    let denied = programs.copy("denied-00");
    programs.copy("allowed-00");
    let to: Vec<SocketAddr> =
        [DENIED, ALLOWED].iter().flat_map(|port| Family::BOTH.map(|f| at(f, *port))).collect();
    let serve = Serve::start(&world.peer, &to, &to);
    count_arrivals(&world.peer);
    let seawall = Seawall::on(&world.desk)
        .policy(&format!(
            "[[app]]\nmatch = {{ path = \"{}\" }}\noutgoing_rules = [\"- *\"]\n",
            denied.display()
        ))
        .start();
    let mut findings = Findings::new();
    let mut passed = (0, 0);
    let mut let_through = Vec::new();
    for within in [&[][..], &["unshare", "--mount", "--propagation", "private"]] {
        let (allowed, _) = both(&world, &programs, &DATAGRAMS, oneshots(), within);
        passed.0 += allowed.len() as u64;
        let_through.extend(allowed_to(&seawall, DENIED));
        let (allowed, refused) = both(&world, &programs, &CONNECTS, oneshots() / TCP_SHARE, within);
        passed.1 += allowed.len() as u64;
        for shot in allowed {
            findings.check(shot.outcome == "ok", format!("{within:?}: allowed, but {shot:?}"));
        }
        for shot in refused.iter().filter(|shot| shot.deed == Deed::Connect) {
            findings.check(shot.outcome != "ok", format!("{within:?}: denied, but {shot:?}"));
        }
    }
    let_through.extend(allowed_to(&seawall, DENIED));
    findings.check(
        let_through.is_empty(),
        format!("{} connections were let through: {let_through:#?}", let_through.len()),
    );
    // What comes through after them was judged after them.
    for deed in [Deed::Connect, Deed::SendTo] {
        shots("allowed-", ALLOWED, &[deed], 1, &[]).run(&world.desk, &programs);
    }
    for protocol in ["udp", "tcp"] {
        let leaked = arrived(&world.peer, protocol, DENIED);
        findings.check(leaked == 0, format!("{leaked} {protocol} packets of the denied program"));
    }
    let (datagrams, connects) =
        (arrived(&world.peer, "udp", ALLOWED), arrived(&world.peer, "tcp", ALLOWED));
    findings.check(datagrams >= passed.0, format!("{datagrams} of {} datagrams", passed.0));
    findings.check(connects >= passed.1, format!("{connects} of {} connects", passed.1));
    let served = serve.finish();
    findings.check(
        served.datagrams(DENIED) == 0 && served.accepted(DENIED) == 0,
        format!("the server saw the denied program: {served:?}"),
    );
    findings.settle();
}
