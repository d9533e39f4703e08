//! What the command line takes and what it refuses.

use clap::CommandFactory;
use clap::error::ErrorKind;
use seawall_messages::Protocol;
use seawall_messages::explain::Whom;

use super::*;

fn parse(line: &str) -> Result<Verb, clap::Error> {
    Cli::try_parse_from(std::iter::once("seawall").chain(line.split_whitespace()))
        .map(|cli| cli.verb)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn run_knows_its_folders() {
    let Ok(Verb::Run(folders)) = parse("run") else { panic!("run parses") };
    assert_eq!(folders.config.config, PathBuf::from("/etc/seawall/seawall.toml"));
    assert_eq!(folders.state_dir, PathBuf::from("/var/lib/seawall"));
    assert_eq!(folders.run_dir, PathBuf::from("/run/seawall"));
    let Ok(Verb::Run(folders)) = parse("run --config a --state-dir b --run-dir c") else {
        panic!("run parses with folders")
    };
    assert_eq!(
        [folders.config.config, folders.state_dir, folders.run_dir],
        ["a", "b", "c"].map(PathBuf::from)
    );
}

#[test]
fn clients_take_run_dir_and_json_wherever_they_stand() {
    for line in [
        "status --run-dir x --json",
        "components --json --run-dir x",
        "connections --limit 3 --run-dir x --json",
        "adopted --run-dir x --json",
        "adopted list --run-dir x --json",
        "adopted --json remove 3 --run-dir x",
        "network --json --run-dir x",
        "reload --run-dir x --json",
        "monitor --once --plain --run-dir x --json",
        "rule --run-dir x add + --json",
    ] {
        let verb = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let (Verb::Status(common)
        | Verb::Components(common)
        | Verb::Connections { common, .. }
        | Verb::Adopted { common, .. }
        | Verb::Network { common, .. }
        | Verb::Monitor { common, .. }
        | Verb::Rule { common, .. }
        | Verb::Reload(common)) = verb
        else {
            panic!("{line} is no client")
        };
        assert!(common.json, "{line}");
        assert_eq!(common.run_dir, PathBuf::from("x"), "{line}");
    }
}

#[test]
fn colours_are_known_before_the_rest_of_the_line() {
    let cases = [
        ("status", ColorChoice::Auto),
        ("status --color never", ColorChoice::Never),
        ("--color=always --help", ColorChoice::Always),
        ("status --color", ColorChoice::Auto),
        ("status --color blue", ColorChoice::Auto),
        ("status --colour never", ColorChoice::Auto),
        ("explain -- --color never", ColorChoice::Auto),
    ];
    for (line, expected) in cases {
        let words = line.split_whitespace().map(OsString::from);
        assert_eq!(color_of(words), expected, "{line}");
    }
}

#[test]
fn a_rule_may_begin_with_its_sign() {
    let cases: [&[&str]; 3] = [
        &["- 10.0.0.1 TCP/80", "--app", "/usr/bin/curl", "--incoming"],
        &["--incoming", "--app", "/usr/bin/curl", "- 10.0.0.1 TCP/80"],
        &["--app=/usr/bin/curl", "--incoming", "--", "- 10.0.0.1 TCP/80"],
    ];
    for words in cases {
        let line = ["seawall", "rule", "add"].iter().chain(words);
        let Ok(Verb::Rule { what, .. }) = Cli::try_parse_from(line).map(|cli| cli.verb) else {
            panic!("{words:?} parses")
        };
        let RuleVerb::Add { app, incoming, rule } = what else { panic!("a rule is added") };
        assert_eq!((rule.as_str(), incoming), ("- 10.0.0.1 TCP/80", true));
        assert_eq!(app.as_deref(), Some("/usr/bin/curl"));
    }
}

#[test]
fn an_explanation_is_asked_of_somebody_about_somewhere() {
    let Ok(Verb::Explain(asked)) = parse("explain - 9.9.9.9:53 --protocol udp --inbound --json")
    else {
        panic!("explain parses")
    };
    assert_eq!((asked.whom, asked.target.port), (Whom::Nobody, Some(53)));
    assert_eq!((asked.protocol, asked.inbound), (Protocol::UDP, true));
    assert!(asked.common.json);
    let Ok(Verb::Explain(asked)) = parse("explain --inbound - 9.9.9.9") else {
        panic!("options may come first")
    };
    assert_eq!((asked.whom, asked.inbound), (Whom::Nobody, true));
}

#[test]
fn nonsense_is_refused() {
    let cases = [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("fly", ErrorKind::InvalidSubcommand),
        ("status extra", ErrorKind::UnknownArgument),
        ("explain -", ErrorKind::MissingRequiredArgument),
        ("explain - example.org", ErrorKind::ValueValidation),
        ("explain - 9.9.9.9 --protocol quic", ErrorKind::ValueValidation),
        ("completions tcsh", ErrorKind::InvalidValue),
        ("status --color blue", ErrorKind::InvalidValue),
        ("connections --limit 0", ErrorKind::ValueValidation),
        ("rule add", ErrorKind::MissingRequiredArgument),
        ("rule add + more", ErrorKind::UnknownArgument),
        ("adopted remove", ErrorKind::MissingRequiredArgument),
        ("adopted remove one", ErrorKind::ValueValidation),
    ];
    for (line, expected) in cases {
        assert_eq!(parse(line).expect_err(line).kind(), expected, "{line}");
    }
}

#[test]
fn a_build_that_can_break_itself_says_so() {
    assert_eq!(VERSION.ends_with("+fault-injection"), cfg!(feature = "fault-injection"));
    let known = Cli::command().find_subcommand("fault").is_some();
    assert_eq!(known, cfg!(feature = "fault-injection"));
}

#[cfg(feature = "fault-injection")]
#[test]
fn every_fault_can_be_said() {
    use seawall_runtime::fault::Fault;
    let cases = [
        ("panic", Fault::Panic { after: 1 }),
        ("panic --after 5", Fault::Panic { after: 5 }),
        ("hang-pending", Fault::HangPending),
        ("hang-spinning", Fault::HangSpinning),
        ("fail-start --times 3", Fault::FailStart { times: 3 }),
        ("slow --delay-us 7 --messages 9", Fault::Slow { delay_us: 7, messages: 9 }),
        ("mailbox-full --duration-ms 4", Fault::MailboxFull { duration_ms: 4 }),
        (
            "drop-messages --per-mille 10 --seed 2 --messages 100",
            Fault::DropMessages { per_mille: 10, seed: 2, messages: 100 },
        ),
        ("poison --token 4711", Fault::Poison { token: 4711 }),
        ("clear", Fault::Clear),
    ];
    for (line, expected) in cases {
        let Ok(Verb::Fault { component, fault, common }) =
            parse(&format!("fault datapath/new {line} --run-dir x"))
        else {
            panic!("{line} parses")
        };
        assert_eq!(component, "datapath/new");
        assert_eq!(Fault::from(fault), expected);
        assert_eq!(common.run_dir, PathBuf::from("x"));
    }
}
