//! What bash completes of all that a running Seawall knows.

use std::path::Path;

use lab::pane::Pane;
use lab::world::needs;
use lab::{Family, Seawall, World, eventually};

use super::manual::{SOON, completed};

/// Shells are asked about, all others pass.
const POLICY: &str = "\
[[app]]
match = { path = \"/usr/bin/bash\" }
default_action = \"ask\"

[[network]]
name = \"office\"
match = { gateway = \"10.77.1.2\" }

[[network]]
name = \"cafe\"
match = { gateway = \"10.77.9.9\" }
";

/// A Seawall that has something to tell, and its run folder.
fn started(world: &World) -> (Seawall<'_>, String) {
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let changes: [&[&str]; 5] = [
        &["profile", "make", "/opt/tool", "--name", "My Tool"],
        &["profile", "make", "snap:toolbox", "--name", "Toolbox"],
        &["rule", "add", "- 10.9.0.1 TCP/80"],
        &["rule", "add", "--incoming", "- 10.9.0.2"],
        &["rule", "add", "--app", "My Tool", "+ *"],
    ];
    for change in changes {
        let changed = seawall.verb(change);
        assert!(changed.code == Some(0), "{change:?}: {}", changed.stderr);
    }
    let run_dir = seawall.run_dir().to_string_lossy().into_owned();
    (seawall, run_dir)
}

#[test]
fn bash_completes_what_a_running_seawall_knows() {
    needs("bash");
    let world = World::new();
    let _listens = world.desk.listen((World::address(World::DESK, Family::V4), 7009).into());
    let (seawall, run_dir) = started(&world);
    let server = std::net::SocketAddr::new(World::address(World::PEER, Family::V4), 7001);
    let _server = world.peer.listen(server);
    let script = format!("exec 3<>/dev/tcp/{}/{}", server.ip(), server.port());
    let _asked = world.desk.start("bash", &["-c", &script]);
    let prompts = || seawall.verb(&["prompts", "--json"]).json();
    eventually("it is asked about", SOON, || prompts()["prompts"][0]["id"].is_u64());
    let prompt = prompts()["prompts"][0]["id"].to_string();
    let adopted = seawall.verb(&["adopted", "--json"]).json()["adopted"][0]["id"].to_string();

    // The words behind `seawall --run-dir DIR` as bash parts them, and what they are completed with.
    let cases: [(&[&str], &[&str]); 17] = [
        (&["export", "--app", "My"], &["My\\ Tool"]),
        (&["export", "--app", "\"My"], &["My Tool"]),
        (&["export", "--app", "=", "My"], &["My\\ Tool"]),
        (&["setting", "list", "--app", "/opt"], &["/opt/tool"]),
        (&["rule", "list", "--app", "Toolb"], &["Toolbox"]),
        (&["profile", "show", "Toolb"], &["Toolbox"]),
        (&["profile", "rename", "My\\ T"], &["My\\ Tool"]),
        (&["profile", "make", "/opt/t"], &["/opt/tool"]),
        (&["explain", "/opt/"], &["/opt/tool"]),
        (&["explain", "snap", ":", "tool"], &["toolbox"]),
        (&["prompts", "answer", ""], &[&prompt]),
        (&["prompts", "dismiss", ""], &[&prompt]),
        (&["adopted", "remove", ""], &[&adopted]),
        (&["rule", "remove", "-"], &["-\\ 10.9.0.1\\ TCP/HTTP"]),
        (&["rule", "disable", "--incoming", "\"- 10"], &["- 10.9.0.2"]),
        (&["rule", "enable", "--app", "My Tool", ""], &["+\\ \\*"]),
        (&["rule", "check", "+ *", "--network", ""], &["office", "cafe"]),
    ];
    for (words, expected) in cases {
        let line = [&["seawall", "--run-dir", &run_dir], words].concat();
        // `--run-dir` is of the verbs, so it stands behind the first.
        let line = [&line[..1], &words[..1], &line[1..3], &words[1..]].concat();
        assert_eq!(completed(&line), expected, "{words:?}");
    }
    // What is offered is taken.
    let removed = seawall.verb(&["rule", "remove", "- 10.9.0.1 TCP/HTTP"]);
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
}

#[test]
fn without_a_seawall_bash_completes_what_the_command_line_says() {
    needs("bash");
    let nowhere = ["seawall", "prompts", "--run-dir", "/nowhere", "answer", "-"];
    let options = completed(&nowhere);
    assert!(options.iter().any(|option| option == "--once"), "{options:?}");
    let nothing = completed(&["seawall", "export", "--run-dir", "/nowhere", "--app", "zzz"]);
    assert!(nothing.iter().all(String::is_empty), "{nothing:?}");
}

#[test]
fn a_key_completes_on_a_terminal() {
    needs("tmux");
    let world = World::new();
    let (_seawall, run_dir) = started(&world);
    let pane = Pane::start(&world.desk, "bash --norc --noprofile -i", (200, 20));
    let binary = lab::seawall::binary();
    let folder = binary.parent().unwrap_or(Path::new("/"));
    let start = format!(
        "PATH='{}':$PATH; cd /; source <(seawall completions bash); run='{run_dir}'; echo rea''dy",
        folder.display()
    );
    pane.keys(&["-l", &start]);
    pane.keys(&["Enter"]);
    pane.shows_all(&["ready"]);
    let cases = [
        ("explain", "snap:to", "snap:toolbox"),
        ("export", "--app=My", "--app=My\\ Tool"),
        ("export", "--app \"My", "--app \"My Tool\""),
    ];
    for (verb, typed, completed) in cases {
        pane.keys(&["-l", &format!("seawall {verb} --run-dir {run_dir} {typed}")]);
        pane.keys(&["Tab"]);
        pane.shows_all(&[completed]);
        pane.keys(&["C-u", "C-l"]);
    }
}
