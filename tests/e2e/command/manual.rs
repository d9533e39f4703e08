//! Completions that a shell completes with, and pages that `groff` renders.

use std::process::Command;
use std::time::Duration;

use lab::process::run_with_input;
use lab::run;
use lab::world::needs;

fn seawall(arguments: &[&str]) -> lab::process::Finished {
    run(Command::new(lab::seawall::binary()).args(arguments))
}

/// How long something may take that nobody waits for.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What bash would complete the last word with.
pub(crate) fn completed(words: &[&str]) -> Vec<String> {
    let script = seawall(&["completions", "bash"]);
    assert!(script.ok() && script.stderr.is_empty(), "{script:?}");
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let ask = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n\
         $(complete -p seawall | sed 's/.*-F \\([^ ]*\\).*/\\1/') seawall '{}' '{before}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script.stdout,
        quoted.join(" "),
        words[last]
    );
    // Without start-up files nobody has loaded the package bash-completion.
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile"]).env("PATH", path_with_seawall());
    let answer = run_with_input(&mut bash, &ask);
    assert!(answer.stderr.is_empty(), "{answer:?}");
    answer.stdout.lines().map(str::to_owned).collect()
}

/// The script calls the command by its name.
fn path_with_seawall() -> std::ffi::OsString {
    let binary = lab::seawall::binary();
    let own = binary.parent().map(ToOwned::to_owned);
    let usual = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&usual))).expect("a path")
}

#[test]
fn bash_completes_verbs_options_and_values() {
    needs("bash");
    assert_eq!(completed(&["seawall", "conn"]), ["connections"]);
    assert_eq!(completed(&["seawall", "adopted", "rem"]), ["remove"]);
    let options = completed(&["seawall", "explain", "--"]);
    for option in ["--inbound", "--protocol", "--json", "--run-dir"] {
        assert!(options.iter().any(|known| known == option), "{option}: {options:?}");
    }
    assert_eq!(completed(&["seawall", "completions", "z"]), ["zsh"]);
    assert_eq!(completed(&["seawall", "--color", "al"]), ["always"]);
}

#[test]
fn other_shells_are_known_and_strange_ones_are_not() {
    assert!(seawall(&["completions", "zsh"]).stdout.starts_with("#compdef seawall"));
    assert!(seawall(&["completions", "fish"]).stdout.contains("complete -c seawall"));
    assert_eq!(seawall(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn every_verb_has_a_page_that_renders_without_a_warning() {
    needs("groff");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let out = folder.path().join("man8");
    let written = seawall(&["man", "--out", &out.to_string_lossy()]);
    assert!(written.ok(), "{written:?}");
    let pages: Vec<&str> = written.stdout.lines().collect();
    assert!(pages.len() >= 12, "{pages:?}");
    for page in &pages {
        let rendered =
            run(Command::new("groff").args(["-man", "-Tutf8", "-P-cbou", "-ww"]).arg(page));
        assert!(rendered.ok() && rendered.stderr.is_empty(), "{page}: {rendered:?}");
        for heading in ["NAME", "SYNOPSIS", "EXIT STATUS", "FILES"] {
            assert!(rendered.stdout.lines().any(|line| line == heading), "{page}: {heading}");
        }
        assert!(rendered.stdout.contains("/etc/seawall/seawall.toml"), "{page}");
    }
    let whole = std::fs::read_to_string(out.join("seawall.8")).expect("it was written");
    assert_eq!(seawall(&["man"]).stdout.trim_end(), whole.trim_end());
    let refused = seawall(&["man", "--out", "/proc/nowhere"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("/proc/nowhere"), "{refused:?}");
}

#[test]
fn a_policy_file_is_checked_without_a_running_seawall() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("policy.toml");
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).expect("written");
        let file = path.to_string_lossy().into_owned();
        seawall(&[&["check", "--config", file.as_str()], more].concat())
    };
    let good = check("[filter]\noutgoing_rules = [\"+ LAN\", \"- *\"]\n", &[]);
    assert!(good.ok() && good.stdout.contains("is good: 2 rules"), "{good:?}");
    let bad = check("[filter]\nblock_lan = true\noutgoing_rules = [\"+ LAN TCP/99999\"]\n", &[]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains("policy.toml:3:") && bad.stdout.is_empty(), "{bad:?}");
    let json = check("nonsense", &["--json"]);
    assert_eq!(json.code, Some(1), "{json:?}");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["good"], false);
    let nothing = folder.path().join("missing.toml");
    let missing = seawall(&["check", "--config", &nothing.to_string_lossy()]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("hint:"), "{missing:?}");
}
