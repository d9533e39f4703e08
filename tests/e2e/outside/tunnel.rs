//! A VPN up and down, with the rules of `wg-quick`: everything but the
//! tunnel's own packets goes through it. The tunnel is a TUN device without
//! keys, which every kernel has; WireGuard's own module would change nothing of what Seawall sees.

use std::time::Duration;

use lab::oneshot::Interpreter;
use lab::probe::Path;
use lab::{Family, Host, Running, World};

use super::scene::{Scene, Strictness, survives};

const TUNNEL: &str = include_str!("tunnel.py");
const DEVICE: &str = "wg0";
const MARK: &str = "0xca6c";
/// Addresses in the tunnel.
const DESK: [&str; 2] = ["10.99.0.2", "fd99::2"];
const PEER: [&str; 2] = ["10.99.0.1", "fd99::1"];

fn end(host: &Host, own: &str, other: &str, inside: [&str; 2]) -> Running {
    let python = Interpreter::find().path;
    let arguments = ["-c", TUNNEL, DEVICE, own, other, "51820", MARK];
    let running = host.start(&python.to_string_lossy(), &arguments);
    let ready = running.line(Duration::from_secs(30));
    assert!(ready.is_some(), "no tunnel: {}", running.stderr());
    let [v4, v6] = inside;
    host.ip(&format!(
        "addr add {v4}/24 dev {DEVICE}\naddr add {v6}/64 dev {DEVICE} nodad\nlink set mtu 1420 up dev {DEVICE}\n"
    ));
    running
}

/// What `wg-quick up` does for `AllowedIPs = 0.0.0.0/0, ::/0`, less the keys.
fn up(scene: &Scene<'_>) -> Running {
    let desk = &scene.world.desk;
    let running = end(desk, World::DESK[0], World::PEER[0], DESK);
    for (version, all) in [("-4", "0.0.0.0/0"), ("-6", "::/0")] {
        for command in [
            &["rule", "add", "not", "fwmark", MARK, "table", "51820"][..],
            &["rule", "add", "table", "main", "suppress_prefixlength", "0"],
            &["route", "add", all, "dev", DEVICE, "table", "51820"],
        ] {
            desk.run("ip", &[&[version], command].concat());
        }
    }
    desk.restore(flavour(scene), &rules("-I", DESK[0]));
    running
}

/// What `wg-quick down` does.
fn down(scene: &Scene<'_>, running: Running) {
    let desk = &scene.world.desk;
    for version in ["-4", "-6"] {
        desk.run("ip", &[version, "rule", "del", "not", "fwmark", MARK, "table", "51820"]);
        desk.run("ip", &[version, "rule", "del", "table", "main", "suppress_prefixlength", "0"]);
    }
    desk.restore(flavour(scene), &rules("-D", DESK[0]));
    drop(running);
}

fn flavour<'a>(scene: &Scene<'a>) -> &'a str {
    if scene.backend == "nft" { "iptables-nft" } else { scene.backend }
}

fn rules(verb: &str, own: &str) -> String {
    let comment = "-m comment --comment \"wg-quick(8) rule for wg0\"";
    format!(
        "*raw\n\
         {verb} PREROUTING ! -i {DEVICE} -d {own}/32 -m addrtype ! --src-type LOCAL {comment} -j DROP\n\
         COMMIT\n\
         *mangle\n\
         {verb} POSTROUTING -p udp -m mark --mark {MARK} {comment} -j CONNMARK --save-mark\n\
         {verb} PREROUTING -p udp {comment} -j CONNMARK --restore-mark\n\
         COMMIT\n"
    )
}

#[test]
fn a_vpn_goes_up_and_down() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        let _server = end(&world.peer, World::PEER[0], World::DESK[0], PEER);
        let address = |pair, family| World::address(pair, family);
        for family in Family::BOTH {
            let far = address(World::FAR, family);
            let path = Path::new(&world.desk, address(World::DESK, family), &world.peer, far);
            scene.talk(&format!("far away, {family:?}"), &path);
        }
        let tunnel = up(scene);
        scene.goes_on("with the VPN up");
        let sent_before = through_the_tunnel(&world.peer);
        for family in Family::BOTH {
            let (desk, peer) = (address(DESK, family), address(PEER, family));
            let far = address(World::FAR, family);
            for (what, path) in [
                ("far away through the VPN", Path::new(&world.desk, desk, &world.peer, far)),
                ("the VPN's other end", Path::new(&world.desk, desk, &world.peer, peer)),
                ("from the VPN's other end", Path::new(&world.peer, peer, &world.desk, desk)),
            ] {
                scene.is_judged(&format!("{what}, {family:?}"), &path);
            }
            let path = Path::new(&world.desk, desk, &world.peer, far);
            scene.talk("far away through the VPN", &path);
        }
        scene.goes_on("with conversations in the VPN");
        let carried = through_the_tunnel(&world.peer) > sent_before;
        scene.check(carried, "packets go through the tunnel at all");

        scene.hang_up("far away through the VPN");
        down(scene, tunnel);
        scene.goes_on("with the VPN down");
    });
}

/// Packets that came out of the tunnel.
fn through_the_tunnel(peer: &Host) -> u64 {
    let text = peer.run("cat", &["/proc/net/dev"]);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("wg0:"));
    let packets = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    packets.unwrap_or_else(|| panic!("no counters of the tunnel in: {text}"))
}
