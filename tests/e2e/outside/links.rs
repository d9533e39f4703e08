//! Routes and interfaces.

use lab::World;
use lab::probe::Path;
use lab::{Family, Host};

use super::scene::{Scene, Strictness, survives};

/// The addresses of a second cable between `desk` and `peer`.
const DESK: [&str; 2] = ["10.77.3.1", "fd77:3::1"];
const PEER: [&str; 2] = ["10.77.3.2", "fd77:3::2"];

/// Lays it. `peer` answers the new addresses of `desk` over it, all others as before.
fn second_cable(world: &World) {
    for host in [&world.desk, &world.peer] {
        host.sysctl("net/ipv4/conf/default/rp_filter", "0");
    }
    World::cable((&world.desk, "peer2"), (&world.peer, "desk2"));
    addressed(&world.desk, "peer2", DESK);
    addressed(&world.peer, "desk2", PEER);
}

fn addressed(host: &Host, interface: &str, addresses: [&str; 2]) {
    let [v4, v6] = addresses;
    host.ip(&format!("addr add {v4}/24 dev {interface}\naddr add {v6}/64 dev {interface} nodad\n"));
}

fn to_far<'a>(world: &'a World, family: Family, source: [&str; 2]) -> Path<'a> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.desk, address(source), &world.peer, address(World::FAR))
}

#[test]
fn the_default_route_changes() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        second_cable(world);
        for family in Family::BOTH {
            scene.talk(&format!("far away, {family:?}"), &to_far(world, family, World::DESK));
        }
        world.desk.ip(&format!(
            "route replace default via {}\nroute replace ::/0 via {}\n",
            PEER[0], PEER[1]
        ));
        scene.goes_on("with another default route");
        for family in Family::BOTH {
            for source in [World::DESK, DESK] {
                let what = format!("far away by the other route, {family:?}");
                scene.is_judged(&what, &to_far(world, family, source));
            }
        }
        world.desk.ip("route del default\nroute del ::/0\n");
        world.desk.ip(&format!(
            "route add default via {}\nroute add ::/0 via {}\n",
            World::PEER[0],
            World::PEER[1]
        ));
        scene.goes_on("with the first default route again");
    });
}

#[test]
fn interfaces_come_and_go() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        let over_it = |family| {
            let address = |pair| World::address(pair, family);
            Path::new(&world.desk, address(DESK), &world.peer, address(PEER))
        };
        second_cable(world);
        scene.goes_on("with one interface more");
        for family in Family::BOTH {
            scene.is_judged(&format!("over the new interface, {family:?}"), &over_it(family));
            scene.talk("over the new interface", &over_it(family));
        }
        world.desk.ip("link set peer2 down\n");
        world.desk.ip("link set peer2 up\n");
        // The kernel takes IPv6 addresses away with the link.
        world.desk.ip(&format!("addr replace {}/64 dev peer2 nodad\n", DESK[1]));
        scene.goes_on("after the new interface was down");

        // With its addresses, and the conversations over it.
        world.desk.ip("link del peer2\n");
        second_cable(world);
        scene.goes_on("with a new interface that has the old one's addresses");
        for family in Family::BOTH {
            scene.is_judged(&format!("over its successor, {family:?}"), &over_it(family));
        }
        scene.hang_up("over the new interface");
        world.desk.ip("link del peer2\n");
    });
}
