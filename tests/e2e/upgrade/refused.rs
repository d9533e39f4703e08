//! Upgrades that are refused before anything is touched.

use std::os::unix::fs::{PermissionsExt as _, chown};

use lab::World;

use super::rig::{Rig, copy, runs};
use crate::load;

#[test]
fn a_program_that_others_may_change_is_not_started() {
    let world = World::new();
    let _serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let (worker, running) = (seawall.worker_pid(), runs(seawall.keeper_pid()));

    let writable = rig.good();
    std::fs::set_permissions(&writable, std::fs::Permissions::from_mode(0o775)).expect("set");
    rig.put_in_place(&writable);
    let answer = seawall.verb(&["upgrade"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("others than root"), "{answer:?}");

    let foreign = rig.good();
    chown(&foreign, Some(65_534), None).expect("changed");
    rig.put_in_place(&foreign);
    let answer = seawall.verb(&["upgrade"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("belongs to user"), "{answer:?}");
    assert_eq!(seawall.worker_pid(), worker, "nothing was touched");
    assert_eq!(runs(worker), running);
}

#[test]
fn only_root_may_upgrade() {
    let world = World::new();
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let socket = seawall.run_dir().join("keeper.sock");
    let mode = std::fs::metadata(&socket).expect("the keeper's socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Even where someone may open the socket, the keeper looks who it is.
    for (path, mode) in [(seawall.path().to_owned(), 0o755), (socket, 0o666)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    }
    let program =
        std::path::Path::new("/tmp").join(format!("seawall-nobody-{}", std::process::id()));
    copy(&lab::seawall::binary(), &program);
    let run_dir = seawall.run_dir();
    let mut command = world.desk.command("setpriv");
    let answer = lab::run(
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg("/usr/bin/python3")
            .arg("-c")
            .arg(
                "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(10)\n\
                 s.connect(sys.argv[1])\nprint(len(s.recv(100)))",
            )
            .arg(run_dir.join("keeper.sock")),
    );
    assert_eq!(answer.stdout.trim(), "0", "the keeper hangs up without a word: {answer:?}");
    let mut command = world.desk.command("setpriv");
    let answer = lab::run(
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg(&program)
            .args(["upgrade", "--run-dir"])
            .arg(&run_dir),
    );
    std::fs::remove_file(&program).expect("removed");
    assert!(answer.code == Some(1) && answer.stderr.contains("needs root"), "{answer:?}");
    assert!(seawall.log().contains("is not root"), "{}", seawall.log());
}

#[test]
fn without_a_keeper_there_is_nothing_to_upgrade() {
    let world = World::new();
    let answer =
        lab::seawall::command(&world.desk, &["upgrade", "--run-dir", "/run/seawall-nowhere"]);
    assert!(answer.code == Some(4) && answer.stderr.contains("not running"), "{answer:?}");
}
