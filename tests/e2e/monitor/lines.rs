//! What happens, line by line, where there is no terminal.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use lab::{Seawall, World, eventually, until};
use serde_json::Value;

use super::common::{Caller, SOON};

/// From one caller to the next.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

#[test]
fn a_line_for_what_appears_changes_and_ends() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let _before = Caller::start(&world, 7001);
    let binary = lab::seawall::binary().to_string_lossy().into_owned();
    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    let arguments = ["monitor", "--json", "--run-dir", &run_dir];
    let following = world.desk.start(&binary, &arguments);
    let plain = world.desk.start(&binary, &["monitor", "--run-dir", &run_dir]);
    // What there was before it began is not told; so first it must have begun.
    let hears = |event: &str, port: u16| {
        let line = following.line_where(SOON, |line| {
            let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
            line["event"] == event
                && line["connection"]["flow"]["transport"]["ports"]["responder"] == port
        });
        line.unwrap_or_else(|| panic!("{event} {port} is not told: {}", following.stderr()))
    };
    let mut callers = Vec::new();
    let mut ports = 7_100_u16..;
    eventually("it follows", SOON, || {
        let port = ports.next().unwrap_or(7_100);
        callers.push(Caller::start(&world, port));
        following
            .line(std::time::Duration::from_millis(2_500))
            .is_some_and(|line| !line.contains(":7001"))
    });
    let mut caller = Caller::start(&world, 7_050);
    hears("appeared", 7_050);
    let said = plain.line_where(SOON, |line| line.contains(":7050")).expect("a plain line");
    assert!(said.contains("appeared allow  ") && said.contains("Bash: outbound TCP"), "{said}");
    assert_eq!(seawall.verb(&["rule", "add", "- 10.77.1.2 TCP/7050"]).code, Some(0));
    hears("changed", 7_050);
    assert!(caller.is_cut(SOON));
    drop(callers.pop());
    hears("ended", ports.start - 1);
}

#[test]
fn once_lists_what_there_is() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let _caller = Caller::start(&world, 7001);
    eventually("it is listed", SOON, || {
        seawall.verb(&["monitor", "--once"]).stdout.contains("listed   allow  Bash: outbound TCP")
    });
    let json = seawall.verb(&["monitor", "--once", "--json"]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let lines: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let is_it =
        |line: &Value| line["connection"]["flow"]["transport"]["ports"]["responder"] == 7001;
    assert!(lines.iter().any(is_it), "{lines:?}");
    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    drop(seawall);
    let gone = lab::seawall::command(&world.desk, &["monitor", "--once", "--run-dir", &run_dir]);
    assert_eq!(gone.code, Some(4), "{gone:?}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    let mut command = world.desk.command(&lab::seawall::binary().to_string_lossy());
    command.args(["monitor", "--plain", "--run-dir"]).arg(seawall.run_dir());
    let mut monitor =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(monitor.stdout.take().expect("its output"));
    let mut callers = Vec::new();
    let mut line = String::new();
    // One line shows that it has begun.
    let mut port = 7_100;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| lines.read_line(&mut line));
        eventually("it follows", SOON, || {
            callers.push(Caller::start(&world, port));
            port += 1;
            until(PAUSE, || reader.is_finished().then_some(()));
            reader.is_finished()
        });
    });
    assert!(line.contains("appeared"), "{line}");
    drop(lines);
    eventually("it ends", SOON, || monitor.try_wait().is_ok_and(|status| status.is_some()));
    let finished = monitor.wait_with_output().expect("it ended");
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(String::from_utf8_lossy(&finished.stderr), "");
}
