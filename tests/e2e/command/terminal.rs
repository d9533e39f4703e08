//! What people see: colours where they want them, tables that fit, nothing that
//! plays with the terminal, and what to do when it doesn't work.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use lab::process::{Finished, Running, run};
use lab::world::needs;
use lab::{Family, Host, Seawall, World, eventually};

const ESCAPE: char = '\u{1b}';

/// Runs our command on a terminal of so many columns.
fn on_terminal(host: &Host, columns: u32, environment: &[(&str, &str)], line: &str) -> Finished {
    needs("script");
    let binary = lab::seawall::binary();
    let line = format!("stty cols {columns} rows 24; '{}' {line}", binary.display());
    let mut command = host.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").env("SHELL", "/bin/sh");
    run(command.envs(environment.iter().copied()))
}

fn shown_lines(finished: &Finished) -> Vec<String> {
    finished.stdout.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[test]
fn colours_come_on_terminals_that_want_them_and_nowhere_else() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let line = |more: &str| format!("status --run-dir '{}' {more}", seawall.run_dir().display());
    let is_colored = |environment: &[(&str, &str)], more: &str| {
        let shown = on_terminal(&world.desk, 100, environment, &line(more));
        assert!(shown.stdout.contains("PROTECTED"), "{shown:?}");
        shown.stdout.contains(ESCAPE)
    };
    assert!(is_colored(&[], ""));
    assert!(!is_colored(&[("NO_COLOR", "1")], ""));
    assert!(is_colored(&[("NO_COLOR", "")], ""), "empty is not set");
    assert!(!is_colored(&[("TERM", "dumb")], ""));
    assert!(!is_colored(&[], "--color never"));
    assert!(is_colored(&[("NO_COLOR", "1")], "--color always"));
    assert!(!seawall.verb(&["status"]).stdout.contains(ESCAPE), "not in a pipe");
    assert!(seawall.verb(&["status", "--color=always"]).stdout.starts_with(ESCAPE));
    assert_eq!(seawall.verb(&["status", "--color", "blue"]).code, Some(2));
}

/// A shell whose file has a name that plays with terminals, with a connection open.
fn rogue(world: &World, folder: &std::path::Path) -> Running {
    let program = folder.join("ro\u{1b}[31mgue\nPROTECTED\u{202e}漢字漢字漢字");
    std::fs::copy("/bin/bash", &program).expect("copied");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("runs");
    let to = World::address(World::PEER, Family::V4);
    let script = format!("exec 3<>/dev/tcp/{to}/7001; echo open; read -r line");
    let mut command = world.desk.command(&program.to_string_lossy());
    let running = Running::start(command.args(["-c", &script]));
    assert_eq!(running.line(Duration::from_secs(10)).as_deref(), Some("open"));
    running
}

#[test]
fn what_programs_call_themselves_stays_text_and_tables_fit() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let _serve = lab::Serve::start(
        &world.peer,
        &[(World::address(World::PEER, Family::V4), 7001).into()],
        &[],
    );
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let _rogue = rogue(&world, folder.path());
    let shown = |answer: &str| answer.contains("gue") && answer.contains("7001");
    let mut listed = String::new();
    eventually("its connection is listed", Duration::from_secs(15), || {
        listed = seawall.verb(&["connections"]).stdout;
        listed.contains("7001")
    });
    let ps = seawall.verb(&["ps", "--all"]).stdout;
    assert!(ps.contains("ro\\u{1b}[31mgue\\nPROTECTED\\u{202e}"), "{ps}");
    let json = seawall.verb(&["ps", "--all", "--json"]);
    assert!(json.json()["apps"].is_array());
    let explained = seawall.verb(&["explain", &_rogue.pid().to_string(), "9.9.9.9"]).stdout;
    for text in [&ps, &listed, &json.stdout, &explained] {
        let unfit = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(unfit, None, "{text}");
    }
    assert!(!ps.contains('…') && !shown(&ps), "nothing is cut in a pipe: {ps}");

    let run_dir = seawall.run_dir();
    for columns in [80, 100, 400] {
        let line = format!("ps --all --color never --run-dir '{}'", run_dir.display());
        let table = on_terminal(&world.desk, columns, &[], &line);
        let widest = shown_lines(&table).iter().map(|line| width(line)).max().unwrap_or_default();
        assert!(widest <= columns as usize, "{widest} of {columns} columns: {}", table.stdout);
        assert_eq!(table.stdout.contains('…'), columns < 400, "{columns}: {}", table.stdout);
    }
}

/// Columns of what this test shows: the ideographs take two.
fn width(line: &str) -> usize {
    line.chars().map(|c| if ('\u{4e00}'..='\u{9fff}').contains(&c) { 2 } else { 1 }).sum()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let binary = lab::seawall::binary();
    for verb in ["connections --json", "components", "man", "completions bash", "--help"] {
        let run_dir = match verb.split(' ').next() {
            Some("connections" | "components") => {
                format!("--run-dir '{}'", seawall.run_dir().display())
            }
            _ => String::new(),
        };
        // The shell's `true` reads nothing and is gone at once.
        let line =
            format!("'{}' {verb} {run_dir} | true; exit ${{PIPESTATUS[0]}}", binary.display());
        let answer = run(world.desk.command("bash").args(["-c", &line]));
        assert!(answer.ok() && answer.stderr.is_empty(), "{verb}: {answer:?}");
    }
}

#[test]
fn a_stranger_is_told_what_to_do() {
    needs("setpriv");
    let world = World::new();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let run_dir = folder.path().to_string_lossy().into_owned();
    let ask = |arguments: &[&str]| lab::seawall::command(&world.desk, arguments);
    let status = ask(&["status", "--run-dir", &run_dir]);
    assert_eq!(status.code, Some(4), "{status:?}");
    for words in ["NOT PROTECTED: Seawall is not running", "sudo seawall run", "remove-rules"] {
        assert!(status.stdout.contains(words), "{words}: {status:?}");
    }
    let ps = ask(&["ps", "--run-dir", &run_dir]);
    assert_eq!(ps.code, Some(4), "{ps:?}");
    assert!(ps.stderr.contains("hint: start it with `sudo seawall run`"), "{ps:?}");
    let typo = ask(&["stauts"]);
    assert_eq!(typo.code, Some(2), "{typo:?}");
    assert!(typo.stderr.contains("'status'"), "{typo:?}");

    let seawall = Seawall::on(&world.desk).start();
    let binary = lab::seawall::binary().to_string_lossy().into_owned();
    let reachable = tempfile::TempDir::new().expect("a temporary folder");
    let everybody = std::fs::Permissions::from_mode(0o755);
    for folder in [reachable.path(), seawall.path(), seawall.run_dir().as_path()] {
        std::fs::set_permissions(folder, everybody.clone()).expect("opened to all");
    }
    // The program may lie where nobody else may look.
    let copy = reachable.path().join("seawall");
    std::fs::copy(&binary, &copy).expect("copied");
    let mut command: Command = world.desk.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&copy);
    let refused = run(command.args(["status", "--run-dir"]).arg(seawall.run_dir()));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for words in ["permission denied", "hint:", "sudo", "group"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
    seawall.write_policy("[filter]\nblock_lann = true\n");
    let reload = seawall.verb(&["reload"]);
    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert!(reload.stderr.contains("seawall.toml:2:1: filter.block_lann"), "{reload:?}");
    assert!(reload.stderr.contains("stays"), "{reload:?}");
}
