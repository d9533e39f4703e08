//! The demo shows what it says, and leaves nothing behind however it ends.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lab::load::program;
use lab::world::needs;
use lab::{Findings, Running, eventually, run, run_ok};
use rustix::process::Signal;

/// How long it may take to build up, and to take everything down, on a busy machine.
const STARTS: Duration = Duration::from_secs(120);
const ENDS: Duration = Duration::from_secs(60);
/// The last line of what it shows at a time.
const LOOK: &str = "What programs saw:";

fn start(arguments: &[&str]) -> Running {
    let demo = program("lab-demo", "LAB_DEMO_BIN");
    Running::start(Command::new(demo).arg("--plain").args(arguments))
}

/// Anything of the demo's on this machine.
fn traces() -> Vec<String> {
    let namespaces = run_ok(Command::new("ip").args(["netns", "list"]));
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let folder: PathBuf = std::env::temp_dir().join("seawall-demo");
    let mut traces: Vec<String> = namespaces
        .lines()
        .chain(sockets.lines())
        .filter(|line| line.contains("seawall-demo"))
        .map(str::to_owned)
        .collect();
    traces.extend(folder.exists().then(|| folder.display().to_string()));
    let processes = run(Command::new("ps").args(["-eo", "pid,args"])).stdout;
    let ours = processes.lines().filter(|line| line.contains("/seawall-demo/"));
    traces.extend(ours.map(str::to_owned));
    traces
}

/// What a program saw, of the last look.
fn account<'a>(output: &'a str, program: &str) -> &'a str {
    let last = output.rsplit(LOOK).next().unwrap_or_default();
    let line = last.lines().find_map(|line| line.trim().strip_prefix(program));
    line.unwrap_or_else(|| panic!("nothing of {program} in: {output}")).trim()
}

/// The commands that it says to try, without `sudo` and what is said of them.
fn to_try(demo: &Running) -> Vec<String> {
    let mut commands = Vec::new();
    loop {
        let line = demo.line(STARTS).unwrap_or_else(|| panic!("it ended: {}", demo.stderr()));
        if line.starts_with(LOOK) {
            return commands;
        }
        let command = line.strip_prefix("  sudo ").and_then(|rest| rest.split("   ").next());
        commands.extend(command.map(|command| command.trim_end().to_owned()));
    }
}

#[test]
fn what_it_says_to_try_works() {
    needs("curl");
    let mut demo = start(&[]);
    let commands = to_try(&demo);
    let that = |word: &str| {
        let found = commands.iter().filter(|command| command.contains(word));
        found.cloned().collect::<Vec<_>>()
    };
    let shell = |command: &str| run(Command::new("sh").args(["-c", command]));
    let only = |word: &str| {
        let found = that(word);
        assert_eq!(found.len(), 1, "{word}: {commands:?}");
        found[0].clone()
    };
    let status = only(" status ");
    for (command, word) in [
        (status.clone(), "PROTECTED"),
        (only(" ps "), "Browser"),
        (only(" connections "), "a rule denies it"),
        (only(" components "), "verdict"),
    ] {
        let said = shell(&command);
        assert!(said.ok() && said.stdout.contains(word), "{command}: {said:?}");
    }
    let [page, tracker, neighbour] = that(" curl ").try_into().expect("three calls");
    assert!(shell(&page).ok(), "{page}: {:?}", shell(&page));
    // curl(1): 7, it couldn't connect; 28, nobody answered.
    for (command, code) in [(tracker, 7), (neighbour, 28)] {
        let said = shell(&command);
        assert_eq!(said.code, Some(code), "{command}: {said:?}");
    }
    let kill = shell(&only("kill -9 "));
    assert!(kill.ok(), "{kill:?}");
    eventually("a successor judges", STARTS, || {
        let said = shell(&status);
        said.stdout.starts_with("PROTECTED") && said.stdout.contains("1 crashed before it")
    });
    assert!(shell(&page).ok(), "nothing broke");
    let file = only("nano ").replace("nano ", "");
    let policy = std::fs::read_to_string(&file).expect("the demo's policy");
    let blocked = policy.replace("\"permit\"", "\"block\"");
    assert_ne!(policy, blocked);
    std::fs::write(&file, blocked).expect("it can be written");
    eventually("the changed policy is in force", STARTS, || shell(&page).code == Some(7));
    demo.signal(Signal::INT);
    assert!(demo.wait(ENDS).is_some_and(|status| status.success()), "{}", demo.stderr());
}

/// Its part for another terminal, as a shell takes it, with the exit code of each line.
#[test]
fn the_tour_of_the_readme_works() {
    needs("curl");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).expect("there is a README.md");
    let (_, tour) = readme.split_once("## A five-minute tour").expect("there is a tour");
    let block = tour.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let seawall = lab::seawall::binary();
    let block = block.expect("it has commands").replace("sudo ", "");
    let block = block.replace("$OLDPWD/target/release/seawall", &seawall.to_string_lossy());
    let mut script = String::new();
    for line in block.lines().filter(|line| !line.contains("nano")) {
        script.push_str(&format!("{line}\necho \"[$?] {}\"\n", line.replace(['"', '$'], "")));
        if line.contains("kill") {
            script.push_str("for i in $(seq 100); do $seawall status $at >/dev/null && break; sleep 0.1; done\n");
        }
    }
    let mut demo = start(&[]);
    to_try(&demo);
    let said = run(Command::new("bash").args(["-c", &script]));
    let code = |word: &str| {
        let lines = said.stdout.lines().filter(|line| line.starts_with('[') && line.contains(word));
        lines.map(|line| line[1..].split(']').next().unwrap_or_default()).collect::<Vec<_>>()
    };
    let mut findings = Findings::new();
    for (command, codes) in [
        ("cd /tmp", &["0"][..]),
        ("seawall status", &["0", "0"]),
        ("seawall ps", &["0"]),
        ("seawall connections", &["0"]),
        ("seawall explain", &["0"]),
        ("curl http://45.77.7.10/", &["0"]),
        ("curl http://45.77.7.12/", &["7"]),
        ("curl -m 3", &["28"]),
        ("kill -9", &["0"]),
    ] {
        let seen = code(command);
        findings.check(seen == codes, format!("{command}: {seen:?}"));
    }
    for word in ["PROTECTED", "Browser", "DENIED", "a rule denies it", "1 crashed before it"] {
        findings.check(said.stdout.contains(word), format!("it shows {word}"));
    }
    if findings.wrong() > 0 {
        findings.check(false, format!("{script}\n{said:?}"));
    }
    findings.settle();
    demo.signal(Signal::INT);
    assert!(demo.wait(ENDS).is_some_and(|status| status.success()), "{}", demo.stderr());
}

#[test]
fn the_demo_shows_what_it_says_and_leaves_nothing_behind() {
    let mut killed = start(&[]);
    assert!(
        killed.line_where(STARTS, |line| line.starts_with(LOOK)).is_some(),
        "it shows nothing: {}",
        killed.stderr()
    );
    killed.signal(Signal::KILL);
    killed.wait(ENDS).expect("what is killed ends");
    assert!(!traces().is_empty(), "the search for traces finds something at all");

    // The next one removes that first.
    let mut demo = start(&["--seconds", "12"]);
    let status = demo.wait(STARTS + ENDS).expect("it ends by itself");
    let output = demo.rest_of_output();
    assert!(status.success(), "{output}\n{}", demo.stderr());
    assert_eq!(traces(), Vec::<String>::new(), "after its end");
    let mut findings = Findings::new();
    for word in ["PROTECTED", "$ seawall ps", "$ seawall connections", "Browser", "ip netns exec"] {
        findings.check(output.contains(word), format!("it shows {word:?}"));
    }
    for (program, seen, unseen) in [
        ("browser", "reached shop.example", "refused"),
        ("browser", "reached news.example", "refused"),
        ("download", "reached shop.example", "refused"),
        ("backup", "reached 192.168.7.1", "reached shop.example"),
        ("backup", "refused shop.example", "no answer"),
        ("telemetry", "refused tracker.example", "reached"),
        ("scanner", "no answer from 192.168.7.2", "reached"),
        ("tracker.example", "nothing", "reached"),
        ("file-share", "nothing", "reached"),
        ("shop.example", "reached by 45.77.7.1", "nothing"),
    ] {
        let account = account(&output, program);
        findings.check(account.contains(seen), format!("{program}: {seen}: {account}"));
        findings.check(!account.contains(unseen), format!("{program}: not {unseen}: {account}"));
    }
    if findings.wrong() > 0 {
        findings.check(false, &output);
    }
    findings.settle();

    let mut told = start(&[]);
    let begun = told.line_where(STARTS, |line| line.starts_with(LOOK));
    assert!(begun.is_some(), "{}", told.stderr());
    told.signal(Signal::INT);
    let status = told.wait(ENDS).expect("Ctrl-C ends it");
    assert!(status.success(), "{}", told.stderr());
    assert_eq!(traces(), Vec::<String>::new(), "after Ctrl-C");
}
