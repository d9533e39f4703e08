//! Rules that end with their app.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::{Family, Host, Running, Seawall, World, eventually};

use super::path;

/// How long a program may take to do what nothing hinders.
const EASY: Duration = Duration::from_secs(10);

/// What a rule allowed is cut within this after its end.
const CUT: Duration = Duration::from_secs(1);

const PORT: u16 = 7401;
const RULE: &str = "+ * TCP/7401 until=exit";

/// Waits for a word, connects, and repeats what it hears until the connection ends.
const PROGRAM: &str = r#"
read -r word
exec 3<>"/dev/tcp/$1/$2" || exit 1
echo connected
while read -r -u 3 line; do echo "$line"; done
echo over
read -r word
"#;

/// Apps: copies of a shell.
struct Apps<'a> {
    folder: tempfile::TempDir,
    host: &'a Host,
}

/// A process of one, which has yet to connect.
struct App(Running);

impl<'a> Apps<'a> {
    fn new(host: &'a Host, names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            std::fs::copy("/bin/bash", folder.path().join(name)).expect("a copy of bash");
        }
        Self { folder, host }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().expect("plain").to_owned()
    }

    fn start(&self, name: &str) -> App {
        let address = World::address(World::PEER, Family::V4).to_string();
        let arguments = ["-c", PROGRAM, "app", &address, &PORT.to_string()];
        App(self.host.start(&self.path(name), &arguments))
    }
}

impl App {
    /// Has it connect. Gives the far end, unless it was refused.
    fn connects(&mut self, listener: &TcpListener) -> Option<std::net::TcpStream> {
        self.0.write("go\n");
        self.0.line(EASY).filter(|line| line == "connected")?;
        Some(listener.accept().expect("it has connected").0)
    }

    #[track_caller]
    fn hears(&self, far_end: &mut std::net::TcpStream, word: &str) {
        writeln!(far_end, "{word}").expect("it is sent");
        assert_eq!(self.0.line(EASY).as_deref(), Some(word));
    }

    fn end(mut self) {
        self.0.signal(rustix::process::Signal::KILL);
        assert!(self.0.wait(EASY).is_some(), "it ends");
    }
}

fn listener(world: &World) -> TcpListener {
    let path = path(world, Family::V4);
    path.to.listen(SocketAddr::new(path.destination, PORT))
}

#[test]
fn a_rule_until_the_app_ends_cuts_what_it_allowed_when_its_oldest_process_is_gone() {
    let world = World::new();
    let apps = Apps::new(&world.desk, &["app", "other"]);
    let mut seawall =
        Seawall::on(&world.desk).policy("[filter]\ndefault_action = \"block\"\n").start();
    let listener = listener(&world);
    let app = apps.path("app");
    let add = |seawall: &Seawall<'_>| seawall.verb(&["rule", "add", "--app", &app, RULE]);

    let mut first = apps.start("app");
    let mut second = apps.start("app");
    let added = add(&seawall);
    assert_eq!(added.code, Some(0), "{added:?}");
    let mut of_first = first.connects(&listener).expect("allowed by the rule");
    let mut of_second = second.connects(&listener).expect("another process of the app");
    assert!(apps.start("other").connects(&listener).is_none(), "the rule is not for others");

    // Seawall's own restarts are no end of the app.
    let killed = seawall.kill_worker();
    seawall.wait_for_successor(killed, Duration::from_secs(5)).expect("another worker");
    first.hears(&mut of_first, "still");
    second.hears(&mut of_second, "there");
    let mut third = apps.start("app");
    let mut of_third = third.connects(&listener).expect("the rule goes on");

    let begun = Instant::now();
    first.end();
    for (process, what) in [(&second, "a stream that two workers allowed"), (&third, "a new one")] {
        assert_eq!(process.0.line(CUT).as_deref(), Some("over"), "{what} is cut");
    }
    assert!(begun.elapsed() < CUT, "cut within {:?}", begun.elapsed());
    assert!(apps.start("app").connects(&listener).is_none(), "a new process of the app");
    let listed = seawall.verb(&["rule", "list"]);
    assert!(listed.stdout.contains("(the app has ended since)"), "{listed:?}");
    assert!(listed.stdout.contains(RULE), "{listed:?}");
    let explained = seawall.verb(&["explain", &app, &format!("9.9.9.9:{PORT}")]);
    assert!(explained.stdout.contains("doesn't count: the app has ended since"), "{explained:?}");
    drop((of_first, of_second, of_third.flush()));

    // Said again, it is of the one that is the oldest now; as it was, when Seawall itself was stopped meanwhile.
    assert_eq!(add(&seawall).code, Some(0));
    let (_, folder) = seawall.stop();
    let policy = "[filter]\ndefault_action = \"block\"\n";
    let seawall =
        Seawall::on(&world.desk).policy(policy).folder(folder.expect("its folder")).start();
    let mut fourth = apps.start("app");
    let mut of_fourth = fourth.connects(&listener).expect("the rule counts again");
    third.end();
    fourth.hears(&mut of_fourth, "not the oldest");
    second.end();
    assert_eq!(fourth.0.line(CUT).as_deref(), Some("over"));
    assert_eq!(seawall.status().policy.expect("a policy").idle_rules.len(), 0);
}

#[test]
fn only_a_command_about_an_app_that_runs_says_until_exit() {
    let world = World::new();
    let apps = Apps::new(&world.desk, &["app"]);
    let seawall = Seawall::on(&world.desk).policy("[filter]\ndefault_action = \"block\"\n").start();
    let listener = listener(&world);
    let app = apps.path("app");
    let refused = |words: &[&str], why: &str| {
        let answer = seawall.verb(words);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains(why), "{answer:?}");
    };
    refused(&["rule", "add", RULE], "until=exit needs an app");
    refused(&["rule", "add", "--app", &app, RULE], "running process of the app \"app\"");
    let takes = "`seawall rule add --app` takes until=exit";
    refused(&["setting", "set", "outgoing_rules", RULE, "--app", &app], takes);
    assert_eq!(seawall.verb(&["rule", "check", RULE]).code, Some(0));

    let mut process = apps.start("app");
    let of = |what: &str| seawall.verb(&["rule", what, "--app", &app, RULE]);
    let added = of("add");
    assert_eq!(added.code, Some(0), "{added:?}");
    let exported = seawall.verb(&["export"]);
    assert!(!exported.stdout.contains("until"), "{exported:?}");
    let kept = seawall.verb(&["setting", "get", "outgoing_rules", "--app", &app]);
    assert_eq!(kept.stdout.trim(), RULE, "people see no process");
    assert_eq!(of("disable").code, Some(0));
    assert!(apps.start("app").connects(&listener).is_none(), "it is switched off");
    assert_eq!(of("enable").code, Some(0));
    let mut far_end = process.connects(&listener).expect("it is switched on");
    process.hears(&mut far_end, "here");
    let removed = of("remove");
    assert!(removed.stdout.contains(&format!("`{RULE}` removed from")), "{removed:?}");
    assert_eq!(process.0.line(CUT).as_deref(), Some("over"), "it is gone");

    seawall.write_policy(&format!("[filter]\noutgoing_rules = [\"{RULE}\"]\n"));
    refused(&["reload"], takes);
    eventually("the old policy stays", EASY, || {
        seawall.status().policy.is_some_and(|policy| policy.refused.is_some())
    });
}
