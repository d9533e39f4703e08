//! Apps that have what is said of the program that started them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::probe::Kind;
use lab::{Family, Host, Seawall, World, eventually};

use super::path;

/// Shells by names of their own, for the rules to tell them apart.
struct Shells {
    folder: tempfile::TempDir,
}

impl Shells {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            std::fs::copy("/bin/bash", folder.path().join(name)).expect("a copy of bash");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the last of them connect, which is started by the one before it, and so on.
    fn connects(&self, host: &Host, chain: &[&str], port: u16) -> bool {
        let address = World::address(World::PEER, Family::V4);
        let mut command = format!("exec 3<>/dev/tcp/{address}/{port}");
        for name in chain.iter().skip(1).rev() {
            // Not its last command, or it would become what it starts.
            command = format!("{} -c '{}'; exit $?", self.path(name).display(), quoted(&command));
        }
        let first = self.path(chain[0]);
        let first = first.to_str().expect("plain");
        lab::run(host.command(first).args(["-c", &command])).ok()
    }
}

/// Within single quotes of a shell.
fn quoted(command: &str) -> String {
    command.replace('\'', r"'\''")
}

fn section(path: &Path, name: &str, says: &str) -> String {
    format!("[[app]]\nname = \"{name}\"\nmatch = {{ path = \"{}\" }}\n{says}\n", path.display())
}

#[test]
fn what_is_not_said_of_an_app_is_as_it_is_said_of_what_started_it() {
    let world = World::new();
    let shells = Shells::new(&["starter", "between", "tool", "other"]);
    let policy = [
        section(
            &shells.path("tool"),
            "tool",
            "use_parent = true\noutgoing_rules = [\"+ * TCP/7402\"]",
        ),
        section(&shells.path("other"), "other", "block_local = false"),
        section(&shells.path("starter"), "starter", "outgoing_rules = [\"- * TCP/7401-7402\"]"),
    ];
    let seawall = Seawall::on(&world.desk).policy(&policy.concat()).start();
    let path = path(&world, Family::V4);
    let _listeners = [7401, 7402].map(|port| path.listen(Kind::Tcp, port));
    let connects = |chain: &[&str], port| shells.connects(&world.desk, chain, port);
    assert!(connects(&["tool"], 7401), "nothing is said of what started it");
    assert!(!connects(&["starter", "tool"], 7401), "what started it may not");
    assert!(connects(&["starter", "tool"], 7402), "what is said of it counts first");
    assert!(
        !connects(&["starter", "between", "tool"], 7401),
        "the nearest that something is said of"
    );
    assert!(connects(&["starter", "other"], 7401), "who doesn't ask for it has its own");

    // For a moment the kernel may tell of a connection before the datapath does.
    let is_told = || {
        let json = seawall.verb(&["connections", "--json"]).json();
        let list = json["connections"].as_array().cloned().unwrap_or_default();
        list.iter().any(|it| {
            let reason = &it["reason"];
            reason["app"] == "starter"
                && reason["whose"] == "parent"
                && reason["rule"][1] == "- * TCP/7401-7402"
        })
    };
    eventually("the list says that what started it decided", Duration::from_secs(10), is_told);
    let tool = shells.path("tool");
    let explained = seawall.verb(&["explain", tool.to_str().expect("plain"), "9.9.9.9:7401"]);
    assert!(explained.stdout.contains("which program would start it isn't known"), "{explained:?}");

    // The same of profiles.
    seawall.set_policy("");
    let said = |words: &[&str]| {
        let answer = seawall.verb(words);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    };
    let starter = shells.path("starter");
    let [tool, starter] = [&tool, &starter].map(|path| path.to_str().expect("plain"));
    said(&["setting", "set", "use_parent", "on", "--app", tool]);
    said(&["rule", "add", "--app", starter, "- * TCP/7401"]);
    assert!(!connects(&["starter", "tool"], 7401), "its profile says so");
    assert!(connects(&["tool"], 7401));
    let for_all = seawall.verb(&["setting", "set", "use_parent", "on"]);
    assert!(for_all.stderr.contains("for a single app"), "{for_all:?}");
}
