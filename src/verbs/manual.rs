//! `seawall completions` and `seawall man`: made from the command line's own
//! definition, so that they always say what it takes.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Outcome;
use super::complete::kind;
use super::complete::shell::with_known;
use crate::cli::{Cli, ShellName};
use crate::output;

/// Section of the manual: commands of the administrator.
const SECTION: &str = "8";

/// Files that every page names.
const FILES: [(&str, &str); 5] = [
    ("/etc/seawall/seawall.toml", "The policy: what is permitted, and how Seawall runs."),
    ("/var/lib/seawall", "What outlives a restart: the last good policy, adopted entries."),
    ("/run/seawall/api.sock", "The API's socket: for root and the group seawall."),
    ("/run/seawall/keeper.json", "How the keeper stands, for `status` while no worker answers."),
    ("http://127.0.0.1:9817/metrics", "Metrics for Prometheus."),
];

/// Exit codes, as `--help` tells them.
const EXIT_CODES: [(&str, &str); 5] = [
    ("0", "It went well; for status: PROTECTED."),
    ("1", "It did not."),
    ("2", "The command line is wrong."),
    ("3", "status: DEGRADED, packets are judged but something needs attention."),
    ("4", "status: NOT PROTECTED; every verb that asks a running Seawall: none is running."),
];

/// Environment that verbs look at.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("NO_COLOR", "Where it is set, nothing is coloured unless --color=always."),
    ("TERM", "Where it is dumb or not set, nothing is coloured unless --color=always."),
    ("SEAWALL_LOG", "Which log lines `run` writes: info, debug, or a filter for each part."),
];

/// Prints what a shell reads to complete our command lines.
pub(super) fn completions(shell: ShellName) -> Outcome {
    output::verbatim(script(shell).as_bytes());
    Outcome::Done
}

/// What the command line's definition says, and a call of this very verb for all else.
fn script(shell: ShellName) -> String {
    let generator = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut Cli::command(), "seawall", &mut script);
    with_known(shell, &String::from_utf8_lossy(&script), &known_options())
}

/// Options whose values a running Seawall knows.
fn known_options() -> Vec<String> {
    fn visit(command: &clap::Command, verbs: &[&str], found: &mut BTreeSet<String>) {
        let known = command.get_arguments().filter(|it| kind(verbs, it).is_some());
        found.extend(known.filter_map(|it| it.get_long()).map(str::to_owned));
        for verb in command.get_subcommands() {
            visit(verb, &[verbs, &[verb.get_name()]].concat(), found);
        }
    }
    let mut found = BTreeSet::new();
    visit(&Cli::command(), &[], &mut found);
    found.into_iter().collect()
}

/// Prints the page of the whole command, or writes one for it and each verb.
pub(super) fn man(folder: Option<&Path>) -> Outcome {
    let written = match folder {
        None => pages().map(|pages| {
            if let Some((_, page)) = pages.first() {
                output::verbatim(page);
            }
        }),
        Some(folder) => write(folder),
    };
    match written {
        Ok(()) => Outcome::Done,
        Err(error) => {
            output::complaint(format_args!("can't write the manual: {error}"));
            Outcome::Failed
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let told = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
    for (name, page) in pages()? {
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, page).map_err(|error| told(&path, error))?;
        output::line(path.display());
    }
    Ok(())
}

/// Names and texts of the pages: the whole command first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    pages.push(page(command)?);
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        add_pages(verb, pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let title = name.to_uppercase();
    // What stands below a page's options in `--help` has a section of its own here.
    let man = Man::new(command.clone().after_help("").after_long_help(""))
        .title(title)
        .section(SECTION)
        .source(format!("seawall {}", env!("CARGO_PKG_VERSION")))
        .manual("Seawall");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    section("EXIT STATUS", &EXIT_CODES).to_writer(&mut text)?;
    section("FILES", &FILES).to_writer(&mut text)?;
    section("ENVIRONMENT", &ENVIRONMENT).to_writer(&mut text)?;
    see_also(&name).to_writer(&mut text)?;
    Ok((format!("{name}.{SECTION}"), text))
}

fn section(title: &str, entries: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (name, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
    roff
}

fn see_also(name: &str) -> Roff {
    let mut roff = Roff::new();
    let others = ["seawall", "seawall-run", "seawall-status", "seawall-explain"];
    let others = others.into_iter().filter(|other| *other != name);
    let list: Vec<_> = others.map(|other| format!("{other}({SECTION})")).collect();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(list.join(", "))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_verb_that_is_shown() {
        let pages = pages().expect("pages");
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["seawall.8", "seawall-run.8", "seawall-status.8", "seawall-explain.8"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("worker")), "{names:?}");
        for (name, page) in &pages {
            let page = String::from_utf8_lossy(page);
            for words in [".SH NAME", ".SH SYNOPSIS", ".SH \"EXIT STATUS\"", ".SH FILES"] {
                assert!(page.contains(words), "{name} lacks {words}:\n{page}");
            }
        }
    }

    #[test]
    fn every_shell_is_told_of_every_verb() {
        for shell in [ShellName::Bash, ShellName::Zsh, ShellName::Fish] {
            let script = script(shell);
            for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{shell:?}: no {}", verb.get_name());
            }
        }
    }

    /// The parts of a generated script that ours lean on may change with its generator.
    #[test]
    fn every_shell_asks_a_running_seawall() {
        let calls = [
            (ShellName::Bash, "command seawall completions bash"),
            (ShellName::Zsh, "command seawall completions zsh"),
            (ShellName::Fish, "command seawall completions fish"),
        ];
        for (shell, call) in calls {
            assert!(script(shell).contains(call), "{shell:?}");
        }
        assert_eq!(known_options(), ["app", "network"]);
        let bash = script(ShellName::Bash);
        assert!(bash.contains("\n_seawall() {\n") || bash.starts_with("_seawall() {\n"));
        let zsh = script(ShellName::Zsh);
        assert!(zsh.starts_with("#compdef seawall\n"));
        assert!(zsh.contains("\n_seawall_defined() {\n"));
        assert_eq!(zsh.matches("\n_seawall() {\n").count(), 1);
        let fish = script(ShellName::Fish);
        let asking = fish.matches("-x -a '(__seawall_known)'").count();
        assert_eq!(asking, fish.matches(" -l app ").count() + fish.matches(" -l network ").count());
        assert!(asking > 5, "{asking}");
    }
}
