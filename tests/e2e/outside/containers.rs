//! A bridge with a container behind it, as Docker makes it while Seawall runs.

use std::net::SocketAddr;
use std::time::Duration;

use lab::probe::Path;
use lab::{DockerBridge, Family, Serve, World};

use super::scene::{FORBIDDEN, OPEN, Scene, Strictness, survives};

const CONTAINER: &str = "172.17.0.2";
const BRIDGE: &str = "172.17.0.1";
const EASY: Duration = Duration::from_secs(3);

/// What lets the lab's other traffic through Docker's FORWARD is a user's.
const DOCKER: DockerBridge<'_> = DockerBridge {
    interface: "docker0",
    network: "172.17.0.0/16",
    container: CONTAINER,
    published: [(8080, OPEN), (8081, FORBIDDEN)],
    spared: Some("inner"),
};

#[test]
fn containers_appear_and_their_traffic_is_judged() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        let desk = &world.desk;
        desk.ip(&format!(
            "link add docker0 type bridge\naddr add {BRIDGE}/16 dev docker0\nlink set docker0 up\n"
        ));
        let flavour = if scene.backend == "nft" { "iptables-nft" } else { scene.backend };
        desk.restore(flavour, &DOCKER.rules());
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
