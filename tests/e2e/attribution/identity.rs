//! Who a program is: replaced while it runs, no longer root, a script, or with the process id of another.

use std::path::Path;
use std::process::Command;

use lab::oneshot::on_cue;
use lab::world::needs;
use lab::{Deed, Family, Findings, Held, Host, Programs, Seawall, World};
use seawall_messages::flow::Protocol;
use seawall_messages::process::AppKind;

use super::common::{POLICY, at, runs, serve};

/// `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;
/// Attempts to get a process id once more: others may take it first.
const REUSE_ATTEMPTS: usize = 50;

/// Python on a host, with a script of [`on_cue`].
fn python(host: &Host, file: &Path, programs: &Programs, script: &str) -> Command {
    let mut command = host.command(&file.to_string_lossy());
    command.args(["-S", "-B", "-c", script]).env("PYTHONHOME", &programs.interpreter().home);
    command
}

#[test]
fn a_binary_replaced_while_it_runs_keeps_its_path_and_is_known_to_be_gone() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let executable = programs.copy("replaced");
    let mut old = Held::on(&world.desk, &executable, Deed::Connect, at(Family::V4, 7001));
    let process = seawall.process_from("before", Protocol::TCP, old.from_port());
    assert!(runs(&process, &executable) && !process.deleted, "before: {process:?}");

    programs.copy("replaced");
    let later = old.again();
    let process = seawall.process_from("the old program, later", Protocol::TCP, later);
    assert!(runs(&process, &executable) && process.deleted, "replaced: {process:?}");
    let new = Held::on(&world.desk, &executable, Deed::Connect, at(Family::V4, 7001));
    let process = seawall.process_from("the new program", Protocol::TCP, new.from_port());
    assert!(runs(&process, &executable) && !process.deleted, "its successor: {process:?}");

    std::fs::remove_file(&executable).expect("it can be removed");
    let last = old.again();
    let process = seawall.process_from("the file is gone", Protocol::TCP, last);
    assert!(runs(&process, &executable) && process.deleted, "removed: {process:?}");
}

#[test]
fn a_process_that_drops_root_is_listed_as_the_user_that_it_is() {
    needs("setpriv");
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let to = at(Family::V4, 7001);

    let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    let mut before_exec = world.desk.command("setpriv");
    before_exec.args([&uid, &gid, "--clear-groups", "--"]).arg(programs.app(1));
    let held = Held::start(before_exec, Deed::Connect, to);
    let process = seawall.process_from("dropped before exec", Protocol::TCP, held.from_port());
    assert!(runs(&process, &programs.app(1)) && process.uid == NOBODY, "{process:?}");

    let file = programs.copy_interpreter("drops-root");
    let script = on_cue(to, "", &format!("os.setgid({NOBODY}) or os.setuid({NOBODY})"));
    let mut held = Held::start_any(python(&world.desk, &file, &programs, &script));
    let process = seawall.process_from("as root", Protocol::TCP, held.from_port());
    assert!(runs(&process, &file) && process.uid == 0, "{process:?}");
    let later = held.again();
    let process = seawall.process_from("dropped while it runs", Protocol::TCP, later);
    assert!(runs(&process, &file) && process.uid == NOBODY, "{process:?}");
}

#[test]
fn a_script_is_an_app_of_its_own_whatever_starts_its_interpreter() {
    needs("env");
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    // One that only root could have put there: any other may claim to run whatever it likes.
    let interpreter = "/usr/bin/python3".to_owned();
    let script = programs.folder().join("fetch.py");
    let text = on_cue(at(Family::V4, 7001), "", "pass");
    // As the kernel starts it, and by the interpreter's name.
    std::fs::write(&script, format!("#!{interpreter} -B\n{text}")).expect("the script is written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("the script can be started");
    let name = script.to_string_lossy().into_owned();
    let relative = "fetch.py";
    let folder = programs.folder();
    let mut findings = Findings::new();
    let starts: [(&str, Vec<&str>); 4] = [
        ("by its first line", vec![&name]),
        ("by the interpreter", vec![&interpreter, &name]),
        ("by env", vec!["env", &interpreter, "-B", &name]),
        ("by a relative path", vec![&interpreter, "-u", relative]),
    ];
    for (how, words) in starts {
        let mut command = world.desk.command(words[0]);
        command.args(&words[1..]).current_dir(folder);
        let held = Held::start_any(command);
        let process = seawall.process_from(how, Protocol::TCP, held.from_port());
        findings.check(
            process.app.kind == AppKind::Script && *process.app.id == *format!("script:{name}"),
            format!("{how}: {process:?}"),
        );
    }
    findings.settle();
}

/// Starts the second program under the process id that the first one had.
fn with_the_id_of(pid: u32, start: impl Fn() -> Held) -> Option<Held> {
    // The kernel takes the next id that is free (proc(5), ns_last_pid).
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
        .expect("ns_last_pid can be set: the kernel has checkpoint and restore");
    let held = start();
    (held.pid() == pid).then_some(held)
}

#[test]
fn a_process_id_used_again_is_another_process() {
    let world = World::new();
    let programs = Programs::new();
    let _serve = serve(&world, 1);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let start =
        |number| Held::on(&world.desk, &programs.app(number), Deed::Connect, at(Family::V4, 7001));
    let found = (0..REUSE_ATTEMPTS).find_map(|_| {
        let first = start(1);
        let (pid, from_port) = (first.pid(), first.from_port());
        let process = seawall.process_from("the first", Protocol::TCP, from_port);
        assert!(runs(&process, &programs.app(1)), "{process:?}");
        drop(first);
        let second = with_the_id_of(pid, || start(2))?;
        Some((process.key, second))
    });
    let (first, second) = found.expect("the kernel gives a process id once more");
    let process = seawall.process_from("the second", Protocol::TCP, second.from_port());
    assert!(runs(&process, &programs.app(2)), "{process:?}");
    assert!(process.key != first && process.key.pid == first.pid, "{first}, {process:?}");
}
