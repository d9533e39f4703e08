//! The name server changes: `resolv.conf` is written anew, as DHCP clients and
//! VPNs do, and programs ask somebody else from then on. Seawall itself never
//! reads that file; whom programs ask is judged as any datagram is.

use std::net::SocketAddr;
use std::time::Duration;

use lab::{MountNamespace, Seawall, World, eventually, uninterrupted};

use super::scene::{MENDED, POLICY, with_each_backend};

/// To look at a socket: the look-up has ended, so its question is there or never will be.
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn programs_that_ask_another_name_server_are_judged() {
    with_each_backend(|world, backend| {
        let forbidden = World::FORBIDDEN[0];
        let policy = POLICY.replacen(
            "outgoing_rules = [",
            &format!("outgoing_rules = [\"- {forbidden}\", "),
            1,
        );
        let seawall = Seawall::on(&world.desk).backend(backend).policy(&policy).start();
        let mounts = MountNamespace::on(&world.desk);
        mounts.run("rm", &["-f", "/etc/resolv.conf"]);
        for (server, allowed) in [
            (World::PEER[0], true),
            (forbidden, false),
            (World::FAR[0], true),
            (World::PEER[0], true),
        ] {
            let settings = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
            mounts.write("/etc/resolv.conf", &settings);
            let server = SocketAddr::new(server.parse().expect("an address"), 53);
            let questions = world.peer.datagrams(server);
            questions.set_read_timeout(Some(SHORT)).expect("a time limit");
            // Nobody answers: it fails in the end, whether its question arrives or not.
            let asked = mounts.try_run("getent", &["ahosts", "www.example"]);
            assert!(!asked.ok(), "{backend}: {asked:?}");
            let arrived = uninterrupted(|| questions.recv(&mut [0; 512])).is_ok();
            assert_eq!(arrived, allowed, "{backend}: a question for {server}");
        }
        eventually("it protects", MENDED, || seawall.verb(&["status"]).code == Some(0));
    });
}
