//! Connections that are forwarded, where the kernel noted nothing of them: of
//! other network namespaces, of containers as a whole, of virtual machines.

use std::path::{Path, PathBuf};

use lab::world::needs;
use lab::{Deed, Family, Findings, Held, Programs, Running, Seawall, World, seawall};
use seawall_messages::flow::{Direction, Protocol};
use seawall_messages::process::{AppKind, Method};

use super::common::{POLICY, at, runs, serve};
use super::places::Group;

const WITHOUT_NOTES: (&str, &str) = ("SEAWALL_ATTRIBUTION", "socket-tables");
/// A container's id; its first digits are its name, for nobody gave it one.
const CONTAINER: &str = "77777777777777777777777777777777777777777777777777777777deadbeef";
/// Addresses of the bridge for virtual machines, and of a machine behind it.
const BRIDGE: [&str; 2] = ["10.77.3.1", "fd77:3::1"];
const GUEST: [&str; 2] = ["10.77.3.2", "fd77:3::2"];

#[test]
fn a_program_in_another_network_namespace_is_found_by_the_socket_there() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let (variable, choice) = WITHOUT_NOTES;
    let seawall = Seawall::on(&world.desk).policy(POLICY).environment(variable, choice).start();
    let mut findings = Findings::new();
    let deeds = [Deed::Connect, Deed::ConnectAndSend];
    for (number, deed) in deeds.into_iter().enumerate() {
        for family in Family::BOTH {
            let executable = programs.app(number);
            let held = Held::on(&world.inner, &executable, deed, at(family, 7001));
            let what = format!("{deed:?} {family:?}");
            let connection = seawall.owned_from(&what, deed.protocol(), held.from_port());
            let by = seawall::attribution(&connection).map(|found| found.method);
            let process = seawall::process(&connection).expect("it is owned");
            findings.check(
                connection.flow.direction == Direction::Forwarded
                    && by == Some(Method::OpenFiles)
                    && process.key.pid == held.pid()
                    && runs(process, &executable),
                format!("{what}: {by:?}, {process:?}"),
            );
        }
    }
    findings.settle();
}

/// What has no ports has no socket that could be looked up.
#[test]
fn a_ping_of_a_container_is_the_containers() {
    needs("ping");
    let world = World::new();
    let (variable, choice) = WITHOUT_NOTES;
    let seawall = Seawall::on(&world.desk).policy(POLICY).environment(variable, choice).start();
    let mut findings = Findings::new();
    for family in Family::BOTH {
        let group = Group::new(&format!("system.slice/docker-{CONTAINER}.scope"));
        let ping = world.desk.run("sh", &["-c", "readlink -f $(command -v ping)"]);
        let mut command = group.command(&world.inner, &PathBuf::from(ping.trim()), true);
        command.args(["-n", &at(family, 0).ip().to_string()]);
        let pinging = Running::start(&mut command);
        let connection = seawall.owned(&format!("ping of {family:?}"), |connection| {
            connection.flow.direction == Direction::Forwarded
                && connection.flow.protocol.is_icmp()
                && (connection.flow.responder == at(family, 0).ip())
        });
        let by = seawall::attribution(&connection).map(|found| found.method);
        let process = seawall::process(&connection).expect("it is owned");
        findings.check(
            by == Some(Method::Address)
                && process.app.kind == AppKind::Container
                && *process.path == *format!("docker:{}:", &CONTAINER[..12]),
            format!("{family:?}: {by:?}, {process:?}"),
        );
        drop(pinging);
    }
    findings.settle();
}

#[test]
fn a_virtual_machine_is_the_process_that_has_its_tap() {
    needs("python3");
    let world = World::new();
    let _serve = serve(&world, 1);
    world.desk.ip(&format!(
        "link add vms type bridge\naddr add {}/24 dev vms\naddr add {}/64 dev vms nodad\n\
         link set vms up\ntuntap add vm0 mode tap\nlink set vm0 master vms up\n",
        BRIDGE[0], BRIDGE[1],
    ));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/attribution/guest.py");
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    for family in Family::BOTH {
        let (gateway, guest) = (World::address(BRIDGE, family), World::address(GUEST, family));
        let words = ["vm0", &gateway.to_string(), &guest.to_string()].map(str::to_owned);
        let to = at(family, 7001);
        let mut command = world.desk.command("python3");
        command.arg(&script).args(words).args([to.ip().to_string(), to.port().to_string()]);
        let machine = Running::start(&mut command);
        let connection = seawall.owned(&format!("machine of {family:?}"), |connection| {
            connection.flow.direction == Direction::Forwarded
                && connection.flow.protocol == Protocol::UDP
                && connection.flow.initiator == guest
        });
        let by = seawall::attribution(&connection).map(|found| found.method);
        let process = seawall::process(&connection).expect("it is owned");
        let file = std::fs::read_link(format!("/proc/{}/exe", machine.pid())).expect("it runs");
        findings.check(
            by == Some(Method::Address) && process.key.pid == machine.pid() && runs(process, &file),
            format!("{family:?}: {by:?}, {process:?}; {}", machine.stderr()),
        );
        drop(machine);
    }
    findings.settle();
}
