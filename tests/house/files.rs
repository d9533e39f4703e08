//! What every folder holds, and what no file contains.

use std::path::{Path, PathBuf};

use crate::source::{
    code_only, files_below, has_extension, has_word, is_test_file, read, root, without_test_module,
};

/// Most lines of a file, its test module aside.
const MOST_LINES: usize = 450;

/// Most lines of a file that holds tests only.
const MOST_TEST_LINES: usize = 1000;

/// What every actor crate holds, so that a reader knows where to look before opening.
const ACTOR_FILES: [&str; 5] = ["lib.rs", "actor.rs", "error.rs", "events.rs", "tests.rs"];

/// Where an absolute path may point: places that every Linux machine has, its control groups
/// among them, and our API's routes.
const KNOWN_PLACES: [&str; 18] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "healthz",
    "lib",
    "metrics",
    "nix",
    "opt",
    "proc",
    "run",
    "sbin",
    "sys",
    "system.slice",
    "tmp",
    "usr",
    "v1",
    "var",
];

fn rust_files() -> Vec<PathBuf> {
    let files: Vec<_> =
        files_below("").into_iter().filter(|path| has_extension(path, "rs")).collect();
    assert!(files.len() >= 50, "only {} Rust files were found", files.len());
    files
}

/// Fails with all offenders at once.
fn assert_none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn files_are_short() {
    let offenders = rust_files().into_iter().filter_map(|path| {
        let text = read(&path);
        let (lines, most) = if is_test_file(&path) {
            (text.lines().count(), MOST_TEST_LINES)
        } else {
            (without_test_module(&code_only(&text)).lines().count(), MOST_LINES)
        };
        (lines > most).then(|| format!("{}: {lines} lines, at most {most}", path.display()))
    });
    assert_none("split these files by idea", offenders.collect());
}

#[test]
fn no_module_is_called_mod_rs() {
    let offenders = rust_files().into_iter().filter(|path| path.ends_with("mod.rs"));
    assert_none(
        "use foo.rs beside foo/",
        offenders.map(|path| path.display().to_string()).collect(),
    );
}

#[test]
fn every_actor_has_the_standard_files() {
    let manifests = files_below("actors").into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let actors: Vec<_> =
        manifests.filter_map(|path| path.parent().map(Path::to_path_buf)).collect();
    assert!(actors.len() >= 4, "only {} actors were found", actors.len());
    let missing = actors.iter().flat_map(|actor| {
        ACTOR_FILES
            .iter()
            .map(|name| actor.join("src").join(name))
            .filter(|path| !root().join(path).is_file())
    });
    assert_none("missing", missing.map(|path| path.display().to_string()).collect());
}

#[test]
fn every_file_says_what_it_is_for() {
    // The tests of a file lie below it and are named by it.
    let offenders = rust_files().into_iter().filter(|path| {
        if path.iter().any(|part| part == "src") && is_test_file(path) {
            return false;
        }
        let text = read(path);
        let head =
            text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!"));
        !head.is_some_and(|line| line.starts_with("//!"))
    });
    assert_none(
        "no module doc at the head",
        offenders.map(|path| path.display().to_string()).collect(),
    );
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    let offenders = rust_files().into_iter().filter(|path| {
        let allowed = path.starts_with("platform") || path.starts_with("ebpf");
        !allowed && has_word(&code_only(&read(path)), "unsafe")
    });
    assert_none(
        "unsafe outside platform/ and ebpf/",
        offenders.map(|path| path.display().to_string()).collect(),
    );
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let offenders =
        rust_files().into_iter().filter(|path| !is_test_file(path)).filter_map(|path| {
            let code = code_only(&read(&path));
            let count = without_test_module(&code).matches(".unwrap()").count();
            (count > 0).then(|| format!("{}: {count}", path.display()))
        });
    assert_none("unwrap() in code that runs", offenders.collect());
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!", "#[ignore"];
    let offenders =
        rust_files().into_iter().filter(|path| !path.starts_with("tests/house")).flat_map(|path| {
            let text = read(&path);
            let found = marks.into_iter().filter(move |mark| text.contains(mark));
            found.map(move |mark| format!("{}: {mark}", path.display())).collect::<Vec<_>>()
        });
    assert_none("unfinished, or tests that never run", offenders.collect());
}

#[test]
fn no_path_of_somebodys_machine_is_in_the_text() {
    let texts = ["rs", "md", "toml", "sh", "service", "yml"];
    let offenders = files_below("").into_iter().filter_map(|path| {
        let plain = path.ends_with("Makefile") || path.starts_with(".ci");
        // A test may name a place that exists nowhere.
        let is_test = path.iter().any(|part| part == "src") && is_test_file(&path);
        if path.starts_with("tests/house")
            || is_test
            || !plain && !texts.iter().any(|extension| has_extension(&path, extension))
        {
            return None;
        }
        let text = read(&path);
        let lines = without_test_module(&code_only(&text)).lines().count();
        let is_rust = has_extension(&path, "rs");
        let kept = if is_rust { first_lines(&text, lines) } else { text };
        let strange = strange_paths(&kept);
        (!strange.is_empty()).then(|| format!("{}: {}", path.display(), strange.join(", ")))
    });
    assert_none("absolute paths that only some machine has", offenders.collect());
}

fn first_lines(text: &str, count: usize) -> String {
    text.lines().take(count).map(|line| line.to_owned() + "\n").collect()
}

/// Absolute paths in `text` whose first folder is in no list of known places.
fn strange_paths(text: &str) -> Vec<String> {
    let starts_path =
        |before: Option<char>| before.is_none_or(|c| c.is_whitespace() || "\"'`(=".contains(c));
    let mut found = Vec::new();
    for (at, _) in text.match_indices('/') {
        if !starts_path(text[..at].chars().next_back()) {
            continue;
        }
        let path: String =
            text[at..].chars().take_while(|c| c.is_alphanumeric() || "/._-".contains(*c)).collect();
        let mut parts = path.split('/').skip(1);
        let place = parts.next().unwrap_or_default();
        let is_deep = parts.next().is_some_and(|part| !part.is_empty());
        let is_name = place.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_deep && is_name && !KNOWN_PLACES.contains(&place) {
            found.push(path);
        }
    }
    found
}

#[test]
fn strange_paths_are_told_from_known_ones() {
    let cases = [
        ("see /etc/seawall/seawall.toml", 0),
        ("GET /v1/status", 0),
        ("under `/home/ada/src`", 1),
        ("\"/root/x\"", 1),
        ("10.0.0.0/8, TCP/80, and/or, a / b", 0),
        ("// a comment, /// a doc", 0),
    ];
    for (text, expected) in cases {
        assert_eq!(strange_paths(text).len(), expected, "{text}");
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = read("README.md");
    for command in ["make run", "make test"] {
        assert!(readme.contains(command), "README.md doesn't name `{command}`");
    }
}

#[test]
fn ci_runs_what_people_run() {
    assert!(read(".ci/run").contains("make test"), ".ci/run doesn't call `make test`");
}

#[test]
fn rooms_without_a_crate_say_what_will_live_there() {
    let rooms = ["ebpf", "spn"].map(PathBuf::from).into_iter();
    let actors =
        std::fs::read_dir(root().join("actors")).expect("the actors' folder can be listed");
    let actors =
        actors.map(|entry| Path::new("actors").join(entry.expect("it can be read").file_name()));
    let silent = rooms.chain(actors).filter(|room| {
        let room = root().join(room);
        !room.join("Cargo.toml").is_file() && !room.join("README.md").is_file()
    });
    assert_none(
        "neither crate nor README.md",
        silent.map(|room| room.display().to_string()).collect(),
    );
}

#[test]
fn the_architecture_says_of_every_component_what_traffic_does_while_it_is_down() {
    let manifest = read("src/tree/manifest.rs");
    let promises: Vec<_> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("while_down: \"")?.strip_suffix("\","))
        .collect();
    assert!(promises.len() >= 7, "only {} components were found in the manifest", promises.len());
    let architecture = read("ARCHITECTURE.md");
    let missing = promises.into_iter().filter(|promise| !architecture.contains(promise));
    assert_none("ARCHITECTURE.md doesn't say", missing.map(str::to_owned).collect());
}
