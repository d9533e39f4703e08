//! Connections that are not a program's own call: echoes, calls from outside, and those that only pass.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::load::program;
use lab::probe::{Kind, Path as Way, Patience};
use lab::process::Running;
use lab::world::needs;
use lab::{Deed, Family, Findings, Held, Programs, Seawall, Serve, World};
use seawall_messages::flow::{Direction, Protocol};
use std::net::SocketAddr;

use super::common::{POLICY, at, runs, serve};

/// The file that a program's name stands for.
fn file_of(name: &str) -> PathBuf {
    needs(name);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .and_then(|path| path.canonicalize().ok());
    found.unwrap_or_else(|| panic!("`{name}` is not where the search path says"))
}

#[test]
fn an_echo_request_is_its_programs() {
    let world = World::new();
    let ping = file_of("ping");
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    for (family, protocol) in [(Family::V4, Protocol::ICMP), (Family::V6, Protocol::ICMPV6)] {
        let to = World::address(World::PEER, family);
        world.desk.run("ping", &["-n", "-c", "2", "-i", "0.2", "-W", "5", &to.to_string()]);
        let connection = seawall.owned(&format!("ping of {family:?}"), |connection| {
            connection.flow.protocol == protocol
                && connection.flow.direction == Direction::Outbound
                && connection.flow.responder == to
        });
        let process = lab::seawall::process(&connection).expect("it has a process");
        findings.check(runs(process, &ping), format!("{family:?}: {connection:?}"));
    }
    findings.settle();
}

#[test]
fn a_call_from_outside_is_the_servers() {
    const PORT: u16 = 7301;
    let world = World::new();
    let server = program("lab-load", "LAB_LOAD_BIN").canonicalize().expect("it is there");
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let desk = Family::BOTH.map(|family| World::address(World::DESK, family));
    let on = desk.map(|address| SocketAddr::new(address, PORT));
    let _serve = Serve::start(&world.desk, &on, &on);
    let mut findings = Findings::new();
    for family in Family::BOTH {
        let peer = World::address(World::PEER, family);
        let desk = World::address(World::DESK, family);
        let path = Way::new(&world.peer, peer, &world.desk, desk);
        for (kind, protocol) in [(Kind::Tcp, Protocol::TCP), (Kind::Udp, Protocol::UDP)] {
            path.send(kind, PORT, Patience(Duration::from_secs(2)));
            let what = format!("inbound {kind:?} of {family:?}");
            let connection = seawall.owned(&what, |connection| {
                connection.flow.direction == Direction::Inbound
                    && connection.flow.protocol == protocol
                    && connection.flow.destination_port() == Some(PORT)
                    && connection.flow.responder == desk
            });
            let process = lab::seawall::process(&connection).expect("it has a process");
            findings.check(runs(process, &server), format!("{what}: {connection:?}"));
        }
    }
    findings.settle();
}

/// Listens, hands the socket to another program, as a service manager does, and ends.
const HANDS_ON: &str = "
import socket, subprocess, sys
listener = socket.create_server(('0.0.0.0', int(sys.argv[1])))
serve = '''
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
listener.settimeout(60)
print('up', flush=True)
listener.accept()[0].recv(1)
'''
number = listener.fileno()
subprocess.Popen([sys.argv[2], '-S', '-B', '-c', serve, str(number)], pass_fds=[number])
";

#[test]
fn a_call_is_that_of_the_program_that_the_socket_was_handed_to() {
    const PORT: u16 = 7311;
    const COMES_UP: Duration = Duration::from_secs(20);
    let world = World::new();
    let programs = Programs::new();
    let opener = programs.copy_interpreter("opener");
    let service = programs.copy_interpreter("service");
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut command = world.desk.command(&opener.to_string_lossy());
    command.args(["-S", "-B", "-c", HANDS_ON, &PORT.to_string(), &service.to_string_lossy()]);
    let mut opening = Running::start(command.env("PYTHONHOME", &programs.interpreter().home));
    assert!(opening.line_where(COMES_UP, |line| line == "up").is_some(), "{}", opening.stderr());
    assert!(opening.wait(COMES_UP).is_some(), "the opener ends");
    let to = SocketAddr::new(World::address(World::DESK, Family::V4), PORT);
    let _called = world.peer.connect(to, COMES_UP).expect("the service answers");
    let connection = seawall.owned("a call at a socket that was handed on", |connection| {
        connection.flow.direction == Direction::Inbound
            && connection.flow.destination_port() == Some(PORT)
    });
    let process = lab::seawall::process(&connection).expect("it has a process");
    assert!(runs(process, &service), "{connection:?}");
}

/// The file that a path names, without what says which container it is in.
fn ends_in(path: &str, executable: &Path) -> bool {
    Path::new(path) == executable || path.ends_with(&format!(":{}", executable.display()))
}

#[test]
fn a_connection_that_passes_is_the_programs_behind_us() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    let cases = [Deed::Connect, Deed::SendTo, Deed::ConnectAndSend];
    for family in Family::BOTH {
        for (number, deed) in cases.into_iter().enumerate() {
            let executable = programs.app(number);
            let held = Held::on(&world.inner, &executable, deed, at(family, 7001));
            let what = format!("{deed:?} of {family:?} from behind");
            let connection = seawall.owned_from(&what, deed.protocol(), held.from_port());
            let process = lab::seawall::process(&connection).expect("it has a process");
            findings.check(
                connection.flow.direction == Direction::Forwarded
                    && ends_in(&process.path, &executable),
                format!("{what}: {connection:?}"),
            );
        }
    }
    findings.settle();
}

#[test]
fn the_apps_on_the_network_are_listed_with_what_they_have_open() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let executable = programs.app(3);
    let mut held = Held::on(&world.desk, &executable, Deed::Connect, at(Family::V4, 7001));
    held.again();
    seawall.process_from("the program", Protocol::TCP, held.from_port());
    let id = format!("path:{}", executable.display());
    lab::eventually("both connections are counted", Duration::from_secs(15), || {
        let apps = seawall.apps().apps;
        apps.iter().any(|one| *one.app.id == *id && one.open == 2 && one.pids == [held.pid()])
    });
    held.end();
    lab::eventually("they are seen to be over", Duration::from_secs(30), || {
        seawall.apps().apps.iter().all(|one| *one.app.id != *id || one.open == 0)
    });
    let apps = seawall.apps();
    let known = apps.apps.iter().find(|one| *one.app.id == *id);
    assert!(
        known.is_some_and(|one| one.connections == 2 && one.traffic.sent_packets > 0),
        "what it did stays known: {known:?}"
    );
}
