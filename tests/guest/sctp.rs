//! SCTP: judged by rules that name its ports, and known whose it is.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use lab::process::Running;
use lab::seawall::process;
use lab::{Family, Findings, Host, Seawall, World};
use seawall_messages::flow::Protocol;

const OPEN: u16 = 7001;
const FORBIDDEN: u16 = 7101;
const POLICY: &str = "[filter]\noutgoing_rules = [\"- * SCTP/7101\"]\n\
    [[app]]\nmatch = { path = \"/usr/bin/nobody-runs-this\" }\noutgoing_rules = [\"- * TCP/1\"]\n";
const UP: Duration = Duration::from_secs(30);

/// Says who called, once for each call.
const SERVER: &str = "
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
server = socket.socket(family, socket.SOCK_STREAM, 132)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen()
print('up', flush=True)
while True:
    called, _ = server.accept()
    called.sendall(b'x')
    print('called', flush=True)
    called.close()
";

/// Ends with 0 when it was answered, with 3 when it was not.
const CLIENT: &str = "
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
client = socket.socket(family, socket.SOCK_STREAM, 132)
client.settimeout(8)
try:
    client.connect((sys.argv[1], int(sys.argv[2])))
    assert client.recv(1) == b'x'
except OSError:
    sys.exit(3)
";

fn python(host: &Host, program: &str, to: IpAddr, port: u16) -> Command {
    let mut command = host.command("python3");
    command.args(["-S", "-c", program, &to.to_string(), &port.to_string()]);
    command
}

#[test]
fn a_rule_with_a_port_decides_and_the_owner_is_known() {
    lab::run_ok(Command::new("modprobe").arg("sctp"));
    let python_file = std::fs::canonicalize("/usr/bin/python3").expect("python3 is needed");
    let world = World::new();
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let mut findings = Findings::new();
    for family in Family::BOTH {
        let to = World::address(World::PEER, family);
        for (port, passes) in [(OPEN, true), (FORBIDDEN, false)] {
            let what = format!("SCTP to {}", SocketAddr::new(to, port));
            let server = Running::start(&mut python(&world.peer, SERVER, to, port));
            assert!(server.line_where(UP, |line| line == "up").is_some(), "{}", server.stderr());
            let ended = lab::run(&mut python(&world.desk, CLIENT, to, port));
            let expected = if passes { 0 } else { 3 };
            findings.check(ended.code == Some(expected), format!("{what}: {ended:?}"));
            let within = if passes { UP } else { Duration::from_millis(200) };
            let called = server.line_where(within, |line| line == "called").is_some();
            findings.check(called == passes, format!("{what}: the server was called: {called}"));
            let connection = seawall.owned(&what, |connection| {
                connection.flow.protocol == Protocol::SCTP
                    && connection.flow.responder == to
                    && connection.flow.destination_port() == Some(port)
            });
            let owner = process(&connection).expect("it has a process");
            findings
                .check(*owner.path == *python_file.to_string_lossy(), format!("{what}: {owner:?}"));
        }
    }
    findings.settle();
}
