//! The rules that wg-quick, Mullvad, Tailscale and Docker install: same
//! chains, matches, marks and masks. The interfaces are cables of the lab.

use std::net::SocketAddr;
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{DockerBridge, Family, Host, Seawall, Talk, World, eventually};
use socket2::{Domain, Socket, Type};

const PATIENCE: Patience = Patience(Duration::from_millis(2500));
const EASY: Duration = Duration::from_secs(2);
const POLICY: &str = "[filter]\noutgoing_rules = [\"- * TCP/7100-7199\"]\nincoming_rules = [\"- * TCP/7100-7199\"]\n";
const FLAVOURS: [&str; 2] = ["iptables-nft", "iptables-legacy"];

const WG_QUICK: &str = "\
*raw
-I PREROUTING ! -i wg0 -d 10.99.0.2/32 -m addrtype ! --src-type LOCAL -m comment --comment \"wg-quick(8) rule for wg0\" -j DROP
COMMIT
*mangle
-I POSTROUTING -p udp -m mark --mark 0xca6c -m comment --comment \"wg-quick(8) rule for wg0\" -j CONNMARK --save-mark
-I PREROUTING -p udp -m comment --comment \"wg-quick(8) rule for wg0\" -j CONNMARK --restore-mark
COMMIT
";

const TAILSCALE: &str = "\
*filter
:ts-input - [0:0]
:ts-forward - [0:0]
-A ts-input -s 100.64.0.1/32 -i lo -j ACCEPT
-A ts-input -s 100.115.92.0/23 ! -i inner -j RETURN
-A ts-input -s 100.64.0.0/10 ! -i inner -j DROP
-A ts-input -i inner -j ACCEPT
-A ts-input -p udp -m udp --dport 41641 -j ACCEPT
-A ts-forward -i inner -j MARK --set-xmark 0x40000/0xff0000
-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
-A ts-forward -s 100.64.0.0/10 -o inner -j DROP
-A ts-forward -o inner -j ACCEPT
-I INPUT 1 -j ts-input
-I FORWARD 1 -j ts-forward
COMMIT
*nat
:ts-postrouting - [0:0]
-A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE
-I POSTROUTING 1 -j ts-postrouting
COMMIT
*mangle
-A PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000
-A OUTPUT -m conntrack --ctstate NEW -m mark ! --mark 0x0/0xff0000 -j CONNMARK --save-mark --nfmask 0xff0000 --ctmask 0xff0000
COMMIT
";

const DOCKER: DockerBridge<'_> = DockerBridge {
    interface: "inner",
    network: "10.77.2.0/24",
    container: "10.77.2.2",
    published: [(8080, 7080), (8081, 7180)],
    spared: None,
};

const MULLVAD: &str = "\
*mangle
:mullvad-mangle - [0:0]
-A mullvad-mangle -p tcp -m tcp --dport 7001 -j CONNMARK --set-mark 0xf41
-A mullvad-mangle -p tcp -m tcp --dport 7101 -j CONNMARK --set-mark 0xf41
-A mullvad-mangle -m connmark --mark 0xf41 -j MARK --set-mark 0x6d6f6c65
-I OUTPUT 1 -j mullvad-mangle
-A PREROUTING -m connmark --mark 0xf41 -j MARK --set-mark 0x6d6f6c65
COMMIT
*filter
:mullvad-output - [0:0]
-A mullvad-output -m connmark --mark 0xf41 -j ACCEPT
-A mullvad-output -m mark --mark 0x6d6f6c65 -j ACCEPT
-I OUTPUT 1 -j mullvad-output
COMMIT
*nat
-A POSTROUTING -m connmark --mark 0xf41 -j MASQUERADE
COMMIT
";

/// The tool's rules, installed before Seawall starts and after, in both flavours.
fn beside(rules: &str, check: impl Fn(&World, &str)) {
    for flavour in FLAVOURS {
        for first in [true, false] {
            let world = World::new();
            if first {
                world.desk.restore(flavour, rules);
            }
            let seawall = Seawall::on(&world.desk).backend(flavour).policy(POLICY).start();
            if !first {
                world.desk.restore(flavour, rules);
                our_jumps_come_first_again(&world.desk, flavour);
            }
            let what = format!("{flavour}, theirs {}", if first { "first" } else { "later" });
            plain_traffic(&world, &what);
            check(&world, &what);
            drop(seawall);
            assert_eq!(foreign_rules(&world.desk, flavour), rules.matches("-j ").count(), "{what}");
        }
    }
}

/// Rules that are not ours, after ours are gone.
fn foreign_rules(desk: &Host, flavour: &str) -> usize {
    let text = desk.run(&format!("{flavour}-save"), &[]);
    assert!(!text.contains("SEAWALL"), "ours are gone: {text}");
    text.lines().filter(|line| line.starts_with("-A")).count()
}

fn our_jumps_come_first_again(desk: &Host, flavour: &str) {
    eventually("our jumps come first again", Duration::from_secs(5), || {
        ["mangle", "filter"].iter().all(|table| {
            ["INPUT", "OUTPUT", "FORWARD"].iter().all(|chain| {
                let list = desk.run(flavour, &["-w", "5", "-t", table, "-S", chain]);
                let first = list.lines().find(|line| line.starts_with("-A"));
                first.is_some_and(|line| line.contains("SEAWALL"))
            })
        })
    });
}

fn path(world: &World) -> Path<'_> {
    let address = |pair| World::address(pair, Family::V4);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

fn from_inner(world: &World) -> Path<'_> {
    Path { from: &world.inner, source: World::address(World::INNER, Family::V4), ..path(world) }
}

/// What is allowed flows in every direction, what is forbidden is refused.
fn plain_traffic(world: &World, what: &str) {
    let out = path(world);
    let back = Path::new(out.to, out.destination, out.from, out.source);
    let through = from_inner(world);
    for (path, denial) in
        [(out, Outcome::Refused), (back, Outcome::Silence), (through, Outcome::Refused)]
    {
        let _listener = path.listen(Kind::Tcp, 7001);
        let _forbidden = path.listen(Kind::Tcp, 7101);
        let names = (path.from.name(), path.to.name());
        let open = path.send(Kind::Tcp, 7001, PATIENCE).outcome;
        assert_eq!(open, Outcome::Connected, "{what}: {names:?}");
        let closed = path.send(Kind::Tcp, 7101, PATIENCE).outcome;
        assert!(closed == denial || closed == Outcome::Silence, "{what}: {names:?}: {closed:?}");
        Talk::open(&path, 7002).round_trip(EASY).expect("a round trip");
    }
}

#[test]
fn wg_quick() {
    beside(WG_QUICK, |world, what| {
        // Everything but the tunnel's own packets goes into a table that leads nowhere here.
        world.desk.ip(
            "rule add not fwmark 0xca6c table 51820\nrule add table main suppress_prefixlength 0\n\
             route add unreachable default table 51820\n",
        );
        let far = SocketAddr::new(World::address(World::FAR, Family::V4), 7003);
        let _listener = world.peer.listen(far);
        let connect = |mark| {
            world.desk.inside(|| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
                socket.set_mark(mark).expect("root sets marks");
                socket.connect_timeout(&far.into(), EASY).is_ok()
            })
        };
        assert!(!connect(0), "{what}: the rules of routing do what they should");
        assert!(connect(0xca6c), "{what}: the tunnel's own packets are not rerouted");

        let to_far = Path { destination: far.ip(), ..path(world) };
        let talk = lab::Datagrams::open_marked(&to_far, 7004, 0xca6c);
        for _ in 0..10 {
            talk.round_trip(EASY).expect("the tunnel's datagrams");
        }
    });
}

#[test]
fn mullvad() {
    beside(MULLVAD, |_, _| {});
}

#[test]
fn tailscale() {
    beside(TAILSCALE, |world, what| {
        let listener =
            world.peer.listen(SocketAddr::new(World::address(World::PEER, Family::V4), 7005));
        let mut talk = Talk::open_to(&from_inner(world), &listener);
        talk.round_trip(EASY).expect("a round trip through their NAT");
        let hidden = world.desk.conntrack();
        assert!(hidden.contains("dport=7005"), "{what}: {hidden}");
    });
}

#[test]
fn docker() {
    beside(&DOCKER.rules(), |world, what| {
        let desk = World::address(World::DESK, Family::V4);
        let inner = World::address(World::INNER, Family::V4);
        let _published = world.inner.listen(SocketAddr::new(inner, 7080));
        let _forbidden = world.inner.listen(SocketAddr::new(inner, 7180));
        let connect = |port| world.peer.connect(SocketAddr::new(desk, port), EASY).is_ok();
        assert!(connect(8080), "{what}: a published port");
        assert!(!connect(8081), "{what}: a published port that the policy forbids");
    });
}
