//! A bridge with a container behind it, as Docker makes it while Seawall runs.

use std::net::SocketAddr;
use std::time::Duration;

use lab::probe::Path;
use lab::{Family, Serve, World};

use super::scene::{FORBIDDEN, OPEN, Scene, Strictness, survives};

const CONTAINER: &str = "172.17.0.2";
const BRIDGE: &str = "172.17.0.1";
const EASY: Duration = Duration::from_secs(3);

/// The rules of Docker 20 and later, and what lets the lab's other traffic through its FORWARD.
const RULES: &str = "\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:7001
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:7101
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 7001 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 7101 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -i inner -j ACCEPT
-A DOCKER-USER -o inner -j ACCEPT
-A DOCKER-USER -j RETURN
-I FORWARD 1 -i docker0 -o docker0 -j ACCEPT
-I FORWARD 1 -i docker0 ! -o docker0 -j ACCEPT
-I FORWARD 1 -o docker0 -j DOCKER
-I FORWARD 1 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-I FORWARD 1 -j DOCKER-ISOLATION-STAGE-1
-I FORWARD 1 -j DOCKER-USER
COMMIT
";

#[test]
fn containers_appear_and_their_traffic_is_judged() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        let desk = &world.desk;
        desk.ip(&format!(
            "link add docker0 type bridge\naddr add {BRIDGE}/16 dev docker0\nlink set docker0 up\n"
        ));
        let flavour = if scene.backend == "nft" { "iptables-nft" } else { scene.backend };
        desk.restore(flavour, RULES);
        scene.goes_on("with a bridge and Docker's rules");

        let container = world.another_host("container");
        World::cable((desk, "veth1"), (&container, "eth0"));
        desk.ip("link set veth1 master docker0\n");
        container
            .ip(&format!("addr add {CONTAINER}/16 dev eth0\nroute add default via {BRIDGE}\n"));
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let _serve = Serve::start(&container, &[any(OPEN), any(FORBIDDEN)], &[]);
        let address = |text: &str| text.parse().expect("an address");
        let peer = World::address(World::PEER, Family::V4);
        for (what, path) in [
            ("from the container", Path::new(&container, address(CONTAINER), &world.peer, peer)),
            ("to the container", Path::new(desk, address(BRIDGE), &container, address(CONTAINER))),
            (
                "from the container to its host",
                Path::new(&container, address(CONTAINER), desk, address(BRIDGE)),
            ),
        ] {
            scene.is_judged(what, &path);
            scene.talk("of the container", &path);
        }
        let at_desk = World::address(World::DESK, Family::V4);
        let published = |port| world.peer.connect(SocketAddr::new(at_desk, port), EASY).is_ok();
        scene.check(published(8080), "a published port");
        scene.check(!published(8081), "a published port that the policy forbids");
        scene.goes_on("with a container");

        scene.hang_up("of the container");
        desk.ip("link del veth1\n");
        drop(container);
        scene.goes_on("without the container");
    });
}
