//! Addresses that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use lab::probe::Path;
use lab::{Family, Seawall, Talk, World};

use super::scene::{MENDED, POLICY, Scene, Strictness, survives, with_each_backend};

/// When a conversation counts as ended: of one that was cut inbound nothing is heard.
const DENIED: Duration = Duration::from_secs(2);

/// More addresses of `desk`.
const MORE: [&str; 2] = ["10.77.1.5", "fd77:1::5"];

fn come(world: &World) {
    let [v4, v6] = MORE;
    world.desk.ip(&format!("addr add {v4}/24 dev peer\naddr add {v6}/64 dev peer nodad\n"));
}

fn go(world: &World) {
    let [v4, v6] = MORE;
    world.desk.ip(&format!("addr del {v4}/24 dev peer\naddr del {v6}/64 dev peer\n"));
}

/// From the new address, and to it.
fn both_ways(world: &World, family: Family) -> [Path<'_>; 2] {
    let (desk, peer) = (World::address(MORE, family), World::address(World::PEER, family));
    [
        Path::new(&world.desk, desk, &world.peer, peer),
        Path::new(&world.peer, peer, &world.desk, desk),
    ]
}

#[test]
fn an_own_address_comes_and_goes_and_comes_again() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let world = scene.world;
        come(world);
        for family in Family::BOTH {
            for path in both_ways(world, family) {
                let what = format!("{} to {}", path.source, path.destination);
                scene.is_judged(&what, &path);
                scene.talk(&what, &path);
            }
        }
        scene.goes_on("with one address more");
        go(world);
        come(world);
        scene.goes_on("after an address was away");
    });
}

/// While an address is away, nothing tells by looking that its connections are this machine's own. They
/// are judged as what they are all the same.
#[test]
fn a_policy_that_changes_while_an_address_is_away_meets_its_connections() {
    // Says of outbound connections what it doesn't say of inbound ones, and the other way round.
    let cases = [
        ("[filter]\noutgoing_rules = [\"- * TCP/7010\"]\n", [false, true]),
        ("[filter]\nincoming_rules = [\"- * TCP/7010\"]\n", [true, false]),
    ];
    with_each_backend(|world, backend| {
        for (policy, expected) in cases {
            let mut seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
            for replaced in [false, true] {
                come(world);
                let mut talks = Vec::new();
                for family in Family::BOTH {
                    for (path, lives) in both_ways(world, family).iter().zip(expected) {
                        let what = format!(
                            "{backend}, {policy:?}, worker replaced: {replaced}: {} to {}",
                            path.source, path.destination
                        );
                        // It goes on listening: a successor tells by that who called whom.
                        let listener = path.to.listen(SocketAddr::new(path.destination, 7010));
                        let mut talk = Talk::open_to(path, &listener);
                        talk.round_trip(MENDED).expect("a round trip");
                        talks.push((what, talk, lives, listener));
                    }
                }
                go(world);
                if replaced {
                    let old = seawall.kill_worker();
                    seawall.wait_for_successor(old, MENDED).expect("a successor");
                }
                seawall.set_policy(policy);
                come(world);
                for (what, mut talk, lives, _listener) in talks {
                    let outcome = talk.round_trip(if lives { MENDED } else { DENIED });
                    assert_eq!(outcome.is_ok(), lives, "{what}: {outcome:?}");
                }
                go(world);
                seawall.set_policy(POLICY);
            }
        }
    });
}
