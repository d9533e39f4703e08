//! Containers of Podman and systemd-nspawn, and a unit of systemd: whose their connections are, by name,
//! and that a rule denies them. Needs systemd as PID 1.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lab::process::Running;
use lab::seawall::process;
use lab::{Family, Findings, Host, Seawall, Serve, World, eventually, run_ok};
use seawall_messages::process::{AppKind, Process};

/// First port that the server listens on; each container calls another one.
const FIRST: u16 = 7401;
const STARTS: Duration = Duration::from_secs(90);
const POLICY: &str =
    "[[app]]\nmatch = { path = \"/usr/bin/nobody-runs-this\" }\noutgoing_rules = [\"- * TCP/1\"]\n";

/// A root with nothing but busybox in it.
fn busybox_root() -> tempfile::TempDir {
    let root = tempfile::TempDir::with_prefix("seawall-guest-root-").expect("a folder");
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp", "usr", "run", "var"] {
        std::fs::create_dir(root.path().join(folder)).expect("a folder");
    }
    let busybox = root.path().join("bin/busybox");
    std::fs::copy("/bin/busybox", &busybox).expect("busybox-static is needed");
    for name in ["sh", "nc", "sleep"] {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(name)).expect("a link");
    }
    std::fs::write(root.path().join("etc/os-release"), "ID=busybox\n").expect("a file");
    run_ok(Command::new("chmod").arg("755").arg(root.path()));
    root
}

/// What a container does: connects to the server, again and again.
fn calls(port: u16) -> String {
    let peer = World::address(World::PEER, Family::V4);
    format!("while :; do nc {peer} {port} </dev/null; sleep 1; done")
}

/// The image that all containers of Podman are made from, without a registry.
const IMAGE: &str = "localhost/seawall-busybox";

fn import(podman: &mut Command, root: &std::path::Path) {
    let archive = PathBuf::from(format!("{}.tar", root.display()));
    run_ok(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(root).arg("."));
    run_ok(podman.args(["import", "--quiet"]).arg(&archive).arg(IMAGE));
    std::fs::remove_file(archive).expect("the archive");
}

/// Ends a container when it goes out of scope.
struct Ending(Command);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.output();
    }
}

fn ending(program: &str, arguments: &[&str]) -> Ending {
    let mut command = Command::new(program);
    command.args(arguments);
    Ending(command)
}

fn caller(seawall: &Seawall<'_>, what: &str, port: u16) -> Process {
    let mut found = None;
    eventually(&format!("{what} is seen, with its owner"), STARTS, || {
        let list = seawall.try_connections().unwrap_or_default();
        found = list
            .iter()
            .filter(|connection| connection.flow.destination_port() == Some(port))
            .find_map(|connection| process(connection).cloned());
        found.is_some()
    });
    found.expect("it was found")
}

/// What is expected of one way to run something.
struct Expected {
    what: &'static str,
    path: String,
    kind: AppKind,
    in_group: &'static str,
}

/// Looks whose the calls to a port are; then denies that, and sees that nothing more arrives.
fn judge(
    seawall: &Seawall<'_>,
    serve: &mut Serve,
    port: u16,
    expected: &Expected,
    findings: &mut Findings,
) {
    let Expected { what, path, kind, in_group } = expected;
    let owner = caller(seawall, what, port);
    findings.check(*owner.path == **path, format!("{what}: not {path}, but {owner:?}"));
    findings.check(owner.app.kind == *kind, format!("{what}: not {kind:?}, but {:?}", owner.app));
    findings.check(owner.cgroup.contains(in_group), format!("{what}: {:?}", owner.cgroup));
    let listed = seawall.apps().apps.into_iter().find(|one| one.app.id == owner.app.id);
    findings.check(
        listed.as_ref().is_some_and(|one| one.connections > 0 && *one.path == **path),
        format!("{what}: `seawall ps` shows {listed:?}"),
    );
    // Its connection is cut, and no further one comes through.
    seawall.set_policy(&format!(
        "[[app]]\nmatch = {{ path = \"{path}\" }}\noutgoing_rules = [\"- *\"]\n"
    ));
    let mut before = serve.report().accepted(port);
    let mut denied = 0;
    eventually(&format!("{what} is denied"), STARTS, || {
        let list = seawall.try_connections().unwrap_or_default();
        denied = list
            .iter()
            .filter(|one| one.flow.destination_port() == Some(port))
            .filter(|one| one.action != seawall_messages::Action::Allow)
            .count();
        if denied == 0 {
            before = serve.report().accepted(port);
        }
        denied >= 2
    });
    let after = serve.report().accepted(port);
    findings.check(after == before, format!("{what}: {after} calls arrived, {before} before"));
    seawall.set_policy(POLICY);
}

fn started(world: &World) -> (Seawall<'_>, Serve) {
    let peer = World::address(World::PEER, Family::V4);
    let ports: Vec<SocketAddr> =
        (FIRST..FIRST + 8).map(|port| SocketAddr::new(peer, port)).collect();
    let serve = Serve::start(&world.peer, &ports, &[]);
    (Seawall::on(&world.desk).policy(POLICY).start(), serve)
}

fn podman(host: &Host) -> Command {
    host.command("podman")
}

#[test]
fn a_container_of_podman_is_known_by_its_name() {
    let world = World::new();
    let (seawall, mut serve) = started(&world);
    let root = busybox_root();
    import(&mut podman(&world.desk), root.path());
    let mut findings = Findings::new();
    let networks: [(&str, &str, u16); 2] = [("web", "host", FIRST), ("db", "bridge", FIRST + 1)];
    for (name, network, port) in networks {
        let _ending = ending("podman", &["rm", "--force", "--time", "0", name]);
        run_ok(podman(&world.desk).args([
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            network,
            IMAGE,
            "sh",
            "-c",
            &calls(port),
        ]));
        let expected = Expected {
            what: "a container of Podman",
            path: format!("podman:{name}:/bin/busybox"),
            kind: AppKind::Container,
            in_group: "libpod-",
        };
        judge(&seawall, &mut serve, port, &expected, &mut findings);
    }
    findings.settle();
}

#[test]
fn a_container_that_a_user_runs_carries_the_user() {
    const USER: &str = "lab";
    let world = World::new();
    let (seawall, mut serve) = started(&world);
    let root = busybox_root();
    let port = FIRST + 2;
    run_ok(Command::new("useradd").args([
        "--create-home",
        "--home-dir",
        "/var/lib/lab",
        "--uid",
        "1042",
        USER,
    ]));
    run_ok(Command::new("loginctl").args(["enable-linger", USER]));
    eventually("the user's systemd is up", STARTS, || {
        std::path::Path::new("/run/user/1042/systemd/private").exists()
    });
    // Of the user's own session, in the network namespace of `desk`.
    let as_user = || {
        let mut command = world.desk.command("setpriv");
        command.args(["--reuid", "1042", "--regid", "1042", "--init-groups", "env", "-C", "/"]);
        command.args(["HOME=/var/lib/lab", "XDG_RUNTIME_DIR=/run/user/1042", "podman"]);
        command
    };
    import(&mut as_user(), root.path());
    let _container = Running::start(as_user().args([
        "--cgroup-manager=systemd",
        "run",
        "--name",
        "mine",
        "--network",
        "host",
        IMAGE,
        "sh",
        "-c",
        &calls(port),
    ]));
    let expected = Expected {
        what: "a user's container",
        path: "podman@1042:mine:/bin/busybox".to_owned(),
        kind: AppKind::Container,
        in_group: "user@1042.service",
    };
    let mut findings = Findings::new();
    judge(&seawall, &mut serve, port, &expected, &mut findings);
    let _ = as_user().args(["rm", "--force", "--time", "0", "mine"]).output();
    findings.settle();
}

#[test]
fn a_machine_of_nspawn_is_known_by_its_name() {
    let world = World::new();
    let (seawall, mut serve) = started(&world);
    let root = busybox_root();
    let port = FIRST + 3;
    let mut command = world.desk.command("systemd-nspawn");
    command.args([
        "--quiet",
        "--machine=example",
        "--as-pid2",
        "--resolv-conf=off",
        "--timezone=off",
    ]);
    command.arg(format!("--directory={}", root.path().display()));
    let _machine = Running::start(command.args(["/bin/sh", "-c", &calls(port)]));
    let expected = Expected {
        what: "a machine of systemd-nspawn",
        path: "nspawn:example:/bin/busybox".to_owned(),
        kind: AppKind::Container,
        in_group: "machine.slice",
    };
    let mut findings = Findings::new();
    judge(&seawall, &mut serve, port, &expected, &mut findings);
    findings.settle();
}

#[test]
fn a_unit_of_systemd_is_in_its_control_group() {
    let world = World::new();
    let (seawall, mut serve) = started(&world);
    let port = FIRST + 4;
    let _ending = ending("systemctl", &["stop", "seawall-lab-caller.service"]);
    run_ok(Command::new("systemd-run").args([
        "--unit=seawall-lab-caller",
        &format!("--property=NetworkNamespacePath=/run/netns/{}", world.desk.namespace()),
        "/bin/busybox",
        "sh",
        "-c",
        &calls(port).replace("nc ", "/bin/busybox nc "),
    ]));
    let expected = Expected {
        what: "a unit of systemd",
        path: std::fs::canonicalize("/bin/busybox").expect("it is there").display().to_string(),
        kind: AppKind::Path,
        in_group: "/system.slice/seawall-lab-caller.service",
    };
    let mut findings = Findings::new();
    judge(&seawall, &mut serve, port, &expected, &mut findings);
    findings.settle();
}
